package procfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// initialPIDNamespace is the inode of the initial pid namespace (PROC_PID_INIT_INO, linux/proc_ns.h).
const initialPIDNamespace = 0xEFFFFFFC

// InInitialPIDNamespace reports whether this process is in the initial pid namespace. Only there it sees the pids of the host.
func InInitialPIDNamespace() (bool, error) {
	var stat unix.Stat_t
	if err := unix.Stat(mountPoint+"/self/ns/pid", &stat); err != nil {
		return false, fmt.Errorf("find the pid namespace: %w", err)
	}
	return stat.Ino == initialPIDNamespace, nil
}

// SeesAllProcesses is InInitialPIDNamespace, and false if that fails.
func SeesAllProcesses() bool {
	all, err := InInitialPIDNamespace()
	return err == nil && all
}
