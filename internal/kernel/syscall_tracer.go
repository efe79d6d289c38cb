//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
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

// SyscallTracer is the loaded and attached kernel programs of the syscall mode. Their events lack what no call shows: package fdtrack
// adds it.
type SyscallTracer struct {
	programs
	opts    Options
	inject  func(event.Event)
	made    atomic.Uint64 // identities given by user space
	control control
	standby []*standbyLink // in the order in which they are to be attached
}

// OpenSyscalls does what OpenSockets does, with nothing but tracepoints of system calls and processes: it needs no BTF of the kernel.
// The rules of opts are not used. Events that user space makes itself are passed to inject, from any goroutine; inject has
// to pass each on to the shard that ShardOf returns.
func OpenSyscalls(opts Options, inject func(event.Event)) (*SyscallTracer, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	c := &SyscallTracer{opts: opts, inject: inject}
	if err := c.open(); err != nil {
		return nil, &openError{errors.Join(err, c.Close()), c.status}
	}
	return c, nil
}

func (c *SyscallTracer) open() error {
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
	if c.opts.TLS {
		c.seekLibraries(&c.opts)
	}
	backup := preemptsCalls()
	if err := c.configure(spec, dir, backup); err != nil {
		return err
	}
	if c.objects, err = loadMaps(spec); err != nil {
		return refusal(syscallMode, newer[syscallMode], err)
	}
	if err := c.control.open(c.objects.Maps[bpf.SyscallsMapControls]); err != nil {
		return err
	}
	if err := c.prepare(c.opts); err != nil {
		return err
	}
	in := &installer{
		mode: syscallMode, spec: spec, programs: &c.programs, fault: c.opts.Fault, loaded: c.seed,
		attach: func(def *programDef, program *ebpf.Program) (link.Link, error) {
			return c.attachCall(dir, def, program)
		},
		absent: func(def *programDef) error { return checkLayout(dir, def.hook) },
	}
	if err := in.install(c.features(backup, spec)); err != nil {
		return err
	}
	if err := c.SeekCompat(); err != nil {
		c.degraded = append(c.degraded, fmt.Errorf("%s: %w", withoutCompat, err))
	}
	if c.objects.Programs[bpf.SyscallsProgEnterBlocked] == nil {
		return nil
	}
	if err := c.enterBlocked(); err != nil {
		c.degraded = append(c.degraded, err)
	}
	return nil
}

// maxCallSockets bounds the kernel memory of sockets: some 300 bytes each with its overhead.
const maxCallSockets = 24576

// maxConnecting is of how many sockets the ends are learned at once that wait for the end of their handshake. Of more, calls and /proc show them.
const maxConnecting = 4096

func (c *SyscallTracer) configure(spec *ebpf.CollectionSpec, tracefs int, backup bool) error {
	if err := c.configureAll(spec, c.opts); err != nil {
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
		last = 0 // the kernel shows it from Linux 6.16 on
	}
	if backup {
		addBackupsOfCalls(spec)
	}
	if c.opts.payload() {
		users := bpf.SyscallsScratchUserUSER_TRANSFER_BACKUP
		if backup {
			users = bpf.SyscallsScratchUserEVENT_BUF_USERS
		}
		spec.Maps[bpf.SyscallsMapEventBufs].MaxEntries = uint32(cpus) * uint32(users)
	}
	if c.opts.TLS {
		spec.Maps[bpf.SyscallsMapParents].MaxEntries = uint32(max(c.opts.Processes, 1))
		if err := c.configureTLS(spec, c.opts); err != nil {
			return err
		}
	}
	ends, err := fieldOffset(tracefs, tcpReceives, "saddr_v6")
	if err != nil {
		ends = 0 // its program will not be attached
	}
	sockets := uint32(max(1, min(c.opts.Sockets, maxCallSockets)))
	spec.Maps[bpf.SyscallsMapCallSockets].MaxEntries = sockets
	spec.Maps[bpf.SyscallsMapConnecting].MaxEntries = min(sockets, maxConnecting)
	spec.Maps[bpf.SyscallsMapDescriptors].MaxEntries = 2 * sockets
	return set(spec, map[string]any{
		bpf.SyscallsVarCpus:                  uint32(cpus),
		bpf.SyscallsVarDatagramIdle:          uint64(c.opts.DatagramIdle),
		bpf.SyscallsVarForkChildOffset:       child,
		bpf.SyscallsVarExitGroupOffset:       last,
		bpf.SyscallsVarTcpReceiveLocalOffset: ends,
	})
}

// preemptsCalls reports whether tasks are preempted in programs of the tracepoints of calls, which therefore need backups:
// where these may be sleepable (Linux 7.2), those that are not are run in the same way (trace_call_bpf_faultable in the
// kernel's kernel/trace/bpf_trace.c).
func preemptsCalls() bool {
	probe, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "sf_probe", Type: ebpf.TracePoint, Flags: unix.BPF_F_SLEEPABLE, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return false // any other error will show when the real programs are loaded
	}
	_ = probe.Close()
	return true
}

// Close releases everything. Readers must no longer be in use.
func (c *SyscallTracer) Close() error { return errors.Join(c.control.close(), c.programs.Close()) }

// ShardOf returns the index of the reader that a socket's events come through.
func (c *SyscallTracer) ShardOf(cookie uint64) int { return int(cookie) & (c.opts.Shards - 1) }

// NewCookie gives a socket that user space found an identity whose events come through the shard.
func (c *SyscallTracer) NewCookie(shard int) uint64 {
	// Identities that the kernel side gives count up from 1.
	return 1<<62 | c.made.Add(1)*MaxShards | uint64(shard)
}

// Locate sets the network namespace of a process; name is its name in the events. An error is ignored, because it costs little: the
// children of the process are then looked up in /proc themselves.
func (c *SyscallTracer) Locate(name process.ID, netns uint32) {
	_ = c.notify(bpf.SyscallsProgLocate, nil, uint64(name.PID), name.Start, uint64(netns))
}

// Known reports whether the kernel side knows from a call that a descriptor leads to a socket.
func (c *SyscallTracer) Known(pid, fd uint32) bool {
	d, known, err := c.lookUp(pid, fd)
	return err == nil && known && bpf.SyscallsDescriptorKind(d.Kind) == bpf.SyscallsDescriptorKindDESCRIPTOR_SOCKET
}

// Asked reports whether the kernel still waits for the answer to a question.
func (c *SyscallTracer) Asked(pid, fd uint32, question uint64) bool {
	d, known, err := c.lookUp(pid, fd)
	return err == nil && known && bpf.SyscallsDescriptorKind(d.Kind) == bpf.SyscallsDescriptorKindDESCRIPTOR_ASKED && d.Id == question
}

// SetRuleMatch sets which rules a process matches, a bit each. name is its name in the events. In this mode user space applies the rules. The
// kernel side only has to know whose sockets are all left out, so that it remembers no UDP flows of theirs.
func (c *SyscallTracer) SetRuleMatch(name process.ID, generation uint32, rules uint64) error {
	if !c.opts.UDP || !leaveOutAll(c.opts.Rules, rules) {
		return nil
	}
	err := c.notify(bpf.SyscallsProgLeaveOut, nil, uint64(name.PID), name.Start, uint64(generation))
	if err != nil {
		return fmt.Errorf("leave out process %d: %w", name.PID, err)
	}
	return nil
}

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
