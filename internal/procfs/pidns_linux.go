package procfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// initialPIDNamespace is the inode of the first pid namespace (PROC_PID_INIT_INO, linux/proc_ns.h).
const initialPIDNamespace = 0xEFFFFFFC

// InInitialPIDNamespace says whether this process is in the first pid namespace: only then does it have the pids of the host.
func InInitialPIDNamespace() (bool, error) {
	var stat unix.Stat_t
	if err := unix.Stat(mountPoint+"/self/ns/pid", &stat); err != nil {
		return false, fmt.Errorf("find the pid namespace: %w", err)
	}
	return stat.Ino == initialPIDNamespace, nil
}

// SeesAllProcesses is InInitialPIDNamespace where not to know it is no.
func SeesAllProcesses() bool {
	all, err := InInitialPIDNamespace()
	return err == nil && all
}
