//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
)

// What is lost without a feature of the socket mode.
const (
	withoutExec     = "a process that execs keeps its former name"
	withoutMoves    = "the selection rules are not applied again to a process that enters a container later"
	withoutExits    = "ended processes are remembered until they are the oldest"
	withoutCalls    = "an accepted connection belongs to its listener's owner until its first transfer, a connect that fails before its first packet is not seen, of a datagram received on a socket that is not connected the sender is not known, and behind bytes that are spliced from a Unix socket its requests are wrong"
	withoutTransfer = "requests, Unix sockets and UDP are not seen"
	withoutBackup   = "what happens on a CPU while it runs the same program for another task is not seen, and counted as missed"
	withoutExisting = "connections that are older than the collector are not found, and those whose end no hook shows are remembered until they are the oldest"
	withoutUnowned  = "connections older than the collector that no process holds are not found, and TCP connections whose end no hook shows are remembered until they are the oldest"
	withoutUnix     = "Unix sockets whose end no hook shows are remembered until they are the oldest"
	withoutWaits    = "a request or a response that a blocking call sends is dated by the end of the call, not by its beginning"
	withoutPrograms = "requests within TLS of a program are seen some time after its first connection"
	withoutTLS      = "requests within TLS are not seen"
	withoutUring    = "what io_uring transfers is counted, and not read"
	withoutPolls    = "of a program with an event loop, a request is the child of the one that it had received only if that was the only one"
	withoutFlowEnds = "UDP flows do not end before the collector does"
)

// features of the socket mode in the order in which they are attached. Processes come first, so that the owner's exec and exit are seen
// once a socket is. The life of sockets comes last, so that a followed socket is seen in full.
func (c *SocketTracer) features(opts Options, backup bool) []feature {
	all := []feature{
		one(bpf.SocketflowProgProcessExec, "tp_btf/sched_process_exec", withoutExec),
		one(bpf.SocketflowProgProcessMoved, "tp_btf/cgroup_attach_task", withoutMoves),
		one(bpf.SocketflowProgProcessExit, "tp_btf/sched_process_exit", withoutExits),
		c.callExits(opts),
	}
	if opts.transfers() {
		all = append(all, transfers(opts))
	}
	if opts.Data {
		all = append(all, one(bpf.SocketflowProgThreadSwitch, "tp_btf/sched_switch", withoutWaits))
	}
	if opts.Causes {
		all = append(all, c.polls())
	}
	if opts.uring {
		all = append(all, uringRequests())
	}
	if opts.TLS {
		all = append(all, one(bpf.SocketflowProgTlsCall, c.libraryHook, withoutTLS),
			mappedCode())
	}
	if opts.transfers() && backup {
		for _, def := range transferTracepoints {
			f := one(def.name+backupSuffix, def.hook, withoutBackup)
			f.behind = def.name
			all = append(all, f)
		}
	}
	all = append(all,
		one(bpf.SocketflowProgSockState, "tp_btf/inet_sock_set_state", ""),
		one(bpf.SocketflowProgSockState+backupSuffix, "tp_btf/inet_sock_set_state", withoutBackup), // for softirqs on top of the former
		one(bpf.SocketflowProgExistingDescriptors, "iter/task_file", withoutExisting),
		one(bpf.SocketflowProgExistingUnowned, "iter/tcp", withoutUnowned))
	if opts.Unix {
		all = append(all, one(bpf.SocketflowProgExistingUnix, "iter/unix", withoutUnix))
	}
	if opts.UDP {
		all = append(all, one(bpf.SocketflowProgFlowPass, runHook, withoutFlowEnds))
	}
	return all
}

// callExits prefers the tracepoints of single calls: they cost the other calls less than half of what the raw tracepoint of all
// calls does (docs/decisions/0001-syscall-exits.md).
func (c *SocketTracer) callExits(opts Options) feature {
	single := []programDef{
		{name: bpf.SocketflowProgAcceptExit, hook: "tracepoint/syscalls/sys_exit_accept"},
		{name: bpf.SocketflowProgAccept4Exit, hook: "tracepoint/syscalls/sys_exit_accept4"},
		{name: bpf.SocketflowProgConnectExit, hook: "tracepoint/syscalls/sys_exit_connect"},
	}
	if opts.UDP { // who has sent a datagram is known at the exit
		single = append(single,
			programDef{name: bpf.SocketflowProgRecvfromExit, hook: "tracepoint/syscalls/sys_exit_recvfrom"},
			programDef{name: bpf.SocketflowProgRecvmsgExit, hook: "tracepoint/syscalls/sys_exit_recvmsg"})
	}
	if opts.transfers() { // the messages of a call are counted
		single = append(single,
			programDef{name: bpf.SocketflowProgRecvmmsgExit, hook: "tracepoint/syscalls/sys_exit_recvmmsg"},
			programDef{name: bpf.SocketflowProgSendmmsgExit, hook: "tracepoint/syscalls/sys_exit_sendmmsg"})
	}
	if opts.transfers() && opts.Unix { // no hook sees what is spliced from a Unix socket
		single = append(single, programDef{name: bpf.SocketflowProgSpliceExit, hook: "tracepoint/syscalls/sys_exit_splice"})
	}
	return feature{
		without: withoutCalls,
		ways:    [][]programDef{single, {{name: bpf.SocketflowProgAnyExit, hook: "tp_btf/sys_exit"}}},
		taken:   func() error { return c.objects.Variables[bpf.SocketflowVarSeesSyscalls].Set(uint32(1)) },
	}
}

// mappedCode sees files of code when they are mapped: by the kernel's function for mappings of files, which costs other mappings nothing, else at the exits of
// all.
func mappedCode() feature {
	return feature{
		without: withoutPrograms,
		ways: [][]programDef{
			{{name: bpf.SocketflowProgFileMapped, hook: "fentry/uprobe_mmap"}},
			{
				{name: bpf.SocketflowProgProgramExec, hook: "tp_btf/sched_process_exec"},
				{name: bpf.SocketflowProgMmapExit, hook: "tracepoint/syscalls/sys_exit_mmap"},
			},
		},
	}
}

// polls see where event loops wait.
func (c *SocketTracer) polls() feature {
	var single []programDef
	for _, p := range []struct{ name, call string }{
		{bpf.SocketflowProgEpollWaitExit, "epoll_wait"}, {bpf.SocketflowProgEpollPwaitExit, "epoll_pwait"},
		{bpf.SocketflowProgEpollPwait2Exit, "epoll_pwait2"}, {bpf.SocketflowProgPollExit, "poll"}, {bpf.SocketflowProgPpollExit, "ppoll"},
		{bpf.SocketflowProgSelectExit, "select"}, {bpf.SocketflowProgPselect6Exit, "pselect6"},
	} { // arm64 has fewer calls
		single = append(single, programDef{name: p.name, hook: "tracepoint/syscalls/sys_exit_" + p.call, elsewhere: true})
	}
	return feature{
		without: withoutPolls,
		ways:    [][]programDef{single, {{name: bpf.SocketflowProgAnyPoll, hook: "tp_btf/sys_exit"}}},
		taken:   func() error { return c.objects.Variables[bpf.SocketflowVarSeesPolls].Set(uint32(1)) },
	}
}

// transferTracepoints see transfers where the kernel has these tracepoints.
var transferTracepoints = []programDef{
	{name: bpf.SocketflowProgSocketSent, hook: "tp_btf/sock_send_length"},
	{name: bpf.SocketflowProgSocketReceived, hook: "tp_btf/sock_recv_length"},
}

// transfers are seen at tracepoints. Kernels before 6.3 do not have these: there, programs are attached behind the protocols' own
// functions, if the kernel allows it.
func transfers(opts Options) feature {
	functions := []programDef{
		{name: bpf.SocketflowProgInetSent, hook: "fexit/inet_sendmsg"},
		{name: bpf.SocketflowProgInet6Sent, hook: "fexit/inet6_sendmsg"},
		{name: bpf.SocketflowProgInetPageSent, hook: "fexit/inet_sendpage", elsewhere: true}, // until 6.4: what sendfile sends
		{name: bpf.SocketflowProgUnixSent, hook: "fexit/unix_stream_sendmsg", elsewhere: true},
		{name: bpf.SocketflowProgInetReceived, hook: "fexit/inet_recvmsg"},
		{name: bpf.SocketflowProgInet6Received, hook: "fexit/inet6_recvmsg"},
		{name: bpf.SocketflowProgUnixReceived, hook: "fexit/unix_stream_recvmsg", elsewhere: true},
	}
	f := feature{without: withoutTransfer, help: "run Linux 6.3 or newer"}
	switch opts.Attachment {
	case AttachTracepoint:
		f.ways = [][]programDef{transferTracepoints}
	case AttachFunction:
		f.ways = [][]programDef{functions}
	default:
		f.ways = [][]programDef{transferTracepoints, functions}
	}
	if opts.WholeOrNothing || opts.Attachment != AttachAny {
		f.without = ""
	}
	return f
}

// socketHooks attaches the programs of the socket mode.
type socketHooks struct {
	types     *btf.Spec
	tracefs   int   // the directory of events
	noTracefs error // why there is none
}

func (h *socketHooks) close() {
	if h.noTracefs == nil {
		unix.Close(h.tracefs) //nolint:errcheck // nothing was written
	}
}

// absent looks the hook up in the kernel's types (BTF): that is quicker than a refused load, and the error is clearer.
func (h *socketHooks) absent(def *programDef) error {
	var err error
	if tracepoint, ok := strings.CutPrefix(def.hook, tracingHook); ok {
		err = h.types.TypeByName("btf_trace_"+tracepoint, new(*btf.Typedef))
	} else if function, ok := functionOf(def.hook); ok {
		err = h.types.TypeByName(function, new(*btf.Func))
	} else if target, ok := strings.CutPrefix(def.hook, iteratorHook); ok {
		err = h.types.TypeByName("bpf_iter__"+target, new(*btf.Struct))
	} else if strings.HasPrefix(def.hook, tracepointHook) {
		return h.noTracefs
	}
	if errors.Is(err, btf.ErrNotFound) {
		return fmt.Errorf("%w: %w", errAbsent, err)
	}
	return nil // what else is amiss shows when it is loaded
}

// functionOf is the kernel's function that a program is attached to.
func functionOf(hook string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(hook, functionHook); !ok {
		name, ok = strings.CutPrefix(hook, entryHook)
	}
	return name, ok
}

func (h *socketHooks) attach(def *programDef, program *ebpf.Program) (link.Link, error) {
	if tracepoint, ok := strings.CutPrefix(def.hook, tracepointHook); ok {
		return attachTracepoint(h.tracefs, tracepoint, program)
	}
	if strings.HasPrefix(def.hook, iteratorHook) { // attached when it is run: whether it can be is of interest now
		l, err := link.AttachIter(link.IterOptions{Program: program})
		if err != nil {
			return nil, err
		}
		return nil, l.Close()
	}
	if def.hook == libraryHook || def.hook == probeHook { // as libraries are found
		return nil, nil
	}
	if def.hook == runHook { // with arguments for which it does nothing
		_, err := program.Run(&ebpf.RunOptions{Context: []uint64{0}})
		return nil, err
	}
	return link.AttachTracing(link.TracingOptions{Program: program})
}
