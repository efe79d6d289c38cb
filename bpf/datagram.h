/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * UDP: the datagrams between a socket and one remote address are a flow. Its open is emitted with its first datagram. Its end
 * is emitted by a pass of user space, after some time without a datagram. In between, datagrams are only counted.
 */
#pragma once

/* Set before the programs are loaded: how many flows one step of a pass reports at most. */
const volatile __u32 flows_per_step = 0;

/* How many messages of this sendmmsg or recvmmsg came before; -1: that cannot be known. */
static __always_inline int messages_done(struct task_struct *task)
{
	__u32 tid = task->pid, first = 1, *done;

	if (!sees_syscalls) /* nobody resets the count */
		return -1;
	done = bpf_map_lookup_elem(&batches, &tid);
	if (done)
		return (*done)++;
	return bpf_map_update_elem(&batches, &tid, &first, BPF_ANY) ? -1 : 0;
}

static __always_inline void on_batch_exit(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 tid = task->pid;

	bpf_map_delete_elem(&batches, &tid);
}

static __always_inline __u64 next_datagram_cookie(void)
{
	__u32 zero = 0;
	__u64 *last = bpf_map_lookup_elem(&datagram_cookies, &zero);

	/* Differs from sockets' cookies, which count up from 1, and from the flows' cookies of other CPUs. */
	return 1ull << 63 | (__u64)bpf_get_smp_processor_id() << 40 | (last ? ++*last : 0);
}

static __always_inline void open_datagrams(struct datagram_flow *d, const struct flow *flow, __u32 direction, __u64 now)
{
	struct owner owner;
	struct process *known = current_owner(&owner);
	struct reservation r;
	struct open_event *e;

	begin_datagrams(d, flow, next_datagram_cookie(), direction, now);
	d->owner_pid = owner.pid;
	d->owner_start = owner.start;
	d->ignored = is_ignored(&owner, flow->local_port, flow->remote_port);
	if (d->ignored) {
		count(COUNTER_IGNORED);
		return;
	}
	emit_process_once(&owner, known, shard_of(d->flow.cookie));
	e = begin_owned_open(&r, EVENT_OPEN, &d->flow, &owner);
	if (!e)
		return;
	e->header.time = e->started = now;
	submit(&r, e);
}

/* The flow's cookie is the socket's until the flow has its own. */
__noinline int count_datagram(const struct flow *flow, __u32 length, __u32 direction)
{
	struct datagram_key key = {};
	struct datagram_flow *d;
	__u64 now = bpf_ktime_get_ns();

	if (!flow || direction >= DIRECTIONS)
		return 0;
	key.cookie = flow->cookie;
	__builtin_memcpy(key.remote, flow->remote, sizeof(key.remote));
	key.remote_port = flow->remote_port;
	d = datagram_flow_of(&key);
	if (!d)
		return 0;
	if (d->closed)
		open_datagrams(d, flow, direction, now);
	add_datagram(d, direction, length, now);
	return 0;
}

/* Where the call under way names the remote address; 0: nowhere. */
static __always_inline __u64 named_remote(struct pt_regs *regs)
{
	long nr = SYSCALL_NR(regs);
	struct user_message message;
	__u64 name = SYSCALL_ARG5(regs);

	if (nr == NR_SENDTO || nr == NR_RECVFROM)
		return name;
	barrier_var(name); /* else one load serves for registers and message, which the verifier does not take */
	if ((nr != NR_SENDMSG && nr != NR_RECVMSG) ||
	    bpf_probe_read_user(&message, sizeof(message), (void *)SYSCALL_ARG2(regs)))
		return 0;
	return message.name;
}

static __always_inline void on_datagram(struct sock *sk, int length, __u32 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct flow flow = {};
	struct pt_regs *regs;

	/* The kernel's own sockets (tunnels, network file systems) have no file. */
	if (!is_inet(sk->__sk_common.skc_family) || !sk->sk_socket->file)
		return;
	read_flow(&flow, sk);
	flow.transport = TRANSPORT_UDP;
	flow.cookie = bpf_get_socket_cookie(sk);
	if (flow.remote_port) { /* connected */
		count_datagram(&flow, length, direction);
		return;
	}
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if ((task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER)) || !SYSCALL_UNDER_WAY(regs)) {
		count_datagram(&flow, length, direction); /* with nobody known */
		return;
	}
	long nr = SYSCALL_NR(regs);
	if (sees_syscalls && (nr == NR_RECVFROM || nr == NR_RECVMSG || nr == NR_RECVMMSG)) {
		struct datagram_receive receive = {.flow = flow, .length = length};
		__u32 tid = task->pid;
		bpf_map_update_elem(&datagram_receives, &tid, &receive, BPF_ANY);
		return;
	}
	if (nr == NR_SENDMMSG) {
		struct user_message message;
		int done = messages_done(task);
		if (done >= 0 && !bpf_probe_read_user(&message, sizeof(message),
						      (void *)(SYSCALL_ARG2(regs) + done * sizeof(struct user_batch_message))))
			read_remote(&flow, message.name);
	} else if (direction == DIRECTION_SENT) {
		__u64 name = named_remote(regs);
		if (name)
			read_remote(&flow, name);
	}
	count_datagram(&flow, length, direction);
}

#define BATCH_MAX 64 /* messages of one recvmmsg whose senders are read */

/* The exit of a call that receives. Only now is the sender's address in the task's memory. */
static __always_inline void on_receive_exit(long ret, bool batch)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 tid = task->pid;
	struct datagram_receive *waiting = bpf_map_lookup_elem(&datagram_receives, &tid);
	struct datagram_receive receive;
	struct pt_regs *regs;

	if (!waiting)
		return;
	receive = *waiting;
	bpf_map_delete_elem(&datagram_receives, &tid);
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (!batch) {
		__u64 name = named_remote(regs);
		if (name)
			read_remote(&receive.flow, name);
		count_datagram(&receive.flow, receive.length, DIRECTION_RECEIVED);
		return;
	}
	for (long i = 0; i < BATCH_MAX && i < ret; i++) {
		struct user_batch_message message;
		if (bpf_probe_read_user(&message, sizeof(message), (void *)(SYSCALL_ARG2(regs) + i * sizeof(message))))
			return;
		if (message.message.name)
			read_remote(&receive.flow, message.message.name);
		count_datagram(&receive.flow, (__u32)message.length, DIRECTION_RECEIVED);
	}
}

/* The flow goes on. */
static __always_inline void emit_live_datagrams(const struct datagram_flow *d)
{
	struct reservation r;
	struct live_event *e = begin_event(&r, shard_of(d->flow.cookie), EVENT_LIVE, sizeof(*e));

	if (!e)
		return;
	e->cookie = d->flow.cookie;
	for (int i = 0; i < DIRECTIONS; i++) {
		e->bytes[i] = d->bytes[i];
		e->datagrams[i] = d->datagrams[i];
	}
	submit(&r, e);
}

static __always_inline void emit_ended_datagrams(const struct datagram_flow *d)
{
	struct reservation r;
	struct close_event *e = begin_event(&r, shard_of(d->flow.cookie), EVENT_CLOSE, sizeof(*e));

	if (!e)
		return;
	e->header.pid = d->owner_pid;
	e->header.time = d->last;
	e->header.start = d->owner_start;
	e->flow = d->flow;
	e->started = d->started;
	e->established = d->started;
	e->bytes_sent = d->bytes[DIRECTION_SENT];
	e->bytes_received = d->bytes[DIRECTION_RECEIVED];
	e->segments_sent = d->datagrams[DIRECTION_SENT];
	e->segments_received = d->datagrams[DIRECTION_RECEIVED];
	submit(&r, e);
}

/*
 * Reports which flows have ended and which go on. User space runs a pass in several steps. Each reports at most
 * flows_per_step flows, so that the ring buffers can be read in between. A step that reports none ends the pass.
 */
struct flow_step {
	__u64 now;
	__u32 pass;
	__u32 reported;
};

static long report_flow(void *map, const struct datagram_key *key, struct datagram_flow *d, struct flow_step *step)
{
	if (d->closed || d->ignored || d->pass == step->pass)
		return 0;
	d->pass = step->pass;
	if (d->last + datagram_idle > step->now) {
		emit_live_datagrams(d);
	} else {
		d->closed = 1;
		emit_ended_datagrams(d);
	}
	return ++step->reported >= flows_per_step;
}

static __always_inline int on_flow_pass(__u32 pass)
{
	struct flow_step step = {.now = bpf_ktime_get_ns(), .pass = pass};

	bpf_for_each_map_elem(&datagrams, report_flow, &step, 0);
	return step.reported;
}
