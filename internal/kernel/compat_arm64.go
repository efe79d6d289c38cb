//go:build linux

package kernel

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	linux32        = 8          // PER_LINUX32, include/uapi/linux/personality.h
	askPersonality = 0xffffffff // it is returned, and stays
)

// runsCompat reports whether the kernel and its CPUs run 32-bit programs: a thread cannot become one otherwise
// (arch/arm64/kernel/sys.c).
func runsCompat() bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, askPersonality, 0, 0)
	if errno != 0 {
		return false
	}
	if _, _, errno = unix.RawSyscall(unix.SYS_PERSONALITY, linux32, 0, 0); errno != 0 {
		return false
	}
	_, _, _ = unix.RawSyscall(unix.SYS_PERSONALITY, before, 0, 0)
	return true
}
