// Package procfs reads procfs, which is mounted on /proc (proc(5)): all that the collector learns from there of sockets, processes,
// threads and network namespaces.
package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"
)

// mountPoint is where this host's procfs is.
const mountPoint = "/proc"

// What may be found instead of what is looked for. They are wrapped.
var (
	ErrGone      = errors.New("the process or its descriptor is gone")
	ErrNotSocket = errors.New("the descriptor does not lead to a socket")
	// ErrNotListed: a socket of another family or type, one without a local address yet, or one of another network
	// namespace than its owner's.
	ErrNotListed = errors.New("the socket is not in the tables of its owner's network namespace")
	ErrTooMany   = errors.New("too many sockets are looked for at once")
	ErrClosed    = errors.New("the resolver is closed")
)

// gone turns what procfs says of a process that has ended into ErrGone: ENOENT where it is opened, ESRCH or EINVAL behind
// that. Under hidepid (proc(5)) another user's process is not there either.
func gone(err error) error {
	if IsMissing(err) || errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// IsMissing reports whether a process or a file of it is not there: ENOENT when it is opened, ESRCH when its process has
// ended since, or has no memory of its own to show. Under hidepid (proc(5)) another user's process is not there either;
// for who asks it is the same.
func IsMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// path is that of a file of a process, below where procfs is mounted.
func path(root string, pid uint32, file string) string {
	b := make([]byte, 0, 64)
	b = append(append(b, root...), '/')
	b = strconv.AppendUint(b, uint64(pid), 10)
	return string(append(append(b, '/'), file...))
}
