/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The bytes that system calls transfer. The hooks run in the calling task, after the transfer, and have the socket. The
 * registers of the task say where the bytes are in its memory.
 */
#pragma once

/*
 * Advances a TCP direction, which has just transferred length bytes, to the position of the socket. That includes bytes that no
 * hook has seen (a splice from the socket). If two threads use one direction at the same time without a lock of their own, both
 * may see the end of the later transfer.
 */
static __always_inline bool advance(struct stream *stream, struct sock *sk, __u32 direction, __u32 length)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp)
		return false;
	stream->position = position_at(stream, direction == DIRECTION_SENT ? tp->write_seq : received_sequence(sk, tp));
	return stream->position >= length;
}

/* More has arrived than a program has received. */
static __always_inline bool has_unread(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp && unread(sk, tp);
}

/* The process is another one than before. The rules may leave it out; if not, the shard needs its description. */
static __always_inline bool enters(struct socket_state *s, struct task_struct *task)
{
	struct owner owner;
	struct process *known = current_owner(&owner);

	s->conn.task_pid = owner.pid;
	if (is_ignored(&owner, s->conn.flow.local_port, s->conn.flow.remote_port))
		return false;
	emit_process_once(&owner, known, shard_of(s->conn.flow.cookie));
	return true;
}

/* The state of the socket that has transferred bytes, if it is followed. */
static __always_inline struct socket_state *followed(struct sock *sk)
{
	struct socket_state *s = NULL;

	if (sk->sk_protocol == IPPROTO_TCP) {
		if (follow_data)
			s = bpf_sk_storage_get(&sockets, sk, 0, 0);
		if (s ? !s->conn.established && !s->conn.existing : sk->__sk_common.skc_state == BPF_TCP_SYN_RECV)
			s = open_early(sk, s);
		if (s && !s->conn.flow.role_source)
			return NULL;
	} else if (follow_unix && sk->__sk_common.skc_family == AF_UNIX && sk->sk_type == SOCK_STREAM) {
		s = unix_state(sk);
	}
	return s && !s->ignored ? s : NULL;
}

/* The socket has transferred length bytes in a direction. Whoever does that owns it, as far as user space has to know. */
static __noinline int describe_socket(struct sock *sk, struct socket_state *s, __u32 direction, __u32 length)
{
	struct owner owner;
	struct open_event *e;
	struct reservation r;

	if (!is_description_due(s->conn.flow.cookie))
		return 0;
	current_owner(&owner);
	if (sk->sk_protocol != IPPROTO_TCP) {
		struct unix_open_event *opened = begin_unix_open(&r, sk, s, &owner, s->conn.established, direction, length);
		if (opened)
			submit(&r, opened);
		return 0;
	}
	e = begin_description(&r, &s->conn.flow);
	if (!e)
		return 0;
	e->header.pid = owner.pid;
	e->header.start = owner.start;
	e->cgroup = owner.cgroup;
	set_sequences(e, &s->conn);
	set_positions(e->position, &s->conn, direction, length);
	submit(&r, e);
	return 0;
}

/* began: when the call began to wait; 0: it did not. */
static __always_inline void on_transfer(struct sock *sk, int length, __u32 direction, __u64 began)
{
	struct task_struct *task;
	struct socket_state *s;
	struct stream *stream;
	struct budget budget;
	struct event_buf *event_buf;
	struct pt_regs *regs;
	bool tied, uring;
	__u64 now;
	__u32 key;

	if (length <= 0)
		return;
	s = followed(sk);
	task = bpf_get_current_task_btf();
	tied = follow_tls && ties(sk, s, length, direction);
	if (!s) {
		note_unfollowed(direction);
		return;
	}
	stream = &s->conn.streams[direction];
	if (sk->sk_protocol != IPPROTO_TCP) {
		if (direction == DIRECTION_RECEIVED)
			advance_spliced(s);
		stream->position += length;
	}
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	uring = is_uring_work(task, regs);
	if (direction == DIRECTION_SENT)
		end_pending(s);
	if (!is_wanted(&s->conn, direction, &budget)) {
		if (tied)
			return;
		if (uring)
			note_unfollowed(direction);
		else if (direction == DIRECTION_RECEIVED)
			note_received_from(s, task, 0, 0);
		else
			note_sent(s);
		return;
	}
	if (sk->sk_protocol == IPPROTO_TCP && !advance(stream, sk, direction, length))
		return;
	if (uring) /* the thread has not asked for it just now */
		note_unfollowed(direction);
	else if (direction == DIRECTION_RECEIVED && !tied)
		note_received_from(s, task, stream->position, length);
	now = bpf_ktime_get_ns();
	if (stream->position < stream->until) {
		stream->last_unreported = now;
		return;
	}
	if (s->conn.task_pid != task->tgid && !enters(s, task)) {
		s->ignored = 1;
		count(COUNTER_IGNORED);
		return;
	}
	if (budget.describe)
		describe_socket(sk, s, direction, length);
	key = transfer_buf(direction);
	event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	if (!event_buf)
		return;
	struct data_event *e = &event_buf->event;
	struct emission *t = &event_buf->emission;
	reset_emission(t, key);
	begin_data(t, e, &s->conn, direction, length, &budget);
	e->header.pid = task->tgid;
	e->header.time = now;
	e->header.start = task->group_leader->start_boottime;
	e->began = began ? began : now;
	e->joined = 0;
	if (direction == DIRECTION_SENT) {
		if (tied || uring)
			e->cause.length = 0;
		else
			cause_of_sent(&e->cause, s, task);
		e->unread = has_unread(sk);
	} else {
		e->cause.length = 0;
		e->unread = 0;
	}
	if (uring)
		e->goroutine.number = 0;
	else
		note_goroutine(event_buf, task, regs, direction, s->conn.flow.role);
	if ((t->want || stream->frames.form) && !find_transfer(event_buf, task, regs, sk, length, direction))
		without_buffer(t);
	begin_frames(t, e, &s->conn, direction, &budget);
	add_to_burst(t, &s->conn);
	/* Most transfers are in one piece. That needs none of the calls that gathering takes. */
	if (t->want && !t->g.from.iov && t->want <= PAYLOAD_MAX && !t->framed) {
		__u32 n = t->want;
		barrier_var(n); /* else the compiler drops the bound that it knows and the verifier (6.12) does not */
		n = ((n - 1) & (PAYLOAD_MAX - 1)) + 1;
		if (!bpf_probe_read_user(event_buf->payload, n, (void *)(t->g.from.base + e->skipped))) {
			e->captured = n;
			e->cut_reason = t->cut_reason;
			emit_data(stream, key, t->shard, t->urgent);
			stream->frames.form = 0;
			return;
		}
	}
	emit_call(t, stream);
	take_from_burst(t, &s->conn);
}

static __always_inline void on_send(struct sock *sk, int length)
{
	__u64 began;

	if (claimed_by_primary())
		return;
	began = end_wait();
	if (sk->sk_protocol == IPPROTO_UDP) {
		if (follow_udp && length >= 0)
			on_datagram(sk, length, DIRECTION_SENT, began);
		return;
	}
	on_transfer(sk, length, DIRECTION_SENT, began);
}

/* A peek receives nothing. Errors and urgent bytes are no part of the stream. Bytes that TCP drops for MSG_TRUNC are in no buffer. */
static __always_inline void on_receive(struct sock *sk, int length, int flags)
{
	if (claimed_by_primary() || (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)))
		return;
	if (sk->sk_protocol == IPPROTO_UDP) {
		if (follow_udp && length >= 0)
			on_datagram(sk, length, DIRECTION_RECEIVED, 0);
		return;
	}
	if ((flags & MSG_TRUNC) && sk->sk_protocol == IPPROTO_TCP)
		return;
	if (!length && follow_unix && sk->__sk_common.skc_family == AF_UNIX) {
		on_unix_end(sk);
		return;
	}
	on_transfer(sk, length, DIRECTION_RECEIVED, 0);
}
