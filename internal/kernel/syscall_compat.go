//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/socketflow/socketflow/internal/procfs"
)

// standbyLink is a program at a raw tracepoint, which costs every call of the host. It is attached once it is needed.
type standbyLink struct {
	tracepoint string
	program    *ebpf.Program

	mu        sync.Mutex
	link.Link // nil: it is not attached yet
	closed    bool
}

func (l *standbyLink) attach() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	made, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: l.tracepoint, Program: l.program})
	if err != nil {
		return fmt.Errorf("attach to the raw tracepoint %s: %w", l.tracepoint, err)
	}
	l.Link = made
	return nil
}

// Close detaches the program, or keeps it from being attached.
func (l *standbyLink) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.Link == nil {
		return nil
	}
	return l.Link.Close()
}

// SeekCompat attaches the programs that see the calls of 32-bit programs if a process runs such a program. They stay attached. Call it now
// and then, from one goroutine at a time.
func (c *SyscallTracer) SeekCompat() error {
	if len(c.standby) == 0 {
		return nil
	}
	pids, err := procfs.Processes()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(pids, procfs.Runs32Bit) {
		return nil
	}
	var errs []error
	for _, l := range c.standby {
		errs = append(errs, l.attach())
	}
	c.standby = nil
	return errors.Join(errs...)
}
