/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The datagrams that a call has sent or received. */
#pragma once

/* The first datagram of a flow. Returns the flow's entry, or NULL. */
static __always_inline struct datagram_flow *open_datagrams(struct transfer *t, struct socket_state *s, const struct endpoint *remote,
							    const struct datagram_key *key, __u64 now)
{
	struct scratch *space = scratch(t->user);
	struct process *owner = process_of(t->pid);
	struct datagram_user user = {.pid = t->pid, .start = owner ? owner->start : 0};
	struct reservation r;
	struct open_event *e;
	struct flow *flow;

	if (!space)
		return NULL;
	flow = &space->socket.conn.flow;
	*flow = s->conn.flow;
	flow->family = remote->family;
	set_remote(flow, remote);
	begin_datagrams(&space->fresh, flow, next_id(space, t->user), &user, t->direction & 1, now);
	emit_process_once(t->pid, shard_of(space->fresh.flow.cookie));
	e = begin_open(&r, EVENT_OPEN, &space->fresh.flow);
	if (e) {
		e->header.pid = t->pid;
		e->header.start = user.start;
		e->header.time = e->started = now;
		e->fd = t->fd;
	}
	return enter_datagrams(key, &space->fresh, &r, e);
}

static __noinline int describe_flow(const struct transfer *t, const struct datagram_flow *d)
{
	struct reservation r;
	struct open_event *e = begin_flow_description(&r, d);

	if (!e)
		return 0;
	e->header.pid = t->pid;
	e->header.start = start_of(t->pid);
	e->fd = t->fd;
	submit(&r, e);
	return 0;
}

static __always_inline void capture_datagram(struct transfer *t, struct datagram_flow *d, __u64 now)
{
	__u32 direction = t->direction & 1, key = t->user * cpus + bpf_get_smp_processor_id();
	struct event_buf *event_buf;
	struct datagram_want want;
	struct stream stream = {};

	if (!is_datagram_wanted(d, direction, t->length, &want))
		return;
	if (d->task_pid != t->pid) {
		d->task_pid = t->pid;
		emit_process_once(t->pid, shard_of(d->flow.cookie));
	}
	if (want.describe)
		describe_flow(t, d);
	event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	if (!event_buf)
		return;
	reset_emission(&event_buf->emission, key);
	event_buf->emission.g.from = t->from;
	event_buf->emission.g.want = want.bytes;
	event_buf->event.header.pid = t->pid;
	event_buf->event.header.start = start_of(t->pid);
	event_buf->event.goroutine.number = 0;
	emit_datagram(d, event_buf, &event_buf->emission.g, &stream, direction, t->length, t->unknown, want.urgent, t->began,
		      now);
}

/* Who is left out takes no entry: the flows that are followed would have to give way to it. */
static __always_inline bool is_left_out(__u32 pid)
{
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	return p && p->left_out;
}

/* A datagram to or from the remote end. */
static __noinline int on_datagram(struct transfer *t, struct socket_state *s, const struct endpoint *remote)
{
	struct datagram_key key = {.cookie = t->id, .remote_port = remote->port};
	__u64 now = bpf_ktime_get_ns();
	struct datagram_flow *d;

	__builtin_memcpy(key.remote, remote->address, ADDRESS_LEN);
	d = bpf_map_lookup_elem(&datagrams, &key);
	if (!d && !is_left_out(t->pid))
		d = open_datagrams(t, s, remote, &key, now);
	if (!d)
		return 0;
	if (follow_datagram_data)
		capture_datagram(t, d, now);
	add_datagram(d, t->direction & 1, t->length, now);
	return 0;
}

/* Finds the other end of a datagram. name: where the call has its address; 0: nowhere. */
static __always_inline bool find_remote(struct endpoint *remote, const struct socket_state *s, __u64 name)
{
	read_named(remote, name);
	if (is_inet(remote->family))
		return true;
	if (!(s->known & KNOWN_REMOTE))
		return false; /* the program did not ask from whom */
	remote->family = s->conn.flow.family;
	remote->port = s->conn.flow.remote_port;
	__builtin_memcpy(remote->address, s->conn.flow.remote, ADDRESS_LEN);
	return true;
}
