package procfs

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// inNetNS calls f on a thread that is in the network namespace behind path, if that is still the one with the inode netns.
func inNetNS(path string, netns uint32, f func() error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", path, gone(err))
	}
	defer unix.Close(fd) //nolint:errcheck // read only
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("look at network namespace %s: %w", path, err)
	}
	if uint32(stat.Ino) != netns {
		return fmt.Errorf("%w: %s is another network namespace", ErrGone, path)
	}
	return onThread(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		return f()
	})
}

// onThread calls f on a thread that ends with it, and that is not the first, whose network namespace is taken for the
// process' by who looks at /proc/<pid>.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: a thread whose goroutine ends locked ends too
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		defer runtime.UnlockOSThread() // the first is unchanged
		done <- onThread(f)
	}()
	return <-done
}
