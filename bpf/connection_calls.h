/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Calls that connect, name and end sockets: what their arguments and results mean for the socket. */
#pragma once

static __always_inline bool specified(const struct endpoint *end)
{
	const __u32 *a = (const __u32 *)end->address;
	return end->port && (a[0] | a[1] | a[2] | a[3]);
}

/*
 * An IPv4 address of an IPv6 socket (::ffff:127.0.0.1) becomes one of IPv4. User space, which finds older sockets, has it so, and calls do
 * not. So the family of a flow is that of its addresses, not that of its socket.
 */
static __always_inline void unmap(struct endpoint *end)
{
	__u32 *words = (__u32 *)end->address;

	if (end->family != AF_INET6 || words[0] || words[1] || words[2] != bpf_htonl(0xffff))
		return;
	end->family = AF_INET;
	words[0] = words[3];
	words[2] = words[3] = 0;
}

/* The address that a call names. */
static __always_inline void read_named(struct endpoint *end, __u64 address)
{
	read_endpoint(end, address);
	unmap(end);
}

static __always_inline void learn_local(struct socket_state *s, const struct endpoint *end)
{
	set_local(&s->conn.flow, end);
	if (!specified(end))
		return;
	s->conn.flow.family = end->family;
	s->known |= KNOWN_LOCAL;
}

static __always_inline void learn_remote(struct socket_state *s, const struct endpoint *end)
{
	set_remote(&s->conn.flow, end);
	if (!specified(end))
		return;
	s->conn.flow.family = end->family;
	s->known |= KNOWN_REMOTE;
}

/* The socket is connected. */
static __noinline int open_socket(struct socket_state *s, __u32 pid, __u32 fd)
{
	s->stage = STAGE_OPEN;
	if (s->emitted)
		return 0;
	s->conn.established = bpf_ktime_get_ns();
	if (!s->conn.started)
		s->conn.started = s->conn.established;
	s->conn.owner_pid = s->conn.task_pid = pid;
	emit_process_once(pid, shard_of(s->conn.flow.cookie));
	if (s->conn.flow.transport == TRANSPORT_UNIX)
		emit_unix_open(&s->conn, pid, DIRECTION_SENT, 0);
	else
		emit_flow(EVENT_OPEN, &s->conn, pid, fd, 0);
	s->emitted = 1; /* the last one: what other threads emit comes behind it from here on */
	return 0;
}

/* Whether this error of connect, or of a transfer over a socket that is not connected yet, means a failed connection. */
static __always_inline bool is_attempt_failed(long err)
{
	return is_failure(err) && err != EAGAIN && err != ENOTCONN;
}

/* The attempt has failed. The socket may try once more. */
static __noinline int fail_socket(struct socket_state *s, __u32 pid, __u32 fd, int error)
{
	s->stage = STAGE_NEW;
	emit_process_once(pid, shard_of(s->conn.flow.cookie));
	emit_flow(EVENT_CONNECT_ERROR, &s->conn, pid, fd, error);
	s->conn.started = 0;
	return 0;
}

/* A call connects the socket to an address. */
static __always_inline void begin_attempt(struct socket_state *s, __u64 address)
{
	struct endpoint end;

	if (s->stage != STAGE_NEW && !(s->conn.flow.transport == TRANSPORT_UDP))
		return; /* asked again */
	read_named(&end, address);
	if (!is_inet(end.family)) {
		s->known &= ~KNOWN_REMOTE; /* AF_UNSPEC dissolves it */
		return;
	}
	learn_remote(s, &end);
	s->conn.flow.role = ROLE_CLIENT;
	s->conn.flow.role_source = ROLE_SOURCE_CONNECT;
	s->conn.flow.source = ADDRESS_SOURCE_CONNECT;
	if (s->conn.flow.transport == TRANSPORT_TCP) {
		s->stage = STAGE_CONNECTING;
		s->conn.owner_pid = current_pid();
		s->conn.started = bpf_ktime_get_ns();
	}
}

static __always_inline void on_connect_enter(struct socket_state *s, const struct call *c)
{
	if (s->conn.flow.transport == TRANSPORT_UNIX)
		name_unix(s->conn.flow.cookie, c->args[1], c->args[2], 1);
	else
		begin_attempt(s, c->args[1]);
}

/* A call connects a TCP socket and sends: TCP fast open. */
static __noinline int on_fast_open_enter(__u64 id, __u64 address)
{
	struct socket_state *s = socket_by_id(id);

	if (s && s->conn.flow.transport == TRANSPORT_TCP)
		begin_attempt(s, address);
	return 0;
}

static __noinline int on_connect(struct socket_state *s, __u32 pid, __u32 fd, long ret)
{
	switch (s->conn.flow.transport) {
	case TRANSPORT_UNIX:
		if (!ret) {
			s->conn.flow.role = ROLE_CLIENT;
			s->conn.flow.role_source = ROLE_SOURCE_CONNECT;
			s->stage = STAGE_OPEN; /* emitted with its first bytes */
		}
		break;
	case TRANSPORT_TCP:
		if (s->stage != STAGE_CONNECTING)
			break;
		if (!ret || ret == -EISCONN)
			open_socket(s, pid, fd);
		else if (is_attempt_failed(-ret))
			fail_socket(s, pid, fd, -ret);
		break;
	}
	return 0;
}

static __noinline int on_accept(__u32 user, __u32 pid, const struct call *c, __u32 fd, __u64 listener_id)
{
	struct socket_state *s, *listener = socket_by_id(listener_id);
	__u32 transport = listener ? listener->conn.flow.transport : TRANSPORT_TCP;
	struct endpoint end;

	read_named(&end, c->args[1]);
	if (!listener && !is_inet(end.family)) {
		ask(pid, fd); /* no address was asked for, or it is a Unix socket: which is not known */
		return 0;
	}
	s = create(user, pid, transport == TRANSPORT_UNIX ? AF_UNIX : end.family, transport);
	if (!s)
		return 0;
	if (listener) {
		if (!s->conn.flow.family)
			s->conn.flow.family = listener->conn.flow.family;
		__builtin_memcpy(s->conn.flow.local, listener->conn.flow.local, ADDRESS_LEN);
		s->conn.flow.local_port = listener->conn.flow.local_port;
		s->known = listener->known & KNOWN_LOCAL;
	}
	if (is_inet(end.family))
		learn_remote(s, &end);
	s->conn.flow.role = ROLE_SERVER;
	s->conn.flow.role_source = ROLE_SOURCE_ACCEPT;
	s->conn.flow.source = ADDRESS_SOURCE_ACCEPT;
	fd_bind(pid, fd, s->conn.flow.cookie, c->nr == NR_ACCEPT4 && (c->args[3] & SOCK_CLOEXEC));
	if (transport == TRANSPORT_UNIX) {
		s->stage = STAGE_OPEN;
		inherit_name(s->conn.flow.cookie, listener_id);
	} else {
		open_socket(s, pid, fd);
	}
	return 0;
}

/* A call has returned the address of one end of the socket. */
static __noinline int on_name(struct socket_state *s, const struct call *c, __u32 pid, bool remote)
{
	struct endpoint end;
	__u8 known = remote ? KNOWN_REMOTE : KNOWN_LOCAL;

	if (s->conn.flow.transport == TRANSPORT_UNIX)
		return 0;
	read_named(&end, c->args[1]);
	if (!is_inet(end.family))
		return 0;
	if (s->known & known && s->stage == STAGE_OPEN)
		return 0;
	if (remote)
		learn_remote(s, &end);
	else
		learn_local(s, &end);
	if (!s->conn.flow.family)
		s->conn.flow.family = end.family;
	if (remote && s->stage == STAGE_CONNECTING) /* there is no peer's name before there is a connection */
		open_socket(s, pid, c->fd);
	if (s->emitted && s->known & known) {
		s->conn.flow.source = remote ? ADDRESS_SOURCE_GETPEERNAME : ADDRESS_SOURCE_GETSOCKNAME;
		emit_flow(EVENT_ADDRESS, &s->conn, pid, c->fd, 0);
	}
	return 0;
}

static __always_inline void on_bind(struct socket_state *s, const struct call *c)
{
	struct endpoint end;

	if (s->conn.flow.transport == TRANSPORT_UNIX) {
		name_unix(s->conn.flow.cookie, c->args[1], c->args[2], 0);
		return;
	}
	read_named(&end, c->args[1]);
	if (is_inet(end.family))
		learn_local(s, &end);
}

/* The outcome of a connect that went on in the background. */
static __noinline int on_socket_error(struct socket_state *s, const struct call *c, __u32 pid)
{
	__u32 error;

	if (c->args[1] != SOL_SOCKET || c->args[2] != SO_ERROR || s->conn.flow.transport != TRANSPORT_TCP ||
	    bpf_probe_read_user(&error, sizeof(error), (void *)c->args[3]))
		return 0;
	if (s->stage == STAGE_CONNECTING) {
		if (!error)
			open_socket(s, pid, c->fd);
		else
			fail_socket(s, pid, c->fd, error);
	} else if (s->stage == STAGE_OPEN && error) {
		s->error = error;
	}
	return 0;
}

static __always_inline void on_shutdown(struct socket_state *s, const struct call *c)
{
	if ((c->args[1] == SHUT_WR || c->args[1] == SHUT_RDWR) && !s->finished)
		s->finished = 1 + DIRECTION_SENT;
	if (c->args[1] != SHUT_WR)
		s->deaf = 1;
}
