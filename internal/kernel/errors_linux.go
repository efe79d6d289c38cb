//go:build amd64 || arm64

package kernel

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/capability"
	"github.com/socketflow/socketflow/internal/procfs"
)

// The modes, as messages name them.
const (
	socketMode  = "socket"
	syscallMode = "syscall"
)

// unsupported says what is missing and what would help.
func unsupported(mode, missing, help string, err error) error {
	return fmt.Errorf("%w: %s mode needs that %s; %s: %w", ErrUnsupported, mode, missing, help, err)
}

// newer is what helps where a mode is not possible, if nothing more exact is known.
var newer = map[string]string{socketMode: "run Linux 5.15 or newer", syscallMode: "run Linux 5.10 or newer"}

// refusal is the error for a program or a map that the kernel refused and that a mode cannot do without. help is what to do.
func refusal(mode, help string, err error) error {
	switch missing := missingCapabilities(); {
	case errors.Is(err, unix.EPERM) && len(missing) > 0, slices.Contains(missing, "CAP_BPF"):
		// Not err: it guesses at RLIMIT_MEMLOCK, or at an old kernel, because what is tried to find out is refused, too.
		return fmt.Errorf("%w: %w", unsupported(mode, "the collector may load eBPF programs",
			howToGet(missing, os.Geteuid() == 0), unix.EPERM), ErrPrivilege)
	case errors.Is(err, unix.EPERM) && inAnotherUserNamespace():
		return fmt.Errorf("%w: %w", unsupported(mode, "the collector has its capabilities in the host's user namespace",
			"run it there (no rootless container; of a systemd unit PrivateUsers=no)", unix.EPERM), ErrPrivilege)
	case errors.Is(err, unix.EPERM): // before Linux 5.11 that is RLIMIT_MEMLOCK
		return unsupported(mode, "the kernel lets this process load and attach eBPF programs, for which it has the capabilities",
			help+", and check that no security module and no filter of system calls (seccomp) forbids it", err)
	default:
		return unsupported(mode, "the kernel has the tracepoints and helpers that the programs use", help, err)
	}
}

// howToGet says how a process gets capabilities. A root that lacks them is a container's.
func howToGet(missing []string, root bool) string {
	give := "give it " + strings.Join(missing, " and ")
	if root {
		return give + ", which root lacks here (docker run --cap-add, in Kubernetes capabilities.add)"
	}
	return "run it as root, or " + give
}

// inAnotherUserNamespace reports whether this process is known to be in a user namespace that is not the host's.
func inAnotherUserNamespace() bool {
	host, err := procfs.InInitialUserNamespace()
	return err == nil && !host
}

// missingCapabilities names those that loading needs and this thread lacks.
func missingCapabilities() []string {
	set, err := capability.Effective()
	if err != nil {
		return []string{"CAP_BPF", "CAP_PERFMON"} // cannot be distinguished from having none
	}
	var missing []string
	for _, c := range []struct {
		name   string
		number int
	}{{"CAP_BPF", unix.CAP_BPF}, {"CAP_PERFMON", unix.CAP_PERFMON}} {
		if !set.Grants(c.number) {
			missing = append(missing, c.name)
		}
	}
	return missing
}
