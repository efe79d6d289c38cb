/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The bytes that a call has transferred over a connection. */
#pragma once

/* Not static, so that the verifier looks at it once, and not at each call. */
__noinline int gather_of(__u32 event_buf)
{
	struct event_buf *its = bpf_map_lookup_elem(&event_bufs, &event_buf);

	return its ? gather(&its->emission.g) : 0;
}

/* Likewise. The plaintext that is emitted is that of the layer in the event. */
static __always_inline int emit_layer_piece(struct event_buf *event_buf)
{
	__u64 cookie = event_buf->event.cookie;
	struct socket_state *layer = bpf_map_lookup_elem(&tls_layers, &cookie);

	return layer ? emit_piece(&event_buf->emission, &layer->conn.streams[event_buf->event.direction & 1]) : 0;
}

/* Likewise. The transfer that is emitted is the one in the scratch. */
__noinline int emit_piece_of(__u32 event_buf)
{
	struct event_buf *its = bpf_map_lookup_elem(&event_bufs, &event_buf);
	struct scratch *space = scratch(event_buf / cpus);
	struct socket_state *s;

	if (follow_tls && event_buf >= event_bufs_tls)
		return its ? emit_layer_piece(its) : 0;
	s = space ? socket_by_id(space->transfer.id) : NULL;
	return its && s ? emit_piece(&its->emission, &s->conn.streams[space->transfer.direction & 1]) : 0;
}

/* Not a part of on_stream, because the stacks of a chain of calls may have 512 bytes in all. */
static __noinline int begin_frames_of(struct event_buf *event_buf, struct socket_state *s, __u32 direction, struct budget *b)
{
	begin_frames(&event_buf->emission, &event_buf->event, &s->conn, direction & 1, b);
	return 0;
}

/* The socket has transferred bytes. */
static __noinline int describe_socket(const struct transfer *t, struct connection *c)
{
	struct reservation r;
	struct open_event *e;

	if (!is_description_due(c->flow.cookie))
		return 0;
	if (c->flow.transport == TRANSPORT_UNIX)
		return emit_unix_open(c, t->pid, t->direction, t->length);
	e = begin_description(&r, &c->flow);
	if (!e)
		return 0;
	e->header.pid = t->pid;
	e->header.start = start_of(t->pid);
	e->fd = t->fd;
	set_positions(e->position, c, t->direction, t->length);
	submit(&r, e);
	return 0;
}

/* Ties the socket over which a call has sent to the object that wrote what it has sent, if one did. key: of event_bufs. */
static __noinline int tie(struct transfer *t, struct socket_state *s, __u32 key)
{
	struct event_buf *event_buf;

	if (!may_tie(s) || !has_led_to(t->pid, t->fd, t->id, t->generation))
		return 0;
	emit_process_once(t->pid, shard_of(t->id)); /* from now on it is known which ties are those of this process */
	event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	if (!event_buf)
		return 0;
	event_buf->emission.g.from = t->from;
	return tie_sent(event_buf, s, t->length, key);
}

/* A connection has carried bytes. */
static __noinline int on_stream(struct transfer *t, struct socket_state *s)
{
	__u32 direction = t->direction & 1, key = t->user * cpus + bpf_get_smp_processor_id();
	struct stream *stream = &s->conn.streams[direction];
	struct budget budget;
	struct event_buf *event_buf;
	struct emission *emission;
	__u64 now;

	stream->position += t->length;
	if (follow_tls && direction == DIRECTION_SENT && !t->unknown)
		tie(t, s, key);
	if (!is_wanted(&s->conn, direction, &budget))
		return 0;
	now = bpf_ktime_get_ns();
	if (stream->position < stream->until) {
		stream->last_unreported = now;
		return 0;
	}
	if (s->conn.task_pid != t->pid) {
		s->conn.task_pid = t->pid;
		emit_process_once(t->pid, shard_of(t->id));
	}
	if (budget.describe)
		describe_socket(t, &s->conn);
	event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	if (!event_buf)
		return 0;
	emission = &event_buf->emission;
	reset_emission(emission, key);
	emission->g.from = t->from;
	begin_data(emission, &event_buf->event, &s->conn, direction, t->length, &budget);
	event_buf->event.header.pid = t->pid;
	event_buf->event.header.time = now;
	event_buf->event.header.start = start_of(t->pid);
	event_buf->event.began = t->began ? t->began : now;
	event_buf->event.joined = 0;
	event_buf->event.goroutine.number = 0;
	if ((emission->want || stream->frames.form) && t->unknown)
		without_buffer(emission);
	begin_frames_of(event_buf, s, direction, &budget);
	add_to_burst(emission, &s->conn);
	emit_call(emission, stream);
	take_from_burst(emission, &s->conn);
	return 0;
}
