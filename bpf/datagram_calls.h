/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The datagrams that a call has sent or received. */
#pragma once

/* Not on the stack, where there is little room. */
static const struct datagram_flow no_datagrams = {.closed = 1};

/* A datagram to or from the remote end. */
static __noinline int on_datagram(struct transfer *t, struct call_socket *s, const struct end *remote)
{
	__u32 direction = t->direction & 1;
	struct datagram_key key = {.cookie = t->id, .remote_port = remote->port};
	struct datagram_flow *d;
	struct scratch *space;
	__u64 now = bpf_ktime_get_ns();

	__builtin_memcpy(key.remote, remote->address, ADDRESS_LEN);
	d = bpf_map_lookup_elem(&datagrams, &key);
	if (!d) {
		if (bpf_map_update_elem(&datagrams, &key, &no_datagrams, BPF_ANY))
			return 0;
		d = bpf_map_lookup_elem(&datagrams, &key);
		if (!d)
			return 0;
	}
	if (d->closed) {
		space = scratch(t->user);
		if (!space)
			return 0;
		__builtin_memset(&space->socket, 0, sizeof(space->socket));
		space->socket.flow = s->flow;
		space->socket.flow.cookie = next_id(space, t->user);
		if (!space->socket.flow.family)
			space->socket.flow.family = remote->family;
		__builtin_memcpy(space->socket.flow.remote, remote->address, ADDRESS_LEN);
		space->socket.flow.remote_port = remote->port;
		space->socket.flow.role = direction == DIRECTION_SENT ? ROLE_CLIENT : ROLE_SERVER;
		space->socket.flow.role_source = ROLE_SOURCE_FIRST;
		space->socket.started = now;
		d->flow = space->socket.flow;
		d->owner_pid = t->pid;
		d->started = now;
		d->closed = 0;
		for (int i = 0; i < DIRECTIONS; i++) {
			d->bytes[i] = 0;
			d->datagrams[i] = 0;
		}
		introduce(t->pid, shard_of(d->flow.cookie));
		struct process *owner = process_of(t->pid);
		d->owner_start = owner ? owner->start : 0;
		tell_flow(EVENT_OPEN, &space->socket, t->pid, t->fd, 0);
	}
	d->last = now;
	__sync_fetch_and_add(&d->bytes[direction], t->length);
	d->datagrams[direction]++;
	return 0;
}

/* Who is at the other end of a datagram; name: where that is told, 0: nowhere. */
static __always_inline bool find_remote(struct end *remote, const struct call_socket *s, __u64 name)
{
	read_end(remote, name);
	if (is_inet(remote->family))
		return true;
	if (!(s->known & KNOWN_REMOTE))
		return false; /* nobody wanted to know from whom */
	remote->family = s->flow.family;
	remote->port = s->flow.remote_port;
	__builtin_memcpy(remote->address, s->flow.remote, ADDRESS_LEN);
	return true;
}
