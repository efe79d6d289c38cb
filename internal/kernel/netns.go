//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// eachNetNS calls f in every network namespace that a process lives in or a mount holds, each once, on a thread that
// is in that namespace, with the namespace's inode. One that cannot be entered does not keep f from the others.
func eachNetNS(f func(inode uint64) error) error {
	names, err := netNSNames()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, so that no other goroutine runs in a foreign namespace.
		runtime.LockOSThread()
		// The thread's own needs no privilege to enter.
		own, first := ownNetNS()
		seen := map[uint64]bool{own: true}
		if first == nil {
			first = f(own)
		}
		var failed int
		for _, name := range names {
			if err := inNetNS(name, seen, f); err != nil {
				failed++
				if first == nil {
					first = err
				}
			}
		}
		if failed > 0 { // without the privilege that is one for every process
			first = fmt.Errorf("%d of %d network namespaces, the first: %w", failed, len(names), first)
		}
		done <- first
	}()
	return <-done
}

func inNetNS(name string, seen map[uint64]bool, f func(inode uint64) error) error {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return nil // its process has ended
	case err != nil:
		return &os.PathError{Op: "open network namespace", Path: name, Err: err}
	}
	defer unix.Close(fd) //nolint:errcheck // read only
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return &os.PathError{Op: "stat network namespace", Path: name, Err: err}
	}
	if seen[stat.Ino] {
		return nil
	}
	seen[stat.Ino] = true
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return &os.PathError{Op: "enter network namespace", Path: name, Err: err}
	}
	return f(stat.Ino)
}

func ownNetNS() (inode uint64, err error) {
	const name = "/proc/thread-self/ns/net"
	var stat unix.Stat_t
	if err := unix.Stat(name, &stat); err != nil {
		return 0, &os.PathError{Op: "stat network namespace", Path: name, Err: err}
	}
	return stat.Ino, nil
}

// netNSNames lists files that stand for network namespaces: those of all processes, and those that are mounted, as
// "ip netns" does.
func netNSNames() ([]string, error) {
	names, err := filepath.Glob("/proc/[1-9]*") // what is below may be hidden from this user
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	for i := range names {
		names[i] += "/ns/net"
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounted network namespaces: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		// 36 35 98:0 /root /mount/point ...: the root of a mounted namespace is net:[inode] (proc(5)).
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[3], "net:[") {
			names = append(names, fields[4])
		}
	}
	return names, nil
}
