package procfs

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrReplaced means that the file of a mapping cannot be reached, and that another file has its path, or none.
var ErrReplaced = errors.New("the path of a mapping leads to another file")

// Open opens exactly the file that is mapped, for reading. /proc/<pid>/map_files has it even if it was replaced or unlinked, but
// needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. Without them Open tries the path below the root of the process and below the
// collector's own, and compares inodes. The error wraps ErrGone if the process has ended or does not have that mapping any more,
// and ErrReplaced if another file has the path, or none. Only regular files are opened.
func (m *MappedFile) Open(pid uint32) (*os.File, error) {
	dir, err := unix.Open(path(mountPoint, pid, ""), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the mapped file %s of process %d: %w", m.Path, pid, gone(err))
	}
	defer func() { _ = unix.Close(dir) }()
	f, err := m.openAt(dir)
	if err != nil {
		return nil, fmt.Errorf("open the mapped file %s of process %d: %w", m.Path, pid, gone(err))
	}
	return f, nil
}

func (m *MappedFile) openAt(process int) (*os.File, error) {
	fd, err := unix.Openat(process, fmt.Sprintf("map_files/%x-%x", m.Start, m.End), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		return m.reopen(fd, false)
	}
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return nil, err
	}
	for _, root := range [...]string{"root", mountPoint + "/self/root"} {
		var f *os.File
		if f, err = m.openBelow(process, root); err == nil {
			return f, nil
		}
	}
	return nil, err
}

// openBelow opens the path as the process would, whose root it cannot leave.
func (m *MappedFile) openBelow(process int, root string) (*os.File, error) {
	dir, err := unix.Openat(process, root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(dir) }()
	fd, err := unix.Openat2(dir, strings.TrimLeft(m.Path, "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", ErrReplaced, err) //nolint:errorlint // a missing path does not mean that the process is gone
	}
	return m.reopen(fd, true)
}

// reopen opens for reading what an O_PATH descriptor is of, and closes that. So nothing that blocks or acts when it is opened, as a
// device does, is opened.
func (m *MappedFile) reopen(fd int, compare bool) (*os.File, error) {
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, err
	}
	if compare && stat.Ino != m.Inode {
		return nil, ErrReplaced
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("it is not a regular file")
	}
	return os.Open(fmt.Sprintf("%s/self/fd/%d", mountPoint, fd))
}
