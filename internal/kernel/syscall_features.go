//go:build linux && (amd64 || arm64)

package kernel

import (
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/socketflow/socketflow/bpf"
)

// What is lost without a feature of the syscall mode. A feature whose absence would make the mode emit wrong telemetry, and not only
// less, has no such text: without it the mode does not work.
const (
	withoutSocketErrors = "a connection that is made while its thread does not wait in connect is open from its first transfer on, and is not seen if it fails"
	withoutNames        = "addresses that a program asks for have to be looked for in /proc"
	withoutCloexec      = "a descriptor that ioctl marks is taken to stay open over exec"
	withoutImages       = "the executable and the service name of a process that is gone in an instant are not known"
	withoutBatches      = "what sendmmsg and recvmmsg transfer is not seen"
	withoutAdoption     = "sockets that no call has made known, older ones first of all, are not found"
	withoutSweep        = "descriptors whose close no call shows are remembered until they are the oldest"
	withoutBlocked      = "calls that threads were waiting in when the collector started are not seen to return"
	withoutLeavingOut   = "UDP flows that include and exclude leave out take places of those that are followed"
	withoutCompat       = "32-bit programs are not seen"
	withoutTCPStates    = "the local port of a client's connection has to be looked for in /proc, and is missing if the connection is gone by then"
	withoutTCPReceives  = "the local address of an accepted connection has to be looked for in /proc, and is missing if the connection is gone by then"
	withoutLocation     = "the network namespace of every process has to be looked for in /proc"
)

// tracedCall is a system call and the programs at its enter and exit.
type tracedCall struct {
	name, exit, enter string // of the call and of the programs; empty: none
	without           string // what is lost without it; empty: the mode does not work
	elsewhere         bool   // not on every architecture, or newer than Linux 5.8
}

// tracedCalls are attached in this order: calls that make descriptors come before calls that use them.
var tracedCalls = []tracedCall{
	{name: "execve", exit: bpf.SyscallsProgExitExec},
	{name: "execveat", exit: bpf.SyscallsProgExitExec},
	{name: "setns", exit: bpf.SyscallsProgExitNamespace},
	{name: "unshare", exit: bpf.SyscallsProgExitNamespace},
	{name: "clone", enter: bpf.SyscallsProgEnterClone},
	{name: "clone3", enter: bpf.SyscallsProgEnterClone3},
	{name: "close", enter: bpf.SyscallsProgEnterClose},
	{name: "close_range", enter: bpf.SyscallsProgEnterCloseRange, elsewhere: true},
	{name: "fcntl", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterFcntl},
	{name: "ioctl", enter: bpf.SyscallsProgEnterIoctl, without: withoutCloexec},
	{name: "dup", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf1},
	{name: "dup2", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf2, elsewhere: true},
	{name: "dup3", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf3},
	{name: "socket", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf3},
	{name: "socketpair", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf4},
	{name: "bind", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf3},
	{name: "listen", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf2},
	{name: "accept", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf3},
	{name: "accept4", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf4},
	{name: "connect", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf3},
	{name: "getsockname", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf3, without: withoutNames},
	{name: "getpeername", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf3, without: withoutNames},
	{name: "getsockopt", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf5, without: withoutSocketErrors},
	{name: "shutdown", exit: bpf.SyscallsProgExitControl, enter: bpf.SyscallsProgEnterControlOf2},
	{name: "read", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf3},
	{name: "write", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf3},
	{name: "readv", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf3},
	{name: "writev", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf3},
	{name: "preadv2", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf6},
	{name: "pwritev2", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf6},
	{name: "sendto", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf6},
	{name: "recvfrom", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf6},
	{name: "sendmsg", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf3},
	{name: "recvmsg", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf3},
	{name: "sendfile64", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterTransferOf4},
	{name: "splice", exit: bpf.SyscallsProgExitTransfer, enter: bpf.SyscallsProgEnterSplice},
	{name: "sendmmsg", exit: bpf.SyscallsProgExitBatch, enter: bpf.SyscallsProgEnterTransferOf4, without: withoutBatches},
	{name: "recvmmsg", exit: bpf.SyscallsProgExitBatch, enter: bpf.SyscallsProgEnterTransferOf4, without: withoutBatches},
}

// feature attaches the exit before the enter, so that the exit of every saved call is seen.
func (t *tracedCall) feature() feature {
	var way []programDef
	if t.exit != "" {
		way = append(way, programDef{name: t.exit, hook: "tracepoint/syscalls/sys_exit_" + t.name, elsewhere: t.elsewhere})
	}
	if t.enter != "" {
		way = append(way, programDef{name: t.enter, hook: "tracepoint/syscalls/sys_enter_" + t.name, elsewhere: t.elsewhere})
	}
	return feature{without: t.without, ways: [][]programDef{way}}
}

// features of the syscall mode in the order in which they are attached.
func (c *SyscallTracer) features(backup bool, spec *ebpf.CollectionSpec) []feature {
	run := func(without string, names ...string) feature {
		var way []programDef
		for _, name := range names {
			way = append(way, programDef{name: name, hook: runHook})
		}
		return feature{without: without, ways: [][]programDef{way}}
	}
	all := []feature{
		run(withoutAdoption, bpf.SyscallsProgLookUp, bpf.SyscallsProgAdopt, bpf.SyscallsProgReject),
		run(withoutSweep, bpf.SyscallsProgVanish),
		run(withoutLocation, bpf.SyscallsProgLocate),
		one(bpf.SyscallsProgProcessFork, "tracepoint/sched/sched_process_fork", ""),
		one(bpf.SyscallsProgProcessExit, "tracepoint/sched/sched_process_exit", ""),
		{without: withoutImages, ways: [][]programDef{{
			{name: bpf.SyscallsProgEnterExecve, hook: "tracepoint/syscalls/sys_enter_execve"},
			{name: bpf.SyscallsProgEnterExecveat, hook: "tracepoint/syscalls/sys_enter_execveat"},
		}}},
		one(bpf.SyscallsProgTcpState, tracepointHook+tcpStates, withoutTCPStates),
		one(bpf.SyscallsProgTcpReceive, tracepointHook+tcpReceives, withoutTCPReceives),
	}
	if c.opts.UDP {
		all = append(all, run(withoutFlowEnds, bpf.SyscallsProgAskDatagrams), run(withoutLeavingOut, bpf.SyscallsProgLeaveOut))
	}
	for i := range tracedCalls {
		all = append(all, tracedCalls[i].feature())
	}
	if backup {
		all = append(all, backupsOfCalls(spec)...)
	}
	if c.opts.TLS {
		all = append(all, one(bpf.SyscallsProgTlsCall, c.libraryHook, withoutTLS))
	}
	if runsCompat() {
		all = append(all, feature{without: withoutCompat, ways: [][]programDef{{
			{name: bpf.SyscallsProgCompatExit, hook: rawHook + "sys_exit"},
			{name: bpf.SyscallsProgCompatEnter, hook: rawHook + "sys_enter"},
		}}})
	}
	// When every exit is seen.
	return append(all, run(withoutBlocked, bpf.SyscallsProgEnterBlocked, bpf.SyscallsProgLeaveBlocked))
}

// addBackupsOfCalls puts a backup beside each program of a call. That of ioctl has none.
func addBackupsOfCalls(spec *ebpf.CollectionSpec) {
	for i := range tracedCalls {
		for _, def := range tracedCalls[i].feature().ways[0] {
			if def.name != bpf.SyscallsProgEnterIoctl && spec.Programs[def.name+backupSuffix] == nil {
				addBackups(spec, def.name)
			}
		}
	}
}

// backupsOfCalls are the backups, each wherever its primary is.
func backupsOfCalls(spec *ebpf.CollectionSpec) (all []feature) {
	ways := map[string][]programDef{}
	for i := range tracedCalls {
		for _, def := range tracedCalls[i].feature().ways[0] {
			def.name += backupSuffix
			ways[def.name] = append(ways[def.name], def)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		if spec.Programs[name] != nil {
			all = append(all, feature{
				without: withoutBackup, behind: strings.TrimSuffix(name, backupSuffix), ways: [][]programDef{ways[name]},
			})
		}
	}
	return all
}

func (c *SyscallTracer) attachCall(tracefs int, def *programDef, program *ebpf.Program) (link.Link, error) {
	if tracepoint, ok := strings.CutPrefix(def.hook, tracepointHook); ok {
		return attachTracepoint(tracefs, tracepoint, program)
	}
	if tracepoint, ok := strings.CutPrefix(def.hook, rawHook); ok {
		l := &standbyLink{tracepoint: tracepoint, program: program}
		c.standby = append(c.standby, l)
		return l, nil
	}
	return nil, nil // run by user space, or attached as libraries are found
}
