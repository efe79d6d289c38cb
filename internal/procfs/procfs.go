// Package procfs reads sockets, processes, threads and network namespaces from procfs, which is mounted on /proc (proc(5)).
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

// Errors of look-ups. Returned errors wrap them.
var (
	ErrGone      = errors.New("the process or its descriptor is gone")
	ErrNotSocket = errors.New("the descriptor does not lead to a socket")
	// ErrNotListed: the socket has another family or type, has no local address yet, or is in another network namespace
	// than its owner.
	ErrNotListed = errors.New("the socket is not in the tables of its owner's network namespace")
	ErrTooMany   = errors.New("too many sockets are looked for at once")
	ErrClosed    = errors.New("the resolver is closed")
)

// gone wraps the errors of files of an ended process in ErrGone: ENOENT from opening, ESRCH or EINVAL from reading. Under
// hidepid (proc(5)) the processes of other users give the same errors.
func gone(err error) error {
	if IsMissing(err) || errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// IsMissing reports whether an error means that a process or one of its files does not exist: ENOENT from opening, ESRCH if
// the process has ended since, or has no memory of its own. Under hidepid (proc(5)) the processes of other users give the same
// errors.
func IsMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// path is the path of a file of a process; root is where procfs is mounted.
func path(root string, pid uint32, file string) string {
	b := make([]byte, 0, 64)
	b = append(append(b, root...), '/')
	b = strconv.AppendUint(b, uint64(pid), 10)
	return string(append(append(b, '/'), file...))
}
