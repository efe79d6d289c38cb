//go:build amd64 || arm64

package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// unsupported says what is missing and what would help.
func unsupported(missing, help string, err error) error {
	return fmt.Errorf("%w: socket mode needs that %s; %s: %w", ErrUnsupported, missing, help, err)
}

// loadError names what this kernel or these privileges lack, as far as a refused load tells.
func loadError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		// Not err: it guesses at RLIMIT_MEMLOCK, which is not what is missing on a kernel that has what we need.
		return unsupported("it may load eBPF programs",
			"run the collector as root, or with the capabilities CAP_BPF and CAP_PERFMON", unix.EPERM)
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, btf.ErrNotFound):
		return unsupported("the kernel has the tracepoints and helpers that its programs use",
			"run Linux 5.15 or newer", err)
	default:
		return fmt.Errorf("load the eBPF programs: %w", err)
	}
}

func attachError(tracepoint string, err error) error {
	return unsupported("a program can be attached to the tracepoint "+tracepoint,
		"check that no security module forbids it", err)
}
