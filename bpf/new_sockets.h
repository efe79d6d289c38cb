/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The calls that make sockets, and further descriptors of sockets. */
#pragma once

static __always_inline struct socket_state *create(__u32 user, __u32 pid, __u32 family, __u32 transport)
{
	struct scratch *scratch_space = scratch(user);
	struct process *owner = process_of(pid);
	struct socket_state *s;
	__u64 id;

	if (!scratch_space)
		return NULL;
	s = &scratch_space->socket;
	__builtin_memset(s, 0, sizeof(*s));
	id = next_id(scratch_space, user);
	s->conn.flow.cookie = id;
	s->conn.flow.family = family;
	s->conn.flow.transport = transport;
	s->conn.flow.netns = owner ? owner->netns : 0;
	s->conn.owner_pid = pid;
	if (bpf_map_update_elem(&call_sockets, &id, s, BPF_ANY)) {
		count(COUNTER_STORAGE_FAILED);
		return NULL;
	}
	return bpf_map_lookup_elem(&call_sockets, &id);
}

static __always_inline int transport_of(__u32 family, __u32 type, __u32 protocol)
{
	type &= SOCK_TYPE_MASK;
	if (is_inet(family) && type == SOCK_STREAM &&
	    (!protocol || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
		return TRANSPORT_TCP;
	if (follow_udp && is_inet(family) && type == SOCK_DGRAM && (!protocol || protocol == IPPROTO_UDP))
		return TRANSPORT_UDP;
	if (follow_unix && family == AF_UNIX && type == SOCK_STREAM)
		return TRANSPORT_UNIX;
	return -1;
}

static __noinline int on_socket(__u32 user, __u32 pid, const struct call *c, __u32 fd)
{
	int transport = transport_of(c->args[0], c->args[1], c->args[2]);
	struct socket_state *s;

	if (transport < 0) {
		fd_mark_untracked(pid, fd);
		return 0;
	}
	s = create(user, pid, c->args[0], transport);
	if (!s)
		return 0;
	fd_bind(pid, fd, s->conn.flow.cookie, c->args[1] & SOCK_CLOEXEC);
	emit_process_once(pid, shard_of(s->conn.flow.cookie));
	return 0;
}

static __noinline int on_socketpair(__u32 user, __u32 pid, const struct call *c)
{
	int transport = transport_of(c->args[0], c->args[1], c->args[2]);
	struct socket_state *a, *b;
	__u32 fds[2];

	if (bpf_probe_read_user(fds, sizeof(fds), (void *)c->args[3]))
		return 0;
	if (transport != TRANSPORT_UNIX) {
		fd_mark_untracked(pid, fds[0]);
		fd_mark_untracked(pid, fds[1]);
		return 0;
	}
	a = create(user, pid, c->args[0], transport);
	if (!a)
		return 0;
	b = create(user, pid, c->args[0], transport);
	if (!b)
		return 0;
	a->peer = b->conn.flow.cookie;
	b->peer = a->conn.flow.cookie;
	a->stage = b->stage = STAGE_OPEN;
	fd_bind(pid, fds[0], a->conn.flow.cookie, c->args[1] & SOCK_CLOEXEC);
	fd_bind(pid, fds[1], b->conn.flow.cookie, c->args[1] & SOCK_CLOEXEC);
	return 0;
}

/* dup and the like. The new descriptor leads to where the old one does. */
static __noinline int on_duplicate(__u32 pid, __u32 old, __u32 fd, __u32 cloexec)
{
	struct descriptor *d = descriptor_of(pid, old);

	if (old == fd)
		return 0;
	if (d && d->kind == DESCRIPTOR_SOCKET) {
		__u64 id = d->id;
		fd_unbind(pid, fd);
		sock_get(pid, fd, id, cloexec);
	} else if (d) {
		fd_mark_untracked(pid, fd);
	} else {
		struct descriptor_key key = {.pid = pid, .fd = fd};
		fd_unbind(pid, fd);
		bpf_map_delete_elem(&descriptors, &key); /* not known either */
	}
	return 0;
}
