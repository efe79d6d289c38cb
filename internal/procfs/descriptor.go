package procfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// LeadsToSocket reports whether a descriptor refers to a socket. It returns true if it cannot find out.
func LeadsToSocket(pid, fd uint32) bool {
	target, err := readDescriptor(mountPoint, pid, fd)
	if err != nil {
		return !IsMissing(err)
	}
	return strings.HasPrefix(target, "socket:")
}

// socketInode is the inode of the socket that a descriptor refers to.
func socketInode(root string, pid, fd uint32) (uint64, error) {
	link, err := readDescriptor(root, pid, fd)
	if err != nil {
		return 0, fmt.Errorf("look at descriptor %d of process %d: %w", fd, pid, gone(err))
	}
	inode, ok := inodeOf(link, "socket:[")
	if !ok {
		return 0, fmt.Errorf("look at descriptor %d of process %d: %w", fd, pid, ErrNotSocket)
	}
	return inode, nil
}

func readDescriptor(root string, pid, fd uint32) (string, error) {
	return os.Readlink(path(root, pid, "fd/"+strconv.FormatUint(uint64(fd), 10)))
}

// inodeOf reads the number in a link such as socket:[123] (proc_pid_fd(5)).
func inodeOf(link, prefix string) (uint64, bool) {
	number, ok := strings.CutPrefix(link, prefix)
	if !ok {
		return 0, false
	}
	if number, ok = strings.CutSuffix(number, "]"); !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(number, 10, 64)
	return inode, err == nil
}
