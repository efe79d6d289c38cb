//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"

	"github.com/socketflow/socketflow/bpf"
)

// hook is a BTF-typed raw tracepoint that a program is attached to.
type hook struct {
	program    string
	tracepoint string
	without    string // what is lost without it; empty: nothing works without it
	transfers  bool   // only where transfers are of interest
	again      bool   // looks at what another program at the tracepoint was skipped for; only where programs are preempted
}

func (h hook) optional() bool { return h.without != "" }

const noTransfers = "requests, Unix sockets and UDP are not seen (kernels from 6.3 on show them)"

const noTransfersAgain = "a transfer is not seen if another task was preempted at its own"

// hooks in the order in which they are attached: processes first, so that no socket is seen before its owner's life.
var hooks = [...]hook{
	{program: bpf.SocketflowProgProcessExec, tracepoint: "sched_process_exec",
		without: "a process that execs keeps its former name"},
	{program: bpf.SocketflowProgProcessMoved, tracepoint: "cgroup_attach_task",
		without: "a process that enters a container later is not judged again"},
	{program: bpf.SocketflowProgProcessExit, tracepoint: "sched_process_exit",
		without: "ended processes are remembered until they are the oldest"},
	{program: bpf.SocketflowProgSocketSent, tracepoint: "sock_send_length", transfers: true,
		without: noTransfers},
	{program: bpf.SocketflowProgSocketReceived, tracepoint: "sock_recv_length", transfers: true,
		without: noTransfers},
	{program: bpf.SocketflowProgSocketSentAgain, tracepoint: "sock_send_length", transfers: true, again: true, // behind the former
		without: noTransfersAgain},
	{program: bpf.SocketflowProgSocketReceivedAgain, tracepoint: "sock_recv_length", transfers: true, again: true,
		without: noTransfersAgain},
	{program: bpf.SocketflowProgSockState, tracepoint: "inet_sock_set_state"},
	{program: bpf.SocketflowProgSockStateAgain, tracepoint: "inet_sock_set_state"}, // for what interrupts the former
}

// behind is a function of the kernel behind which a program is attached, where the tracepoints of transfers are missing.
type behind struct {
	program  string
	function string
	optional bool // not every kernel has it, and another program serves
}

var behinds = [...]behind{
	{program: bpf.SocketflowProgInetSent, function: "inet_sendmsg"},
	{program: bpf.SocketflowProgInet6Sent, function: "inet6_sendmsg"},
	{program: bpf.SocketflowProgInetPageSent, function: "inet_sendpage", optional: true}, // until 6.4: what sendfile sends
	{program: bpf.SocketflowProgUnixSent, function: "unix_stream_sendmsg", optional: true},
	{program: bpf.SocketflowProgInetReceived, function: "inet_recvmsg"},
	{program: bpf.SocketflowProgInet6Received, function: "inet6_recvmsg"},
	{program: bpf.SocketflowProgUnixReceived, function: "unix_stream_recvmsg", optional: true},
}

// attachBehind attaches all of them or none.
func (c *Capture) attachBehind() error {
	var links []link.Link
	for _, b := range behinds {
		program := c.objects.Programs[b.program]
		if program == nil {
			continue // pruned
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			for _, l := range links {
				err = errors.Join(err, l.Close())
			}
			return fmt.Errorf("attach behind function %s: %w", b.function, err)
		}
		links = append(links, l)
	}
	for _, b := range behinds {
		if c.objects.Programs[b.program] != nil {
			c.attached = append(c.attached, "fexit/"+b.function)
		}
	}
	c.links = append(c.links, links...)
	return nil
}

func (c *Capture) attach(exits *syscallExits, opts Options) error {
	if err := c.attachBehind(); err != nil {
		if opts.WholeOrNothing || opts.Attachment == AttachFunction {
			return unsupported(socketMode, "the kernel has the tracepoint sock_send_length, or lets programs be attached behind functions",
				"run Linux 6.3 or newer", err)
		}
		c.degraded = append(c.degraded, fmt.Errorf("%s: %w", noTransfers, err))
	}
	if err := c.attachExits(exits); err != nil {
		c.degraded = append(c.degraded, fmt.Errorf("the exits of accept and connect cannot be traced: an accepted "+
			"connection belongs to its listener's owner, a connect that fails before its first packet is not seen: %w", err))
	}
	for _, h := range hooks {
		program := c.objects.Programs[h.program]
		if program == nil {
			continue // pruned
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		switch {
		case err == nil:
			c.links = append(c.links, l)
			c.attached = append(c.attached, "tp_btf/"+h.tracepoint)
		case h.optional():
			c.degraded = append(c.degraded, fmt.Errorf("attach to tracepoint %s: %w: %s", h.tracepoint, err, h.without))
		default:
			return attachError(socketMode, h.tracepoint, err)
		}
	}
	return nil
}

// attachExits prefers the tracepoints of the three calls: they cost the other calls less than half of what the raw
// tracepoint of all calls does (docs/decisions/0001-syscall-exits.md).
func (c *Capture) attachExits(exits *syscallExits) error {
	if exits.found() {
		for _, call := range exits.calls {
			l, err := exits.attach(call.name, c.objects.Programs[call.program])
			if err != nil {
				return err
			}
			c.links = append(c.links, l)
			c.attached = append(c.attached, "tracepoint/syscalls/sys_exit_"+call.name)
		}
	} else {
		l, err := link.AttachTracing(link.TracingOptions{Program: c.objects.Programs[bpf.SocketflowProgAnyExit]})
		if err != nil {
			return errors.Join(err, exits.reason)
		}
		c.links = append(c.links, l)
		c.attached = append(c.attached, "tp_btf/sys_exit")
	}
	return c.objects.Variables[bpf.SocketflowVarSeesSyscalls].Set(uint32(1))
}
