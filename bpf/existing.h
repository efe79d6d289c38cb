/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Iterators over existing sockets. User space runs them once the hooks are attached, to find sockets that are older than the
 * programs: listeners first, because they decide the role of every other socket; then all descriptors of all processes, in
 * whatever network namespace; then, per network namespace, the sockets without a descriptor. Later it runs the same iterators
 * as a live pass, which reports the tracked sockets that still exist. An iterator over the map that tracks them would be
 * shorter, but some kernels refuse iterators over maps (docs/decisions/0014-which-sockets-still-exist.md).
 */
#pragma once

enum iteration {
	ITERATION_LISTENERS = 0,
	ITERATION_CONNECTIONS,
	ITERATION_LIVE, /* and every higher number: each pass has one of its own */
};

/* What the iterators do; set by user space before it runs them. */
volatile __u32 iterating = ITERATION_LISTENERS;

/*
 * What user space reads from an iterator. There is one output for each event, so that read() returns now and then and user
 * space can let the ring buffers drain. Further outputs of a live pass list the network namespaces that have processes.
 */
struct iterator_output {
	__u32 netns; /* inode of a namespace; 0: none is said */
	__u32 pad[15];
};

static __always_inline void pace(struct seq_file *seq)
{
	static const struct iterator_output nothing;
	bpf_seq_write(seq, (void *)&nothing, sizeof(nothing));
}

/* Set by user space before a run: list the network namespaces of tasks and of sockets that a descriptor leads to. */
volatile __u32 lists_namespaces = 0;
/* The namespace that was listed last: those of one process tend to be the same. User space sets it to 0 before a run. */
volatile __u32 last_inhabited = 0;

static __always_inline void list_namespace(__u32 netns, struct seq_file *seq)
{
	struct iterator_output output = {.netns = netns};

	if (!lists_namespaces || !netns || netns == last_inhabited)
		return;
	last_inhabited = netns;
	bpf_seq_write(seq, &output, sizeof(output));
}

/* Connections that the listener takes in from now on inherit the owner. */
static __always_inline void adopt_listener(struct sock *sk, const struct flow *flow, const struct owner *owner)
{
	struct socket_state *s;

	if (bpf_sk_storage_get(&sockets, sk, 0, 0))
		return;
	s = track(sk);
	if (!s)
		return;
	set_owner(s, owner);
	s->conn.flow = *flow;
	s->ignored = is_ignored(owner, flow->local_port, 0);
}

/* Once a pass, however many descriptors lead to the socket. */
static __always_inline void report_live(struct sock *sk, struct seq_file *seq)
{
	struct socket_state *s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	__u32 state = sk->__sk_common.skc_state;
	struct live_event *e;
	struct reservation r;
	struct tcp_sock *tp;

	if (!s || s->closed || s->live_pass == iterating)
		return;
	if (s->conn.flow.family == AF_UNIX ? !s->conn.established
					   : !s->conn.flow.role_source || state == BPF_TCP_CLOSE || state == BPF_TCP_LISTEN)
		return;
	s->live_pass = iterating;
	e = begin_event(&r, shard_of(s->conn.flow.cookie), EVENT_LIVE, sizeof(*e));
	if (!e)
		return;
	e->cookie = s->conn.flow.cookie;
	for (int i = 0; i < DIRECTIONS; i++)
		e->bytes[i] = s->conn.streams[i].position;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		count_segments(&e->packets, tp);
	submit(&r, e);
	pace(seq);
}

static __always_inline void adopt_connection(struct sock *sk, const struct owner *owner, struct seq_file *seq)
{
	struct flow flow = {};
	struct socket_state *s;
	struct tcp_sock *tp;
	struct open_event *e;
	struct reservation r;
	__u32 state = sk->__sk_common.skc_state;

	/* Made after the programs were attached, or reached through another descriptor before. */
	if (bpf_sk_storage_get(&sockets, sk, 0, 0))
		return;
	if (state == BPF_TCP_CLOSE || state == BPF_TCP_LISTEN || state == BPF_TCP_TIME_WAIT || state == BPF_TCP_NEW_SYN_RECV)
		return;
	read_flow(&flow, sk);
	flow.cookie = bpf_get_socket_cookie(sk);
	if (state == BPF_TCP_SYN_SENT) {
		flow.role = ROLE_CLIENT;
		flow.role_source = ROLE_SOURCE_CONNECT;
	} else {
		flow.role = role_of_existing(&flow);
		flow.role_source = ROLE_SOURCE_LISTENER;
	}
	if (left_out(owner, flow.local_port, flow.remote_port))
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp && state != BPF_TCP_SYN_SENT)
		read_initial(&flow, tp);
	/* Room first, state second: a close that happens now writes its event behind this one. */
	e = begin_owned_open(&r, EVENT_EXISTING, &flow, owner);
	if (!e)
		return;
	s = track(sk);
	if (!s || sk->__sk_common.skc_state == BPF_TCP_CLOSE) {
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		return;
	}
	set_owner(s, owner);
	if (tp && state != BPF_TCP_SYN_SENT)
		join_streams(s, sk, tp, &flow); /* before the flow, which makes the socket one that is followed */
	s->conn.flow = flow;
	s->conn.existing = state != BPF_TCP_SYN_SENT;
	e->state = state;
	set_sequences(e, &s->conn);
	set_positions(e->position, &s->conn, DIRECTIONS, 0);
	submit(&r, e);
	pace(seq);
}

static const struct socket_state older_unix = {.conn.existing = 1};

/* A Unix socket is older than the programs: its next bytes may be in the middle of a message. They may come at this moment. */
static __always_inline void adopt_unix(struct sock *sk)
{
	if (sk->sk_type != SOCK_STREAM || sk->__sk_common.skc_state != BPF_TCP_ESTABLISHED)
		return;
	if (bpf_sk_storage_get(&sockets, sk, 0, 0))
		return;
	track_as(sk, &older_unix);
}

static __always_inline void owner_of(struct owner *owner, struct task_struct *task)
{
	owner->pid = task->tgid;
	owner->generation = 0;
	owner->start = task->group_leader->start_boottime;
	owner->cgroup = 0;
}

static __always_inline void on_descriptor(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct flow flow = {};
	struct owner owner;
	struct sock *sk;

	if (!task || !file)
		return;
	if (iterating >= ITERATION_LIVE && task->nsproxy)
		list_namespace(task->nsproxy->net_ns->ns.inum, ctx->meta->seq);
	socket = bpf_sock_from_file(file);
	if (!socket)
		return;
	sk = socket->sk;
	if (!sk)
		return;
	if (iterating >= ITERATION_LIVE) {
		/* What waits in a listener's backlog is in the listener's namespace, whether or not a task is. */
		if (bpf_core_field_exists(sk->__sk_common.skc_net.net))
			list_namespace(sk->__sk_common.skc_net.net->ns.inum, ctx->meta->seq);
		report_live(sk, ctx->meta->seq);
		return;
	}
	if (sk->__sk_common.skc_family == AF_UNIX) {
		if (follow_unix && iterating == ITERATION_CONNECTIONS)
			adopt_unix(sk);
		return;
	}
	if (!is_inet(sk->__sk_common.skc_family))
		return;
	owner_of(&owner, task);
	if (iterating == ITERATION_CONNECTIONS) {
		if (sk->sk_protocol == IPPROTO_TCP && owner.pid != excluded_pid)
			adopt_connection(sk, &owner, ctx->meta->seq);
		return;
	}
	if (sk->__sk_common.skc_state != BPF_TCP_LISTEN)
		return;
	read_flow(&flow, sk);
	note_listener(&flow, &owner);
	if (sk->sk_protocol == IPPROTO_TCP)
		adopt_listener(sk, &flow, &owner);
}

/*
 * Sockets without a descriptor: waiting in a backlog, closed by their process and not yet ended, or MPTCP's. One with a
 * listener's port belongs to the listener's owner until it is accepted.
 */
static __always_inline void on_unowned(struct bpf_iter__tcp *ctx)
{
	struct owner owner = {};
	struct flow flow = {};
	struct sock_common *skc = ctx->sk_common;
	struct tcp_sock *tp;

	if (!skc || !is_inet(skc->skc_family))
		return;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return;
	if (iterating >= ITERATION_LIVE) {
		report_live((struct sock *)tp, ctx->meta->seq);
		return;
	}
	read_flow(&flow, (struct sock *)tp);
	struct listener *listener = listener_of(&flow);
	if (listener) {
		owner.pid = listener->pid;
		owner.start = listener->start;
	}
	if (skc->skc_state == BPF_TCP_LISTEN)
		adopt_listener((struct sock *)tp, &flow, &owner);
	else if (!owner.pid || owner.pid != excluded_pid)
		adopt_connection((struct sock *)tp, &owner, ctx->meta->seq);
}

static __always_inline void on_existing_unix(struct bpf_iter__unix *ctx)
{
	struct sock *sk = (struct sock *)ctx->unix_sk;

	if (!sk)
		return;
	if (iterating >= ITERATION_LIVE)
		report_live(sk, ctx->meta->seq);
	else
		adopt_unix(sk);
}
