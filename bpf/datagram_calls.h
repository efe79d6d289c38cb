/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The datagrams that a call has sent or received. */
#pragma once

/* The first datagram of a flow. */
static __always_inline void open_datagrams(struct transfer *t, struct call_socket *s, const struct endpoint *remote,
					   struct datagram_flow *d, __u64 now)
{
	struct scratch *space = scratch(t->user);
	struct process *owner;

	if (!space)
		return;
	begin_datagrams(d, &s->conn.flow, next_id(space, t->user), t->direction & 1, now);
	if (!d->flow.family)
		d->flow.family = remote->family;
	set_remote(&d->flow, remote);
	emit_process_once(t->pid, shard_of(d->flow.cookie));
	owner = process_of(t->pid);
	d->owner_pid = t->pid;
	d->owner_start = owner ? owner->start : 0;
	space->socket.conn.flow = d->flow;
	space->socket.conn.started = now;
	emit_flow(EVENT_OPEN, &space->socket.conn, t->pid, t->fd, 0);
}

/* A datagram to or from the remote end. */
static __noinline int on_datagram(struct transfer *t, struct call_socket *s, const struct endpoint *remote)
{
	struct datagram_key key = {.cookie = t->id, .remote_port = remote->port};
	__u64 now = bpf_ktime_get_ns();
	struct datagram_flow *d;

	__builtin_memcpy(key.remote, remote->address, ADDRESS_LEN);
	d = datagram_flow_of(&key);
	if (!d)
		return 0;
	if (d->closed)
		open_datagrams(t, s, remote, d, now);
	add_datagram(d, t->direction & 1, t->length, now);
	return 0;
}

/* Finds the other end of a datagram. name: where the call has its address; 0: nowhere. */
static __always_inline bool find_remote(struct endpoint *remote, const struct call_socket *s, __u64 name)
{
	read_endpoint(remote, name);
	if (is_inet(remote->family))
		return true;
	if (!(s->known & KNOWN_REMOTE))
		return false; /* the program did not ask from whom */
	remote->family = s->conn.flow.family;
	remote->port = s->conn.flow.remote_port;
	__builtin_memcpy(remote->address, s->conn.flow.remote, ADDRESS_LEN);
	return true;
}
