/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * UDP in the socket mode. The open of a flow is emitted with its first datagram. Its end is emitted by a pass of user space
 * (datagram_pass.h), after some time without a datagram.
 */
#pragma once

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

/*
 * Flows that were left out, so that they are counted once: a hash of the key, in a slot that the hash picks. A flow whose slot another
 * one has taken is counted again.
 */
#define LEFT_OUT_SLOTS 4096 /* a power of two */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LEFT_OUT_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} left_out_flows SEC(".maps");

static __always_inline void note_left_out(const struct datagram_key *key)
{
	__u32 hash = hash_of_flow(key), slot = hash >> 1 & (LEFT_OUT_SLOTS - 1);
	__u32 *noted = bpf_map_lookup_elem(&left_out_flows, &slot);

	if (!noted || *noted == hash)
		return;
	*noted = hash;
	count(COUNTER_IGNORED);
}

/* A datagram that a call has transferred. */
struct datagram {
	struct flow flow; /* its cookie is the socket's; without the remote port: from or to whom is not known */
	struct source from; /* where its bytes are */
	struct datagram_key key;
	struct stream stream; /* as emit_datagram needs it */
	struct owner owner;   /* who transfers it, once somebody asks */
	struct datagram_want want;
	struct user_message message; /* of its call */
	__u64 began; /* when the call that sent it began to wait; 0: it did not */
	__u32 length;
	__u32 direction;
	__u32 unknown; /* where its bytes are */
	__u32 event_buf; /* which one */
	__u32 uring;     /* io_uring has transferred it */
	__u32 pad;
};

/* What a program needs for a datagram. It is not on the stack, where there is too little room. */
struct datagram_buf {
	struct datagram datagram;
	struct datagram_flow fresh; /* if it is the first one of its flow */
};

/* By the program's number in event_bufs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, struct datagram_buf);
} datagram_bufs SEC(".maps");

static __always_inline struct datagram *datagram_in(__u32 buf)
{
	struct datagram_buf *b = bpf_map_lookup_elem(&datagram_bufs, &buf);

	return b ? &b->datagram : NULL;
}

/* Threads within a call that receives from any sender. The sender is known when the call returns. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct datagram);
} datagram_receives SEC(".maps");

/*
 * A flow begins, unless it is left out. Who is left out takes no entry, because the flows that are followed would have to give
 * way to it: each of its datagrams is judged.
 */
static __always_inline struct datagram_flow *open_datagrams(struct datagram_buf *b, __u64 now)
{
	struct datagram *g = &b->datagram;
	struct owner *owner = &g->owner;
	struct process *known = current_owner(owner);
	struct datagram_user user = {.pid = owner->pid, .start = owner->start};
	struct reservation r;
	struct open_event *e;

	if (is_ignored(owner, g->flow.local_port, g->flow.remote_port)) {
		note_left_out(&g->key);
		return NULL;
	}
	begin_datagrams(&b->fresh, &g->flow, next_datagram_cookie(), &user, g->direction, now);
	emit_process_once(owner, known, shard_of(b->fresh.flow.cookie));
	e = begin_owned_open(&r, EVENT_OPEN, &b->fresh.flow, owner);
	if (e)
		e->header.time = e->started = now;
	return enter_datagrams(&g->key, &b->fresh, &r, e);
}

/* The process is another one than before. The rules may leave its datagrams out; if not, the shard needs its description. */
static __always_inline bool enters_flow(struct datagram_flow *d, struct owner *owner)
{
	struct process *known = current_owner(owner);

	if (is_ignored(owner, d->flow.local_port, d->flow.remote_port))
		return false;
	d->task_pid = owner->pid;
	emit_process_once(owner, known, shard_of(d->flow.cookie));
	return true;
}

static __always_inline void describe_flow(const struct datagram_flow *d, struct owner *owner)
{
	struct reservation r;
	struct open_event *e;

	current_owner(owner);
	e = begin_flow_description(&r, d);
	if (!e)
		return;
	e->header.pid = owner->pid;
	e->header.start = owner->start;
	e->cgroup = owner->cgroup;
	submit(&r, e);
}

/* Causes and goroutines of datagrams. */
static __always_inline void note_datagram(const struct datagram_flow *d, const struct datagram *g, struct event_buf *event_buf,
					  const struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs((struct task_struct *)task);

	if (g->uring) { /* as in on_transfer */
		event_buf->event.cause.length = 0;
		event_buf->event.goroutine.number = 0;
		return;
	}
	if (g->direction == DIRECTION_SENT) {
		read_cause(&event_buf->event.cause, task);
	} else {
		note_received(task, d->flow.cookie, d->bytes[DIRECTION_RECEIVED] + g->length, g->length, false);
		event_buf->event.cause.length = 0;
	}
	note_goroutine(event_buf, task, regs, g->direction, d->flow.role);
}

static __always_inline void capture_datagram(struct datagram_flow *d, struct datagram *g, __u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 direction = g->direction & 1;
	struct event_buf *event_buf;

	if (!is_datagram_wanted(d, direction, g->length, &g->want))
		return;
	if (d->task_pid != task->tgid && !enters_flow(d, &g->owner))
		return;
	if (g->want.describe)
		describe_flow(d, &g->owner);
	event_buf = bpf_map_lookup_elem(&event_bufs, &g->event_buf);
	if (!event_buf)
		return;
	event_buf->event.header.pid = task->tgid;
	event_buf->event.header.start = task->group_leader->start_boottime;
	note_datagram(d, g, event_buf, task);
	reset_emission(&event_buf->emission, g->event_buf);
	event_buf->emission.g.from = g->from;
	event_buf->emission.g.want = g->want.bytes;
	emit_datagram(d, event_buf, &event_buf->emission.g, &g->stream, direction, g->length, g->unknown, g->want.urgent,
		      g->began, now);
}

/* The datagram in that one of datagram_bufs. Not static, so that the verifier looks at it once, and not at each call. */
__noinline int count_datagram(__u32 buf)
{
	struct datagram_buf *b = bpf_map_lookup_elem(&datagram_bufs, &buf);
	struct datagram_flow *d;
	struct datagram *g;
	__u64 now;

	if (!b)
		return 0;
	g = &b->datagram;
	now = bpf_ktime_get_ns();
	g->key.cookie = g->flow.cookie;
	__builtin_memcpy(g->key.remote, g->flow.remote, sizeof(g->key.remote));
	g->key.remote_port = g->flow.remote_port;
	d = bpf_map_lookup_elem(&datagrams, &g->key);
	if (!d)
		d = open_datagrams(b, now);
	if (!d)
		return 0;
	if (follow_datagram_data)
		capture_datagram(d, g, now);
	add_datagram(d, g->direction & 1, g->length, now);
	return 0;
}

/* Finds where the call under way has the bytes of the datagram, and where the remote address; 0: nowhere. */
static __always_inline __u64 find_datagram(struct datagram *g, const struct call_args *c, struct task_struct *task)
{
	__u64 address = c->second, name = c->fifth;
	struct user_message *m = &g->message;
	int done;

	barrier_var(name); /* else one load serves for registers and message, which the verifier does not take */
	g->from.compat = c->compat;
	switch (c->nr) {
	case NR_SENDMMSG:
	case NR_RECVMMSG:
		done = c->compat ? -1 : messages_done(task);
		if (done < 0)
			return 0;
		address += done * sizeof(struct user_batch_message);
		/* fallthrough */
	case NR_SENDMSG:
	case NR_RECVMSG:
		g->unknown = !from_message(&g->from, m, address);
		return g->unknown ? 0 : m->name;
	}
	g->unknown = !find_bytes(&g->from, m, c->nr, address, c->third, g->length);
	return c->nr == NR_SENDTO || c->nr == NR_RECVFROM ? name : 0;
}

static __always_inline bool is_receive(long nr)
{
	return nr == NR_RECVFROM || nr == NR_RECVMSG || nr == NR_RECVMMSG;
}

/* began: when the call began to wait; 0: it did not. */
static __always_inline void on_datagram(struct sock *sk, int length, __u32 direction, __u64 began)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u32 buf = transfer_buf(direction), tid = task->pid;
	struct call_args c = {};
	struct datagram *g;
	__u64 name;

	/* The kernel's own sockets (tunnels, network file systems) have no file. */
	if (!is_inet(sk->__sk_common.skc_family) || !sk->sk_socket->file)
		return;
	bool in_call = !(task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER)) && SYSCALL_UNDER_WAY(regs);
	if (in_call) {
		read_args(&c, task, regs);
		in_call = fd_is_sock(task, c.fd, sk);
	}
	if (!length) { /* it is not emitted, but a message of its call */
		if (in_call && !c.compat && (c.nr == NR_SENDMMSG || c.nr == NR_RECVMMSG))
			messages_done(task);
		return;
	}
	g = datagram_in(buf);
	if (!g)
		return;
	__builtin_memset(g, 0, sizeof(*g));
	read_flow(&g->flow, sk);
	g->flow.transport = TRANSPORT_UDP;
	g->flow.cookie = bpf_get_socket_cookie(sk);
	g->length = length;
	g->began = began;
	g->direction = direction;
	g->event_buf = buf;
	g->unknown = 1;
	if (!in_call) { /* from or to whom is known only if it is connected */
		g->uring = is_uring_work(task, regs);
		if (g->uring && follow_datagram_data)
			g->unknown = !find_in_request(&g->from, task, sk, length, direction);
		count_datagram(buf);
		return;
	}
	if (!g->flow.remote_port && direction == DIRECTION_RECEIVED && sees_syscalls && !c.compat && is_receive(c.nr)) {
		bpf_map_update_elem(&datagram_receives, &tid, g, BPF_ANY);
		return;
	}
	name = find_datagram(g, &c, task);
	if (name && direction == DIRECTION_SENT) /* counts for more than that of connect (ip(7), udp(7)) */
		read_remote(&g->flow, name);
	count_datagram(buf);
}

#define BATCH_MAX 64 /* messages of one recvmmsg whose senders are read */

/* A message of recvmmsg, at its exit. Not static, for the verifier. */
__noinline int on_received_message(__u32 buf, __u64 address)
{
	struct datagram *g = datagram_in(buf);
	struct user_batch_message b;

	if (!g || bpf_probe_read_user(&b, sizeof(b), (void *)address) || !(__u32)b.length)
		return 0;
	g->length = b.length;
	__builtin_memset(&g->from, 0, sizeof(g->from));
	g->event_buf = buf;
	g->from.iov = b.message.iov;
	g->from.count = b.message.iov_length;
	g->unknown = 0;
	g->flow.remote_port = 0; /* that of the message before */
	__builtin_memset(g->flow.remote, 0, sizeof(g->flow.remote));
	if (b.message.name)
		read_remote(&g->flow, b.message.name);
	return count_datagram(buf);
}

/* The exit of a call that receives. Only now is the sender's address in the task's memory. */
static __always_inline void on_receive_exit(long ret, enum exit_user user)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u32 tid = task->pid, buf = exit_buf(user);
	struct datagram *waiting = bpf_map_lookup_elem(&datagram_receives, &tid), *g;
	struct call_args c;
	__u64 name;

	if (!waiting)
		return;
	g = datagram_in(buf);
	if (g) {
		*g = *waiting;
		g->event_buf = buf;
	}
	bpf_map_delete_elem(&datagram_receives, &tid);
	if (!g)
		return;
	if (user == EXIT_RECVMMSG) {
		for (long i = 0; i < BATCH_MAX && i < ret; i++)
			on_received_message(buf, SYSCALL_ARG2(regs) + i * sizeof(struct user_batch_message));
		if (ret > BATCH_MAX)
			count_more(COUNTER_BATCH_REST, ret - BATCH_MAX);
		return;
	}
	if (ret != g->length) /* of a call before this one, whose exit was not seen */
		return;
	read_args(&c, task, regs);
	name = find_datagram(g, &c, task);
	if (name)
		read_remote(&g->flow, name);
	count_datagram(buf);
}
