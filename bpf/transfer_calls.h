/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The calls that transfer bytes. The arguments say where the bytes are, the result says how many. */
#pragma once

#define BATCH_MAX 64   /* datagrams of sendmmsg and recvmmsg that are seen */
#define BATCH_STREAM_MAX 2 /* messages over a stream of which the payload is captured */
#define BATCH_REST_MAX 64  /* messages over a stream that are counted */

static __always_inline bool is_sending(__u32 nr)
{
	return nr == NR_WRITE || nr == NR_WRITEV || nr == NR_SENDTO || nr == NR_SENDMSG || nr == NR_SENDMMSG ||
	       nr == NR_PWRITEV2 || nr == NR_SENDFILE;
}

/* Whether only sockets take the call. */
static __always_inline bool is_of_sockets(__u32 nr)
{
	return nr == NR_SENDTO || nr == NR_SENDMSG || nr == NR_SENDMMSG || nr == NR_RECVFROM || nr == NR_RECVMSG ||
	       nr == NR_RECVMMSG;
}

static __always_inline bool is_vector(__u32 nr)
{
	return nr == NR_READV || nr == NR_WRITEV || nr == NR_PREADV2 || nr == NR_PWRITEV2;
}

/* Whether the call splices into its socket, not from it. */
static __always_inline bool is_splice_into(const struct call *c)
{
	return c->nr == NR_SPLICE && c->fd == (__u32)c->args[2];
}

/* Whether the call transfers several messages. */
static __always_inline bool is_batch(__u32 nr)
{
	return nr == NR_SENDMMSG || nr == NR_RECVMMSG;
}

/* Whether the call is about a socket that is followed. A descriptor that leads to none costs one lookup. */
static __always_inline bool about_socket(struct call *c, __u32 pid, __u32 fd)
{
	struct descriptor *d = descriptor_of(pid, fd);

	if (!d) {
		/* A process without a known socket reads and writes files. There are too many of these to ask about them all. */
		if (is_of_sockets(c->nr) || bpf_map_lookup_elem(&tables, &pid))
			ask(pid, fd);
		return false;
	}
	if (d->kind != DESCRIPTOR_SOCKET)
		return false;
	c->id = d->id;
	c->fd = fd;
	c->generation = d->generation;
	return true;
}

/* Unix sockets for datagrams or packets are not followed, but their messages may carry descriptors of sockets that are. */
static __always_inline bool may_carry(struct call *c, struct user_message *m)
{
	if ((c->nr != NR_SENDMSG && c->nr != NR_RECVMSG) || !read_message(m, c->args[1], false) || !m->control)
		return false;
	c->fd = c->args[0];
	return true;
}

/*
 * m: room for the message of the call. 32-bit programs (compat) carry only over sockets that are followed: before 6.12 the
 * stack has no room for more.
 */
static __always_inline int on_transfer_enter(struct enter_args *ctx, int count_args, bool compat, struct user_message *m)
{
	struct call c = {.nr = ctx->nr, .compat = compat};
	__u32 pid = current_pid();
	bool described;

	if (pid == excluded_pid)
		return 0;
	for (int i = 0; i < count_args; i++)
		c.args[i] = ctx->args[i];
	if (!about_socket(&c, pid, c.args[0]) && (count_args != 3 || !may_carry(&c, m)))
		return 0;
	if (is_backup() && is_saved(&c, count_args))
		return 0;
	described = (count_args == 3 || compat) && c.nr == NR_SENDMSG && read_message(m, c.args[1], compat);
	/* At the enter, because they may be received before the exit is seen. */
	if (described && m->control)
		on_passed(m, &c, pid);
	if (described && (c.args[2] & MSG_FASTOPEN))
		on_fast_open_enter(c.id, m->name);
	if ((count_args == 6 || compat) && c.nr == NR_SENDTO && (c.args[3] & MSG_FASTOPEN))
		on_fast_open_enter(c.id, c.args[4]);
	if (is_sending(c.nr))
		c.began = bpf_ktime_get_ns();
	save_enter(&c);
	return 0;
}

static __always_inline int on_splice_enter(struct enter_args *ctx)
{
	struct call c = {.nr = ctx->nr};
	__u32 pid = current_pid();

	if (pid == excluded_pid)
		return 0;
	c.args[0] = ctx->args[0];
	c.args[2] = ctx->args[2];
	c.fd = c.args[0];
	c.id = fd_socket(pid, c.fd);
	if (!c.id) {
		c.fd = c.args[2];
		c.id = fd_socket(pid, c.fd);
	}
	if (c.fd == (__u32)c.args[2])
		c.began = bpf_ktime_get_ns();
	if (c.id && !(is_backup() && is_saved(&c, 3)))
		save_enter(&c);
	return 0;
}

/* Bytes were transferred over a socket. name: where the call has the remote address; 0: nowhere. Not static, for the verifier. */
__noinline int on_transfer(__u32 user, __u64 name)
{
	struct scratch *space = scratch(user);
	struct socket_state *s = space ? socket_by_id(space->transfer.id) : NULL;
	struct transfer *t;
	struct endpoint remote;

	if (!space)
		return 0;
	t = &space->transfer;
	if (!s)
		return t->id ? ask_again(t->pid, t->fd, t->id) : 0;
	if (s->conn.flow.transport == TRANSPORT_UDP) {
		if (find_remote(&remote, s, name))
			on_datagram(t, s, &remote);
		return 0;
	}
	if (!s->emitted)
		open_socket(s, t->pid, t->fd);
	on_stream(t, s);
	return 0;
}

/* What a failed or empty transfer means for the connection. */
static __noinline int on_no_transfer(const struct call *c, __u32 pid, long ret)
{
	struct socket_state *s = socket_by_id(c->id);
	bool sending = is_sending(c->nr) || is_splice_into(c);

	if (!s || s->conn.flow.transport == TRANSPORT_UDP)
		return 0;
	if (!ret) {
		/* Nothing was read, though there was room. The other side has finished. */
		if (!sending && (is_vector(c->nr) || c->nr == NR_RECVMSG || c->args[2]) && !s->deaf && s->emitted) {
			s->at_end = 1;
			if (!s->finished)
				s->finished = 1 + DIRECTION_RECEIVED;
		}
		return 0;
	}
	if (s->stage == STAGE_CONNECTING) {
		if (ret == -EOPNOTSUPP) /* the host does without fast open, and no attempt was made */
			s->stage = STAGE_NEW;
		else if (s->conn.flow.transport == TRANSPORT_TCP && is_attempt_failed(-ret))
			fail_socket(s, pid, c->fd, -ret);
		return 0;
	}
	switch (-ret) {
	case EPIPE:
		if (s->finished == 1 + DIRECTION_SENT)
			break; /* the program has shut it down itself */
		/* fallthrough */
	case ECONNRESET:
	case ETIMEDOUT:
	case ECONNABORTED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ECONNREFUSED:
		s->error = -ret;
		break;
	}
	return 0;
}

/* The transfer in the scratch was over a connection. Not static, for the verifier. */
__noinline int on_stream_of(__u32 user)
{
	struct scratch *space = scratch(user);
	struct socket_state *s = space ? socket_by_id(space->transfer.id) : NULL;

	return space && s ? on_stream(&space->transfer, s) : 0;
}

/* A message of sendmmsg or recvmmsg becomes the transfer in the scratch. 1: it is one over a connection. Not static, for the verifier. */
__noinline int on_batch_message(__u32 user, __u64 address)
{
	struct scratch *space = scratch(user);
	struct socket_state *s = space ? socket_by_id(space->transfer.id) : NULL;
	struct user_batch_message b;
	struct transfer *t;
	struct endpoint remote;

	if (!space || !s)
		return 0;
	t = &space->transfer;
	if (!read_batch_message(&b, address, t->from.compat) || !(__u32)b.length)
		return 0;
	t->length = b.length;
	t->from.iov = b.message.iov;
	t->from.count = b.message.iov_length;
	t->from.base = t->from.length = 0;
	if (s->conn.flow.transport != TRANSPORT_UDP)
		return 1;
	if (find_remote(&remote, s, b.message.name))
		on_datagram(t, s, &remote);
	return 0;
}

/* A peek receives nothing. Errors and urgent bytes are no part of the stream. */
static __always_inline bool is_looking(const struct call *c)
{
	__u64 flags = 0;

	if (c->nr == NR_RECVFROM || c->nr == NR_RECVMMSG)
		flags = c->args[3];
	else if (c->nr == NR_RECVMSG)
		flags = c->args[2];
	return flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE);
}

static __always_inline struct transfer *begin_transfer(struct scratch *space, __u32 user, const struct call *c, __u32 pid,
						       __u32 length)
{
	struct transfer *t = &space->transfer;

	__builtin_memset(t, 0, sizeof(*t));
	t->user = user;
	t->id = c->id;
	t->began = c->began;
	t->length = length;
	t->pid = pid;
	t->fd = c->fd;
	t->generation = c->generation;
	t->from.compat = c->compat;
	return t;
}

static __noinline int on_transfer_exit(__u32 user, const struct call *c, __u32 pid, long ret)
{
	bool sent = is_sending(c->nr) || is_splice_into(c);
	struct scratch *space = scratch(user);
	struct user_message *m;
	struct transfer *t;

	if (!space || is_looking(c))
		return 0;
	t = begin_transfer(space, user, c, pid, ret);
	m = &space->message;
	__builtin_memset(m, 0, sizeof(*m));
	if (ret <= 0) {
		on_no_transfer(c, pid, ret);
		if (c->nr == NR_SENDMSG)
			on_not_passed(c, pid);
		return 0;
	}
	t->direction = sent ? DIRECTION_SENT : DIRECTION_RECEIVED;
	t->unknown = !find_bytes(&t->from, m, c->nr, c->args[1], c->args[2], ret);
	on_transfer(user, c->nr == NR_SENDTO || c->nr == NR_RECVFROM ? c->args[4] : m->name);
	if (m->control && c->nr == NR_RECVMSG)
		on_taken(m, c, pid);
	return 0;
}

/* sendmmsg and recvmmsg return the number of messages. Inline: a chain of calls has eight links at the most. */
static __always_inline int on_batch_exit(__u32 user, const struct call *c, __u32 pid, long ret)
{
	__u32 size = c->compat ? sizeof(struct compat_batch_message) : sizeof(struct user_batch_message);
	__u32 length_at = c->compat ? sizeof(struct compat_message) : sizeof(struct user_message);
	struct scratch *space = scratch(user);
	struct transfer *t;
	struct socket_state *s;

	if (!space || is_looking(c))
		return 0;
	t = begin_transfer(space, user, c, pid, 0);
	if (ret <= 0) {
		on_no_transfer(c, pid, ret);
		return 0;
	}
	s = socket_by_id(t->id);
	if (!s)
		return t->id ? ask_again(pid, t->fd, t->id) : 0;
	t->direction = is_sending(c->nr) ? DIRECTION_SENT : DIRECTION_RECEIVED;
	if (s->conn.flow.transport == TRANSPORT_UDP) {
		for (__u32 i = 0; i < BATCH_MAX && i < ret; i++)
			on_batch_message(user, c->args[1] + i * size);
		if (ret > BATCH_MAX)
			count_more(COUNTER_BATCH_REST, ret - BATCH_MAX);
		return 0;
	}
	if (!s->emitted)
		open_socket(s, pid, t->fd);
	for (__u32 i = 0; i < BATCH_STREAM_MAX && i < ret; i++) {
		if (on_batch_message(user, c->args[1] + i * size))
			on_stream_of(user);
	}
	t->length = 0;
	for (__u32 i = BATCH_STREAM_MAX; i < BATCH_REST_MAX && i < ret; i++) {
		__u32 length = 0;
		bpf_probe_read_user(&length, sizeof(length), (void *)(c->args[1] + i * size + length_at));
		t->length += length;
	}
	t->unknown = 1;
	if (t->length)
		on_stream_of(user);
	return 0;
}

static __always_inline int on_call_exit(struct exit_args *ctx, enum scratch_user user)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *c = load_enter(tid, ctx->nr);

	if (!c)
		return 0;
	c->id = now_known(c, current_pid());
	if (user == USER_BATCH || user == USER_BATCH_BACKUP || (user == USER_COMPAT && is_batch(c->nr)))
		on_batch_exit(user, c, current_pid(), ctx->ret);
	else
		on_transfer_exit(user, c, current_pid(), ctx->ret);
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}
