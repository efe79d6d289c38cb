//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// control is the shared memory through which user space talks to the attached kernel programs: bpf/control.h says why it does not use
// operations on maps. The mutex lets one request in at a time.
type control struct {
	mu      sync.Mutex
	memory  []byte
	content *bpf.SyscallsControl // nil: closed
}

func (b *control) open(m *ebpf.Map) (err error) {
	if b.memory, err = mapMemory(m); err != nil {
		return err
	}
	b.content = (*bpf.SyscallsControl)(unsafe.Pointer(unsafe.SliceData(b.memory)))
	return nil
}

func (b *control) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.content = nil
	return unmapMemory(&b.memory)
}

// ask runs a program in the kernel once. write fills in the question before, read takes the answer afterwards; both may be nil. A
// negative result of the program is an error number.
func (c *SyscallTracer) ask(program string, write, read func(*bpf.SyscallsControl), args ...uint64) (int, error) {
	c.control.mu.Lock()
	defer c.control.mu.Unlock()
	if c.control.content == nil {
		return 0, fmt.Errorf("run program %s: %w", program, os.ErrClosed)
	}
	p := c.objects.Programs[program]
	if p == nil {
		return 0, fmt.Errorf("run program %s: %w", program, errRefused)
	}
	if write != nil {
		write(c.control.content)
	}
	result, err := p.Run(&ebpf.RunOptions{Context: args})
	if err != nil {
		return 0, err
	}
	if n := int32(result); n < 0 {
		return 0, unix.Errno(-n)
	}
	if read != nil {
		read(c.control.content)
	}
	return int(result), nil
}

// notify runs a program in the kernel once and expects no answer.
func (c *SyscallTracer) notify(program string, write func(*bpf.SyscallsControl), args ...uint64) error {
	_, err := c.ask(program, write, nil, args...)
	return err
}

// lookUp returns what the kernel side knows of a descriptor.
func (c *SyscallTracer) lookUp(pid, fd uint32) (d bpf.SyscallsDescriptor, known bool, err error) {
	found, err := c.ask(bpf.SyscallsProgLookUp, nil, func(m *bpf.SyscallsControl) { d = m.Descriptor }, uint64(pid), uint64(fd))
	return d, found != 0, err
}

// datagrams returns a UDP flow and its state.
func (c *SyscallTracer) datagrams(key *bpf.SyscallsDatagramKey) (d bpf.SyscallsDatagramFlow, state bpf.SyscallsDatagramState, err error) {
	n, err := c.ask(bpf.SyscallsProgAskDatagrams,
		func(m *bpf.SyscallsControl) { m.DatagramKey = *key },
		func(m *bpf.SyscallsControl) { d = m.DatagramFlow })
	return d, bpf.SyscallsDatagramState(n), err
}

// Adopt makes a descriptor known to the kernel side as one that leads to a socket, which may be listening. It has no effect if a call has
// shown meanwhile where the descriptor leads. It answers a question (event.KindUnknown), which must still be the last one; 0: nobody asked.
func (c *SyscallTracer) Adopt(pid, fd uint32, question uint64, f *event.Flow, listening bool) error {
	err := c.notify(bpf.SyscallsProgAdopt, func(m *bpf.SyscallsControl) {
		m.Socket = rawAdopted(pid, f, listening)
		m.Names = bpf.SyscallsUnixNames{}
		if f.Transport == event.UnixStream && f.Unix != nil && f.Unix.Local != "" {
			m.Names = rawUnixName(f.Unix.Local)
		}
	}, uint64(pid), uint64(fd), question)
	if err != nil {
		return fmt.Errorf("set which socket descriptor %d of process %d leads to: %w", fd, pid, err)
	}
	return nil
}

func rawAdopted(pid uint32, f *event.Flow, listening bool) bpf.SyscallsSocketState {
	s := bpf.SyscallsSocketState{
		Conn: bpf.SyscallsConnection{Flow: rawCallFlow(f), OwnerPid: pid, Existing: 1}, Shared: 1,
	}
	if f.Local.IsValid() && !f.Local.Addr().IsUnspecified() {
		s.Known |= uint8(bpf.SyscallsKnownKNOWN_LOCAL)
	}
	switch {
	case listening:
		s.Stage = uint8(bpf.SyscallsStageSTAGE_LISTENING)
	case f.Remote.IsValid() || f.Transport == event.UnixStream:
		s.Known |= uint8(bpf.SyscallsKnownKNOWN_REMOTE)
		s.Stage, s.Emitted = uint8(bpf.SyscallsStageSTAGE_OPEN), 1
	}
	return s
}

// rawUnixName is the inverse of unixName: an @ stands for the NUL before a name of the abstract namespace.
func rawUnixName(name string) (raw bpf.SyscallsUnixNames) {
	raw.LocalLength = uint8(min(len(name), len(raw.Local)))
	for i := range int(raw.LocalLength) {
		raw.Local[i] = int8(name[i])
	}
	if name[0] == '@' {
		raw.Local[0] = 0
	}
	return raw
}

// Reject makes a descriptor known to the kernel side as one that leads to nothing that is followed, under the conditions of Adopt.
func (c *SyscallTracer) Reject(pid, fd uint32, question uint64) error {
	if err := c.notify(bpf.SyscallsProgReject, nil, uint64(pid), uint64(fd), question); err != nil {
		return fmt.Errorf("set that descriptor %d of process %d is not followed: %w", fd, pid, err)
	}
	return nil
}
