package preflight

import "strings"

// wanted is a hook that a mode attaches where it can, with what is lost where it cannot. It is here to be explained: whether
// it is attached is what package kernel says.
type wanted struct {
	name    string
	lost    string
	instead *replacement // what does its work where it is not there
}

// replacement is a hook that does the work of others.
type replacement struct{ name, cost string }

var (
	// anyExit takes the place of the exits of single calls where tracefs cannot be had (docs/decisions/0001-syscall-exits.md).
	anyExit = &replacement{"tp_btf/sys_exit", "at " + costOfAnyExit}
	// Behind functions of the protocols, transfers are seen before Linux 6.3.
	behindSending   = &replacement{"fexit/inet_sendmsg", "and others of its kind"}
	behindReceiving = &replacement{"fexit/inet_recvmsg", "and others of its kind"}
)

const (
	costOfAnyExit = "some 20 ns for every system call of the host"
	noTransfers   = "requests, Unix sockets and UDP are not seen"
	lateAccept    = "an accepted connection belongs to its listener's owner until its first transfer"
	earlyFailure  = "a connect that fails before its first packet is not seen"
	noSenders     = "of a datagram received on a socket that is not connected, the sender is not known"
)

// socketHooks are those of the socket mode that have a meaning of their own.
var socketHooks = []wanted{
	{name: "tp_btf/inet_sock_set_state", lost: "the mode does not work"},
	{"tp_btf/sock_send_length", noTransfers, behindSending},
	{"tp_btf/sock_recv_length", noTransfers, behindReceiving},
	{name: "tp_btf/sched_process_exec", lost: "a process that execs keeps its former name"},
	{name: "tp_btf/sched_process_exit", lost: "ended processes are remembered until they are the oldest"},
	{name: "tp_btf/cgroup_attach_task", lost: "a process that enters a container later is not judged again"},
	{"tracepoint/syscalls/sys_exit_accept", lateAccept, anyExit},
	{"tracepoint/syscalls/sys_exit_accept4", lateAccept, anyExit},
	{"tracepoint/syscalls/sys_exit_connect", earlyFailure, anyExit},
	{"tracepoint/syscalls/sys_exit_recvfrom", noSenders, anyExit},
	{"tracepoint/syscalls/sys_exit_recvmsg", noSenders, anyExit},
	{"tracepoint/syscalls/sys_exit_recvmmsg", noSenders, anyExit},
	{"tracepoint/syscalls/sys_exit_sendmmsg", "of the datagrams of one sendmmsg the first is counted", anyExit},
}

// describe says what became of the hooks of a mode. Those that are attached and not in the list are told by their names.
func describe(list []wanted, attached []string, works bool, has func(hook string) (there, known bool)) []Fact {
	attachedAt := map[string]bool{}
	for _, name := range attached {
		attachedAt[name] = true
	}
	told := map[string]bool{}
	var facts []Fact
	for _, hook := range list {
		fact := Fact{Name: hook.name, State: OK}
		there, known := has(hook.name)
		switch {
		case attachedAt[hook.name]:
			told[hook.name] = true
		case hook.instead != nil && attachedAt[hook.instead.name]:
			fact.State, fact.Found = Replaced, "by "+hook.instead.name+" "+hook.instead.cost
		case known && !there:
			fact.State, fact.Found, fact.Lost = Missing, "this kernel does not have it", hook.lost
		case !works:
			fact.State = Untried
			if known {
				fact.Found = "this kernel has it"
			}
		default:
			fact.State, fact.Lost = Less, hook.lost
		}
		facts = append(facts, fact)
	}
	for _, name := range attached {
		if !told[name] {
			told[name] = true
			facts = append(facts, Fact{Name: name, State: OK})
		}
	}
	return facts
}

// btfName is how BTF calls the type of a hook's arguments; none: it is not found that way.
func btfName(hook string) string {
	if tracepoint, found := strings.CutPrefix(hook, "tp_btf/"); found {
		return "btf_trace_" + tracepoint
	}
	return ""
}
