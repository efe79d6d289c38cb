//go:build linux

package kernel

import "os"

// runsCompat reports whether the kernel runs 32-bit programs (CONFIG_IA32_EMULATION). It then has this file
// (arch/x86/entry/vdso/vdso32-setup.c).
func runsCompat() bool {
	_, err := os.Stat("/proc/sys/abi/vsyscall32")
	return err == nil
}
