//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
)

// Calls is the loaded and attached kernel programs of the syscall mode. Their events lack what no call tells, see package
// completion.
type Calls struct {
	programs
	opts    Options
	inject  func(event.Event)
	made    atomic.Uint64 // identities given by user space
	mailbox mailbox
}

// OpenCalls does what Open does, with nothing but tracepoints of system calls and processes: it needs no BTF of the kernel.
// The rules of opts are not used. Events that user space makes up itself are handed to inject, from any goroutine; it has
// to see to it that they go to the shard that ShardOf says.
func OpenCalls(opts Options, inject func(event.Event)) (*Calls, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	c := &Calls{opts: opts, inject: inject}
	if err := c.open(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Calls) open() error {
	// Before Linux 5.11 maps count against RLIMIT_MEMLOCK; where it cannot be raised, loading says so.
	if err := rlimit.RemoveMemlock(); err != nil {
		c.degraded = append(c.degraded, fmt.Errorf("raise RLIMIT_MEMLOCK: %w", err))
	}
	dir, err := openTracefs()
	if err != nil {
		return unsupported(syscallMode, "tracefs can be read, where the tracepoints of system calls are",
			"mount it at /sys/kernel/tracing and run as root, or with CAP_DAC_READ_SEARCH", err)
	}
	defer unix.Close(dir) //nolint:errcheck // nothing was written
	spec, err := bpf.LoadSyscalls()
	if err != nil {
		return fmt.Errorf("read the embedded programs: %w", err)
	}
	if err := c.configure(spec, dir); err != nil {
		return err
	}
	if c.objects, err = ebpf.NewCollection(spec); err != nil {
		return loadError(syscallMode, err)
	}
	if err := c.mailbox.open(c.objects.Maps[bpf.SyscallsMapMailboxes]); err != nil {
		return err
	}
	if err := c.seed(); err != nil {
		return err
	}
	if err := c.prepare(c.opts); err != nil {
		return err
	}
	return c.attach(dir)
}

// maxCallSockets bounds the kernel memory of sockets: some 300 bytes each with its overhead.
const maxCallSockets = 24576

func (c *Calls) configure(spec *ebpf.CollectionSpec, tracefs int) error {
	if err := configureAll(spec, syscallMode, c.opts); err != nil {
		return err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the CPUs: %w", err)
	}
	child, err := fieldOffset(tracefs, "sched/sched_process_fork", "child_pid")
	if err != nil {
		return unsupported(syscallMode, "the tracepoint of forks names the child", "run a kernel with CONFIG_EVENT_TRACING=y", err)
	}
	last, err := fieldOffset(tracefs, "sched/sched_process_exit", "group_dead")
	if err != nil {
		last = 0 // it does not say; from Linux 6.16 on it does
	}
	if preemptsCalls() {
		if c.opts.Data {
			spec.Maps[bpf.SyscallsMapDrafts].MaxEntries *= 2
		}
	} else {
		maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return strings.HasSuffix(name, again) })
	}
	sockets := uint32(max(1, min(c.opts.Sockets, maxCallSockets)))
	spec.Maps[bpf.SyscallsMapCallSockets].MaxEntries = sockets
	spec.Maps[bpf.SyscallsMapDescriptors].MaxEntries = 2 * sockets
	return set(spec, map[string]any{
		bpf.SyscallsVarCpus:            uint32(cpus),
		bpf.SyscallsVarDatagramIdle:    uint64(c.opts.DatagramIdle),
		bpf.SyscallsVarForkChildOffset: child,
		bpf.SyscallsVarExitGroupOffset: last,
	})
}

// again is behind the name of a program's second copy, which does what the first one was skipped for.
const again = "_again"

// preemptsCalls reports whether tasks are preempted in programs of the tracepoints of calls, which therefore need second copies:
// where these may be sleepable (Linux 7.2), those that are not are run in the same way (trace_call_bpf_faultable in the
// kernel's kernel/trace/bpf_trace.c).
func preemptsCalls() bool {
	probe, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "sf_probe", Type: ebpf.TracePoint, Flags: unix.BPF_F_SLEEPABLE, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return false // what else is amiss the real programs will say
	}
	_ = probe.Close()
	return true
}

// point is a tracepoint and the program for it.
type point struct {
	name     string // category and name
	program  string
	optional bool // not every kernel or architecture has it
}

// points are attached in this order: what tells where descriptors lead to comes before what uses them, and exits before
// enters, so that no call is taken for one whose exit is not seen.
var points = func() []point {
	var all []point
	exit := func(program string, calls ...string) {
		for _, call := range calls {
			all = append(all, point{"syscalls/sys_exit_" + call, program, optionalCalls[call]})
		}
	}
	enter := func(program string, calls ...string) {
		for _, call := range calls {
			all = append(all, point{"syscalls/sys_enter_" + call, program, optionalCalls[call]})
		}
	}
	all = append(all,
		point{name: "sched/sched_process_fork", program: bpf.SyscallsProgProcessFork},
		point{name: "sched/sched_process_exit", program: bpf.SyscallsProgProcessExit})
	exit(bpf.SyscallsProgExitExec, "execve", "execveat")
	exit(bpf.SyscallsProgExitNamespace, "setns", "unshare")
	exit(bpf.SyscallsProgExitControl, "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "getsockname",
		"getpeername", "getsockopt", "shutdown", "dup", "dup2", "dup3", "fcntl")
	exit(bpf.SyscallsProgExitTransfer, "read", "write", "readv", "writev", "preadv2", "pwritev2", "sendto", "recvfrom", "sendmsg",
		"recvmsg", "sendfile64", "splice")
	exit(bpf.SyscallsProgExitBatch, "sendmmsg", "recvmmsg")
	enter(bpf.SyscallsProgEnterClone, "clone")
	enter(bpf.SyscallsProgEnterClone3, "clone3")
	enter(bpf.SyscallsProgEnterExecve, "execve")
	enter(bpf.SyscallsProgEnterClose, "close")
	enter(bpf.SyscallsProgEnterCloseRange, "close_range")
	enter(bpf.SyscallsProgEnterFcntl, "fcntl")
	enter(bpf.SyscallsProgEnterIoctl, "ioctl")
	enter(bpf.SyscallsProgEnterControlOf1, "dup")
	enter(bpf.SyscallsProgEnterControlOf2, "dup2", "listen", "shutdown")
	enter(bpf.SyscallsProgEnterControlOf3, "socket", "bind", "accept", "connect", "getsockname", "getpeername", "dup3")
	enter(bpf.SyscallsProgEnterControlOf4, "socketpair", "accept4")
	enter(bpf.SyscallsProgEnterControlOf5, "getsockopt")
	enter(bpf.SyscallsProgEnterTransferOf3, "read", "write", "readv", "writev", "sendmsg", "recvmsg")
	enter(bpf.SyscallsProgEnterTransferOf4, "sendmmsg", "recvmmsg", "sendfile64")
	enter(bpf.SyscallsProgEnterTransferOf6, "preadv2", "pwritev2", "sendto", "recvfrom")
	enter(bpf.SyscallsProgEnterSplice, "splice")
	return all
}()

// optionalCalls are not on every architecture (dup2), or newer than Linux 5.8.
var optionalCalls = map[string]bool{"dup2": true, "close_range": true}

func (c *Calls) attach(tracefs int) error {
	for _, p := range points {
		err := c.attachTo(tracefs, p.name, c.objects.Programs[p.program])
		if errors.Is(err, unix.ENOENT) && p.optional {
			continue
		}
		if second := c.objects.Programs[p.program+again]; err == nil && second != nil {
			err = c.attachTo(tracefs, p.name, second)
		}
		if err != nil {
			return err
		}
		c.attached = append(c.attached, "tracepoint/"+p.name)
	}
	if err := c.enterBlocked(); err != nil {
		c.degraded = append(c.degraded, err)
	}
	return nil
}

func (c *Calls) attachTo(tracefs int, tracepoint string, program *ebpf.Program) error {
	fd, err := openTracepoint(tracefs, tracepoint)
	if err != nil {
		return unsupported(syscallMode, "the tracepoint "+tracepoint+" can be opened",
			"run a kernel with CONFIG_FTRACE_SYSCALLS=y, with CAP_PERFMON", err)
	}
	l, err := attachPerf(fd, tracepoint, program)
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	c.links = append(c.links, l)
	return nil
}

// attachPerf attaches a program to an event of perf. Before Linux 5.15 there are no links of that kind: then it is attached
// by ioctl, and detached with the event.
func attachPerf(fd int, name string, program *ebpf.Program) (link.Link, error) {
	attached := &perfLink{event: fd}
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: program, Attach: ebpf.AttachPerfEvent})
	if err == nil {
		attached.Link = l
	} else if ioctlErr := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, program.FD()); ioctlErr != nil {
		return nil, fmt.Errorf("attach to the tracepoint %s: %w", name, errors.Join(err, ioctlErr))
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		if attached.Link != nil {
			err = errors.Join(err, attached.Link.Close())
		}
		return nil, fmt.Errorf("enable the tracepoint %s: %w", name, err)
	}
	return attached, nil
}

// Close releases everything. Readers must no longer be in use.
func (c *Calls) Close() error { return errors.Join(c.mailbox.close(), c.programs.Close()) }

// ShardOf says which reader a socket's events come through.
func (c *Calls) ShardOf(cookie uint64) int { return int(cookie) & (c.opts.Shards - 1) }

// NewCookie gives a socket that user space found an identity whose events come through the shard.
func (c *Calls) NewCookie(shard int) uint64 {
	// The kernel's own count up from 1.
	return 1<<62 | c.made.Add(1)*MaxShards | uint64(shard)
}

// Locate tells the kernel in which network namespace a process is; name is its name in the events. That it cannot be told costs
// its children no more than having to be looked at themselves.
func (c *Calls) Locate(name process.ID, netns uint32) {
	_ = c.tell(bpf.SyscallsProgLocate, nil, uint64(name.PID), name.Start, uint64(netns))
}

// Known reports whether a call has told that a descriptor leads to a socket.
func (c *Calls) Known(pid, fd uint32) bool {
	d, known, err := c.lookUp(pid, fd)
	return err == nil && known && bpf.SyscallsDescriptorKind(d.Kind) == bpf.SyscallsDescriptorKindDESCRIPTOR_SOCKET
}

// Asked reports whether the kernel still waits for the answer to a question.
func (c *Calls) Asked(pid, fd uint32, question uint64) bool {
	d, known, err := c.lookUp(pid, fd)
	return err == nil && known && bpf.SyscallsDescriptorKind(d.Kind) == bpf.SyscallsDescriptorKindDESCRIPTOR_ASKED && d.Id == question
}

// Judge does nothing: in this mode user space leaves out what the rules do.
func (c *Calls) Judge(process.ID, uint32, uint64) error { return nil }

func rawCallFlow(f *event.Flow) bpf.SyscallsFlow {
	raw := bpf.SyscallsFlow{
		Cookie: f.Cookie, Role: uint8(f.Role), RoleSource: uint8(f.RoleSource), Transport: uint8(f.Transport),
		LocalPort: f.Local.Port(), RemotePort: f.Remote.Port(), Netns: f.NetNS,
	}
	switch {
	case f.Transport == event.UnixStream:
		raw.Family = unix.AF_UNIX
	case f.Local.Addr().Is4():
		raw.Family = unix.AF_INET
		local := f.Local.Addr().As4()
		copy(raw.Local[:], local[:])
		if f.Remote.Addr().Is4() {
			remote := f.Remote.Addr().As4()
			copy(raw.Remote[:], remote[:])
		}
	default:
		raw.Family = unix.AF_INET6
		raw.Local = f.Local.Addr().As16()
		raw.Remote = f.Remote.Addr().As16()
	}
	return raw
}

// fieldOffset finds where a tracepoint has a member, in its format file:
//
//	field:pid_t child_pid;	offset:44;	size:4;	signed:1;
func fieldOffset(tracefs int, tracepoint, name string) (uint32, error) {
	format, err := readTracefs(tracefs, tracepoint+"/format")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(format) {
		declaration, rest, found := bytes.Cut(line, []byte(";"))
		if !found || !bytes.HasSuffix(declaration, []byte(" "+name)) {
			continue
		}
		var offset uint32
		if _, err := fmt.Sscanf(string(bytes.TrimSpace(rest)), "offset:%d;", &offset); err != nil {
			return 0, fmt.Errorf("tracepoint %s: member %s: %w", tracepoint, name, err)
		}
		return offset, nil
	}
	return 0, fmt.Errorf("tracepoint %s has no member %s", tracepoint, name)
}
