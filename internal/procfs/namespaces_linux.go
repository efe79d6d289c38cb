package procfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Inodes of the host's namespaces (PROC_USER_INIT_INO, PROC_PID_INIT_INO, linux/proc_ns.h).
const (
	initialUserNamespace = 0xEFFFFFFD
	initialPIDNamespace  = 0xEFFFFFFC
)

// InInitialPIDNamespace reports whether this process is in the initial pid namespace. Only there it sees the pids of the host.
func InInitialPIDNamespace() (bool, error) { return isIn("pid", initialPIDNamespace) }

// InInitialUserNamespace reports whether this process is in the initial user namespace. Only there its capabilities count for the whole host.
func InInitialUserNamespace() (bool, error) { return isIn("user", initialUserNamespace) }

func isIn(kind string, inode uint64) (bool, error) {
	var stat unix.Stat_t
	if err := unix.Stat(mountPoint+"/self/ns/"+kind, &stat); err != nil {
		return false, fmt.Errorf("find the %s namespace: %w", kind, err)
	}
	return stat.Ino == inode, nil
}

// SeesAllProcesses is InInitialPIDNamespace, and false if that fails.
func SeesAllProcesses() bool {
	all, err := InInitialPIDNamespace()
	return err == nil && all
}
