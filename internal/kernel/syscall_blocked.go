//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/procfs"
)

// blockingCalls may have been entered long before the programs were attached, and return any time.
var blockingCalls = map[uint32]bool{
	unix.SYS_ACCEPT: true, unix.SYS_ACCEPT4: true, unix.SYS_CONNECT: true,
	unix.SYS_READ: true, unix.SYS_READV: true, unix.SYS_RECVFROM: true, unix.SYS_RECVMSG: true, unix.SYS_RECVMMSG: true,
	unix.SYS_WRITE: true, unix.SYS_WRITEV: true, unix.SYS_SENDTO: true, unix.SYS_SENDMSG: true,
}

// enterBlocked makes the calls known to the kernel side that threads were waiting in when the programs were attached. Without
// CAP_SYS_PTRACE a thread's call cannot be read. Such a thread is left out, and the return of its call is not seen.
func (c *SyscallTracer) enterBlocked() error {
	threads, err := procfs.Threads()
	if err != nil {
		return err
	}
	var failed error
	for _, thread := range threads {
		waiting, ok := thread.Call()
		if !ok || !blockingCalls[waiting.Number] {
			continue
		}
		call := bpf.SyscallsCall{Nr: waiting.Number, Args: waiting.Args, Fd: uint32(waiting.Args[0])}
		tid := uint64(thread.TID)
		if err := c.notify(bpf.SyscallsProgEnterBlocked, func(m *bpf.SyscallsControl) { m.Call = call }, tid); err != nil {
			if !errors.Is(err, unix.EEXIST) {
				failed = fmt.Errorf("set the call that a thread waits in: %w", err)
			}
			continue
		}
		// If the call returned before the kernel side knew of it, the thread may be in another call now: that one would be taken for it.
		if again, _ := thread.Call(); again != waiting {
			if err := c.notify(bpf.SyscallsProgLeaveBlocked, nil, tid); err != nil && !errors.Is(err, unix.ENOENT) {
				failed = fmt.Errorf("take back a call that has returned: %w", err)
			}
		}
	}
	return failed
}
