//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
)

// blockingCalls may have been entered long before the programs were attached, and return any time.
var blockingCalls = map[uint64]bool{
	unix.SYS_ACCEPT: true, unix.SYS_ACCEPT4: true, unix.SYS_CONNECT: true,
	unix.SYS_READ: true, unix.SYS_READV: true, unix.SYS_RECVFROM: true, unix.SYS_RECVMSG: true, unix.SYS_RECVMMSG: true,
	unix.SYS_WRITE: true, unix.SYS_WRITEV: true, unix.SYS_SENDTO: true, unix.SYS_SENDMSG: true,
}

// enterBlocked tells the kernel side of the calls that threads are waiting in, whose enters it has not seen. A thread that
// cannot be looked at, for lack of CAP_SYS_PTRACE, is left out; its call is then not seen to return.
func (c *Calls) enterBlocked() error {
	paths, err := filepath.Glob("/proc/[1-9]*/task/[1-9]*/syscall")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	var failed error
	for _, path := range paths {
		tid, err := strconv.ParseUint(filepath.Base(filepath.Dir(path)), 10, 32)
		if err != nil {
			continue // not reached: the pattern leaves nothing else
		}
		text, call := readBlocked(path)
		if call == nil {
			continue
		}
		if err := c.tell(bpf.SyscallsProgEnterBlocked, func(m *bpf.SyscallsControl) { m.Call = *call }, tid); err != nil {
			if !errors.Is(err, unix.EEXIST) {
				failed = fmt.Errorf("tell the kernel of a call that waits: %w", err)
			}
			continue
		}
		// If the call had returned before it was told, it is another one by now: that one would be taken for it.
		if again, _ := readBlocked(path); !bytes.Equal(text, again) {
			if err := c.tell(bpf.SyscallsProgLeaveBlocked, nil, tid); err != nil && !errors.Is(err, unix.ENOENT) {
				failed = fmt.Errorf("take back a call that has returned: %w", err)
			}
		}
	}
	return failed
}

// readBlocked reads what a thread is waiting in (proc(5)): number, six arguments, stack pointer and program counter; or
// "running". The call is nil if it is of no interest.
func readBlocked(path string) ([]byte, *bpf.SyscallsCall) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil // it has ended, or is another user's
	}
	fields := bytes.Fields(text)
	if len(fields) < 7 {
		return text, nil
	}
	number, err := strconv.ParseUint(string(fields[0]), 10, 32)
	if err != nil || !blockingCalls[number] {
		return text, nil
	}
	call := &bpf.SyscallsCall{Nr: uint32(number)}
	for i := range call.Args {
		if call.Args[i], err = strconv.ParseUint(string(fields[1+i]), 0, 64); err != nil {
			return text, nil
		}
	}
	call.Fd = uint32(call.Args[0])
	return text, call
}
