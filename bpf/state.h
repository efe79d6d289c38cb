/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The life of a TCP socket, from its changes of state. CLOSE to SYN_SENT and CLOSE to LISTEN run in the task
 * that called connect or listen; every other change may run in a softirq on top of any task.
 */
#pragma once

/* Returns the state of a socket, which is a copy of fresh if there was none; NULL: of zeros. */
static __always_inline struct socket_state *track_as(struct sock *sk, const struct socket_state *fresh)
{
	struct socket_state *s = bpf_sk_storage_get(&sockets, sk, (void *)fresh, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		count(COUNTER_STORAGE_FAILED);
	return s;
}

static __always_inline struct socket_state *track(struct sock *sk)
{
	return track_as(sk, NULL);
}

static __always_inline void set_owner(struct socket_state *s, const struct owner *owner)
{
	s->conn.owner_pid = owner->pid;
	s->owner_start = owner->start;
	s->cgroup = owner->cgroup;
}

/* CLOSE -> LISTEN */
static __always_inline void on_listen(struct sock *sk)
{
	struct owner owner;
	struct process *known;
	struct socket_state *s;

	known = current_owner(&owner);
	s = track(sk);
	if (!s)
		return;
	__builtin_memset(s, 0, sizeof(*s));
	set_owner(s, &owner);
	if (owner.pid == excluded_pid) {
		s->ignored = 1;
		return;
	}
	read_flow(&s->conn.flow, sk);
	s->ignored = left_out(&owner, s->conn.flow.local_port, 0);
	/* Its connections may come to any shard, at a time when the process cannot be described. */
	if (!s->ignored)
		emit_process_everywhere(&owner, known);
}

/* CLOSE -> SYN_SENT */
static __always_inline void on_connect(struct sock *sk)
{
	struct task_struct *task;
	struct owner owner;
	struct process *known;
	struct socket_state *s;

	known = current_owner(&owner);
	if (owner.pid == excluded_pid)
		return;
	if (rules_count && !rules_need_local_port) {
		struct flow flow = {};
		read_flow(&flow, sk);
		if (left_out(&owner, 0, flow.remote_port)) {
			count(COUNTER_IGNORED);
			bpf_sk_storage_delete(&sockets, sk);
			return;
		}
	}
	s = track(sk);
	if (!s)
		return;
	__builtin_memset(s, 0, sizeof(*s));
	set_owner(s, &owner);
	s->conn.started = bpf_ktime_get_ns();
	/* Read here, because the socket of a refused connect has lost its addresses by the time of the refusal. */
	read_flow(&s->conn.flow, sk);
	s->conn.flow.cookie = bpf_get_socket_cookie(sk);
	s->conn.flow.role = ROLE_CLIENT;
	s->conn.flow.role_source = ROLE_SOURCE_CONNECT;
	task = bpf_get_current_task_btf();
	cause_of_connect(&s->connect_cause, task);
	emit_process_once(&owner, known, shard_of(s->conn.flow.cookie));
}

static __always_inline struct open_event *begin_connection_open(struct reservation *r, const struct socket_state *s)
{
	struct open_event *e = begin_open(r, EVENT_OPEN, &s->conn.flow);

	if (!e)
		return NULL;
	e->header.pid = s->conn.owner_pid;
	e->header.start = s->owner_start;
	e->cgroup = s->cgroup;
	e->started = s->conn.started;
	set_sequences(e, &s->conn);
	return e;
}

static __always_inline void open_connection(struct socket_state *s)
{
	struct reservation r;
	struct open_event *e;

	s->conn.established = bpf_ktime_get_ns();
	if (!s->conn.started)
		s->conn.started = s->conn.established;
	if (s->ignored) {
		count(COUNTER_IGNORED);
		return;
	}
	e = begin_connection_open(&r, s);
	if (!e)
		return;
	e->header.time = s->conn.established;
	submit(&r, e);
}

/* User space may have set the owner's rule match since the listen or the connect. */
static __always_inline bool judged_out(const struct socket_state *s)
{
	struct owner owner = {.pid = s->conn.owner_pid, .start = s->owner_start};
	struct process *known;

	if (!rules_count)
		return false;
	known = bpf_map_lookup_elem(&processes, &owner.pid);
	if (known)
		owner.generation = known->generation;
	return judge(&owner, s->conn.flow.local_port, s->conn.flow.remote_port);
}

/* The state of a socket in or behind its handshake, or NULL. */
static __always_inline struct socket_state *connecting_state(struct sock *sk, int state)
{
	struct socket_state *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

	/* Its listener is older than the programs and was not found yet. The exit of accept knows the owner. */
	return s || state != BPF_TCP_SYN_RECV ? s : track(sk);
}

/* Sets what the socket of a connection shows, as soon as it has both addresses. */
static __always_inline void identify(struct socket_state *s, struct sock *sk)
{
	read_flow(&s->conn.flow, sk);
	if (s->conn.flow.role == ROLE_CLIENT) {
		if (rules_need_local_port)
			s->ignored = judged_out(s);
	} else { /* fresh from its listener */
		s->conn.flow.role = ROLE_SERVER;
		s->conn.flow.role_source = ROLE_SOURCE_ACCEPT;
		s->ignored = (excluded_pid && s->conn.owner_pid == excluded_pid) || judged_out(s);
	}
	s->conn.flow.cookie = bpf_get_socket_cookie(sk);
	begin_streams(s, sk);
}

/* SYN_SENT or SYN_RECV -> ESTABLISHED */
static __always_inline void on_established(struct sock *sk, int last_state)
{
	struct socket_state *s = connecting_state(sk, last_state);
	bool ignored;

	if (!s || s->conn.established) /* seen by the other program */
		return;
	ignored = s->early && s->ignored;
	identify(s, sk);
	s->ignored |= ignored;
	open_connection(s);
	if (s->conn.flow.role == ROLE_SERVER)
		take_early_accept(s, sk);
}

/* The kernel counts a retransmission that it then cannot send, and no FIN that comes with a SYN. */
static __always_inline __u64 without(__u64 all, __u64 some)
{
	return all > some ? all - some : 0;
}

static __always_inline void count_segments(struct packet_counts *counts, const struct tcp_sock *tp)
{
	__u32 least = tp->rtt_min.s[0].v;

	counts->sent = tp->segs_out;
	counts->received = tp->segs_in;
	counts->retransmits = tp->total_retrans;
	counts->srtt_us = tp->srtt_us >> 3;
	counts->min_rtt_us = least == ~0U ? 0 : least;
}

static __always_inline void fill_close(struct close_event *e, struct sock *sk, const struct socket_state *s, int last_state)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	e->header.start = s->owner_start;
	e->cgroup = s->cgroup;
	e->error = sk->sk_err;
	e->last_state = last_state;
	e->fin_received = fin_received(sk);
	e->left = s->left;
	e->bytes_sent = e->bytes_received = 0;
	if (!tp)
		return;
	set_last_positions(e->position, s, sk, tp, last_state);
	e->unread = unread(sk, tp);
	/* The port that a failed connect had chosen. skc_num is 0 by now. */
	if (!e->flow.local_port)
		e->flow.local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	e->bytes_sent = without(tp->bytes_sent, tp->bytes_retrans);
	e->bytes_received = without(tp->bytes_received, e->fin_received);
	count_segments(&e->packets, tp);
}

static __always_inline bool accepted_ignored(const struct socket_state *s)
{
	if (rules_count && s->conn.flow.role_source == ROLE_SOURCE_ACCEPT) {
		__u8 *observed = bpf_map_lookup_elem(&accepted, &s->conn.flow.cookie);
		if (observed)
			return !*observed;
	}
	return s->ignored;
}

static __always_inline void forget_accepted(const struct socket_state *s)
{
	if (rules_count && s->conn.flow.role_source == ROLE_SOURCE_ACCEPT)
		bpf_map_delete_elem(&accepted, &s->conn.flow.cookie);
}

/* A connect that failed inside the system call, or was given up: sk_err is not set. */
static __always_inline bool in_connect_call(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call_args c;

	if (task->flags & PF_EXITING)
		return false;
	read_args(&c, task, (struct pt_regs *)bpf_task_pt_regs(task));
	return c.nr == NR_CONNECT;
}

/* any -> CLOSE */
static __always_inline void on_close(struct sock *sk, int last_state)
{
	struct socket_state *s;
	struct close_event *e;
	struct reservation r;
	__u32 kind = EVENT_CLOSE;

	if (last_state == BPF_TCP_LISTEN || last_state == BPF_TCP_CLOSE)
		return;
	s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!s || !s->conn.flow.role_source || s->closed)
		return;
	end_pending(s);
	if (!s->conn.established && !s->conn.existing && s->conn.flow.role == ROLE_CLIENT) {
		kind = EVENT_FAIL;
		/* The program at the exit of connect knows the error, and emits it. */
		if (!sk->sk_err && sees_syscalls && in_connect_call())
			return;
	}
	s->closed = 1;
	bool ignored = accepted_ignored(s);
	forget_accepted(s);
	if (ignored)
		return;
	e = begin_close(&r, kind, &s->conn, s->conn.flow.cookie, DIRECTION_SENT);
	if (!e)
		return;
	fill_close(e, sk, s, last_state);
	submit(&r, e);
}

/* Whether user space may still parse what the socket carries. */
static __always_inline bool is_parsed(const struct socket_state *s)
{
	const struct stream *streams = s->conn.streams;

	return follow_data && (streams[DIRECTION_SENT].until != UNTIL_NEVER || streams[DIRECTION_RECEIVED].until != UNTIL_NEVER);
}

/*
 * any -> FIN_WAIT1, FIN_WAIT2, CLOSING or LAST_ACK. Also from the same state, when a socket is closed that was shut down before
 * (tcp_close_state). A half-close ends nothing: the other direction is open, or has bytes that can still be received.
 */
static __always_inline void on_fin(struct sock *sk, int last_state)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct local_close_event *e;
	struct socket_state *s;
	struct reservation r;

	if (sk->sk_shutdown != SHUTDOWN_BOTH || !tp || unread(sk, tp))
		return;
	s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!s || !s->conn.flow.role_source || s->left || !is_parsed(s) || accepted_ignored(s))
		return;
	end_pending(s);
	s->left = 1;
	e = begin_event(&r, shard_of(s->conn.flow.cookie), EVENT_LOCAL_CLOSE, sizeof(*e));
	if (!e)
		return;
	e->cookie = s->conn.flow.cookie;
	e->fin_received = fin_received(sk);
	set_last_positions(e->position, s, sk, tp, last_state);
	for (int i = 0; i < DIRECTIONS; i++)
		e->last_unreported[i] = s->conn.streams[i].last_unreported;
	submit(&r, e);
}

static __always_inline void on_state(struct sock *sk, int last_state, int state)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return;
	switch (state) {
	case BPF_TCP_FIN_WAIT1:
		if (last_state == BPF_TCP_SYN_RECV) /* fast open: closed before the end of the handshake */
			on_established(sk, last_state);
		on_fin(sk, last_state);
		return;
	case BPF_TCP_FIN_WAIT2:
	case BPF_TCP_CLOSING:
	case BPF_TCP_LAST_ACK:
		on_fin(sk, last_state);
		return;
	}
	if (last_state == state)
		return;
	switch (state) {
	case BPF_TCP_LISTEN:
		if (!claimed_by_primary())
			on_listen(sk);
		break;
	case BPF_TCP_SYN_SENT:
		if (!claimed_by_primary())
			on_connect(sk);
		break;
	/* These may come in a softirq. They are handled once, whichever program sees them. */
	case BPF_TCP_ESTABLISHED:
		on_established(sk, last_state);
		break;
	case BPF_TCP_CLOSE:
		on_close(sk, last_state);
		break;
	}
}
