//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
)

// syscallExits are the tracefs tracepoints at the exits of system calls: perf events, ready to carry a program.
type syscallExits struct {
	calls  []tracedCall
	events map[string]int // system call to perf event descriptor
	reason error          // why there are none
}

// tracedCall is a call whose exit is wanted.
type tracedCall struct {
	name, program string
	batches       bool // counts the messages of sendmmsg and recvmmsg
	senders       bool // tells from whom a datagram came
}

func (c *tracedCall) unneeded(opts Options) bool {
	return (c.batches || c.senders) && !(c.batches && opts.transfers()) && !(c.senders && opts.UDP)
}

var allTracedCalls = [...]tracedCall{
	{name: "accept", program: bpf.SocketflowProgAcceptExit},
	{name: "accept4", program: bpf.SocketflowProgAccept4Exit},
	{name: "connect", program: bpf.SocketflowProgConnectExit},
	{name: "recvfrom", program: bpf.SocketflowProgRecvfromExit, senders: true},
	{name: "recvmsg", program: bpf.SocketflowProgRecvmsgExit, senders: true},
	{name: "recvmmsg", program: bpf.SocketflowProgRecvmmsgExit, batches: true, senders: true},
	{name: "sendmmsg", program: bpf.SocketflowProgSendmmsgExit, batches: true},
}

func tracedCalls(opts Options) []tracedCall {
	var calls []tracedCall
	for _, call := range allTracedCalls {
		if !call.unneeded(opts) {
			calls = append(calls, call)
		}
	}
	return calls
}

// findSyscallExits opens all of them or none.
func findSyscallExits(opts Options) *syscallExits {
	x := &syscallExits{calls: tracedCalls(opts), events: map[string]int{}}
	dir, err := openTracefs()
	if err != nil {
		x.reason = err
		return x
	}
	defer unix.Close(dir) //nolint:errcheck // nothing was written
	for _, call := range x.calls {
		fd, err := openTracepoint(dir, "syscalls/sys_exit_"+call.name)
		if err != nil {
			x.reason = err
			x.close()
			return x
		}
		x.events[call.name] = fd
	}
	return x
}

func (x *syscallExits) found() bool { return len(x.events) == len(x.calls) }

// close closes the events that no program was attached to.
func (x *syscallExits) close() {
	for call, fd := range x.events {
		unix.Close(fd) //nolint:errcheck // an event that was never enabled
		delete(x.events, call)
	}
}

// perfLink is a program on a perf event: it lasts as long as both descriptors. Without a Link the program is the event's own.
type perfLink struct {
	link.Link
	event int
}

func (l *perfLink) Close() error {
	var err error
	if l.Link != nil {
		err = l.Link.Close()
	}
	return errors.Join(err, unix.Close(l.event))
}

func (x *syscallExits) attach(call string, program *ebpf.Program) (link.Link, error) {
	l, err := attachPerf(x.events[call], "syscalls/sys_exit_"+call, program)
	if err == nil {
		delete(x.events, call)
	}
	return l, err
}

// openTracefs opens the events directory of tracefs: where it is mounted, or in a mount of our own that is attached
// nowhere, so that no other process sees it (fsopen(2); needs CAP_SYS_ADMIN).
func openTracefs() (int, error) {
	var errs []error
	for _, path := range [...]string{"/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"} {
		fd, err := unix.Open(path, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == nil {
			return fd, nil
		}
		errs = append(errs, &os.PathError{Op: "open", Path: path, Err: err})
	}
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, errors.Join(append(errs, fmt.Errorf("open tracefs: %w", err))...)
	}
	defer unix.Close(fs) //nolint:errcheck // a context, of no use any more
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, errors.Join(append(errs, fmt.Errorf("create tracefs: %w", err))...)
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, errors.Join(append(errs, fmt.Errorf("mount tracefs: %w", err))...)
	}
	defer unix.Close(root) //nolint:errcheck // held by what is opened below it
	dir, err := unix.Openat(root, "events", unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, errors.Join(append(errs, fmt.Errorf("open tracefs: %w", err))...)
	}
	return dir, nil
}

// readTracefs reads a file below the events directory.
func readTracefs(dir int, name string) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open tracepoint", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close() //nolint:errcheck // read only
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read tracepoint %s: %w", name, err)
	}
	return content, nil
}

func openTracepoint(dir int, name string) (int, error) {
	digits, err := readTracefs(dir, name+"/id")
	if err != nil {
		return -1, err
	}
	id, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 10, 64)
	if err != nil {
		return -1, fmt.Errorf("tracepoint %s: %w", name, err)
	}
	attr := unix.PerfEventAttr{
		Type:        unix.PERF_TYPE_TRACEPOINT,
		Config:      id,
		Size:        uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Sample_type: unix.PERF_SAMPLE_RAW,
		Sample:      1,
		Wakeup:      1,
	}
	// A program on a tracepoint runs on every CPU, whichever one the event is opened on.
	event, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open a perf event for tracepoint %s: %w", name, err)
	}
	return event, nil
}
