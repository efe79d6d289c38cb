package procfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// EachNetNS calls f once for every network namespace that has a process or a mount, with the inode of the namespace and on a
// thread that has entered it. If a namespace cannot be entered, EachNetNS continues with the others and returns an error.
func EachNetNS(f func(netns uint32) error) error {
	names, err := netNSNames()
	if err != nil {
		return err
	}
	return onThread(func() error { return eachNetNS(names, f) })
}

// eachNetNS begins with the network namespace of the thread, which needs no privilege.
func eachNetNS(names []string, f func(netns uint32) error) error {
	own, first := threadNetNS()
	if first == nil {
		first = f(own)
	}
	seen := map[uint32]bool{own: true}
	var failed int
	for _, name := range names {
		if err := enterOnce(name, seen, f); err != nil {
			failed++
			if first == nil {
				first = err
			}
		}
	}
	if failed > 0 { // one error for all: without the privilege every namespace fails
		first = fmt.Errorf("%d of %d network namespaces, the first: %w", failed, len(names), first)
	}
	return first
}

func enterOnce(path string, seen map[uint32]bool, f func(netns uint32) error) error {
	n, err := openNetNS(path)
	if errors.Is(err, ErrGone) {
		return nil // its process has ended
	}
	if err != nil {
		return err
	}
	defer n.close()
	if seen[n.inode] {
		return nil
	}
	seen[n.inode] = true
	if err := n.enter(); err != nil {
		return err
	}
	return f(n.inode)
}

// inNetNS calls f on a thread that has entered the network namespace of path. The error wraps ErrGone if that does not have the
// inode netns any more.
func inNetNS(path string, netns uint32, f func() error) error {
	n, err := openNetNS(path)
	if err != nil {
		return err
	}
	defer n.close()
	if n.inode != netns {
		return fmt.Errorf("%w: %s is another network namespace", ErrGone, path)
	}
	return onThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		return f()
	})
}

// netNS is an open network namespace.
type netNS struct {
	path  string
	fd    int
	inode uint32
}

// openNetNS opens a file of a network namespace. The error wraps ErrGone if the file does not exist any more.
func openNetNS(path string) (netNS, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return netNS{}, fmt.Errorf("open network namespace %s: %w", path, gone(err))
	}
	n := netNS{path: path, fd: fd}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		n.close()
		return netNS{}, fmt.Errorf("look at network namespace %s: %w", path, err)
	}
	n.inode = uint32(stat.Ino)
	return n, nil
}

func (n *netNS) close() {
	_ = unix.Close(n.fd) // read only
}

// enter moves the current thread, which must be one of onThread, to the network namespace.
func (n *netNS) enter() error {
	if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", n.path, err)
	}
	return nil
}

// onThread calls f on a thread that ends afterwards. It does not use the main thread, because /proc/<pid>/ns shows the network
// namespace of the main thread as that of the process.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its locked goroutine
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		defer runtime.UnlockOSThread() // this is the main thread, and it is unchanged
		done <- onThread(f)
	}()
	return <-done
}

// netNSNames lists the files of network namespaces: those of all processes, and those that are mounted, as by "ip netns".
func netNSNames() ([]string, error) {
	names, err := filepath.Glob(mountPoint + "/[1-9]*") // files below may be hidden from this user
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	for i := range names {
		names[i] += "/ns/net"
	}
	mounts, err := os.ReadFile(mountPoint + "/self/mountinfo")
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
