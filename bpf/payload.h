/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The bytes of a call, emitted in as many events as they take. */
#pragma once

#define HEAD_MAX 2048      /* bytes of a call that are captured even when the ring buffer is crowded */
#define URGENT_BURST 65536 /* bytes of a burst that wake user space */

/* Copies the event_buf into the ring buffer. */
SUBPROGRAM int emit_data(struct stream *stream, __u32 key, __u32 shard, __u32 urgent)
{
	struct event_buf *event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	void *ring = bpf_map_lookup_elem(&rings, &shard);

	if (!event_buf || !ring || !stream)
		return 0;
	__u64 size = sizeof(event_buf->event) + event_buf->event.captured;
	__u64 before = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	event_buf->event.last_unreported = stream->last_unreported;
	event_buf->event.gap_reason = stream->gap_reason;
	/* Only events and heads may use the last part of the ring buffer. */
	if (event_buf->event.captured > HEAD_MAX && before > crowded_bytes) {
		count(COUNTER_PAYLOAD_RING_FULL);
		event_buf->event.captured = HEAD_MAX;
		event_buf->event.cut_reason |= CUT_RING_FULL;
		size = sizeof(event_buf->event) + HEAD_MAX;
	}
	__u64 flags = urgent ? BPF_RB_FORCE_WAKEUP : wake_up(before, size);
	barrier_var(flags);
	/* Read again, so that the argument has the bound: 5.10 forgets the bound of a register that is spilled. */
	size = event_buf->event.captured;
	barrier_var(size);
	size += sizeof(event_buf->event);
	if (size > sizeof(event_buf->event) + PAYLOAD_MAX)
		return 0;
	if (bpf_ringbuf_output(ring, event_buf, size, flags)) {
		/* There may be room for an event without payload. */
		if (event_buf->event.captured)
			count(COUNTER_PAYLOAD_RING_FULL);
		event_buf->event.captured = 0;
		event_buf->event.cut_reason |= CUT_RING_FULL;
		if (bpf_ringbuf_output(ring, event_buf, sizeof(event_buf->event), BPF_RB_FORCE_WAKEUP)) {
			count(COUNTER_RING_FULL + EVENT_DATA);
			stream->gap_reason |= CUT_RING_FULL;
			return 0;
		}
	}
	count(COUNTER_EVENTS + EVENT_DATA);
	stream->gap_reason = 0;
	stream->last_unreported = 0;
	return 0;
}

/* The event of a call's bytes, or of those behind the last event, begins. */
static __always_inline void open_piece(struct emission *t, struct data_event *e)
{
	t->open = 1;
	t->begin = t->g.position;
	t->g.used = 0;
	t->g.want = t->want < PAYLOAD_MAX ? t->want : PAYLOAD_MAX;
	describe_frames(&t->g);
	e->form = t->g.frames.presumed ? 0 : t->g.frames.form;
}

/*
 * Goes on with the events that a call's bytes take; 0: it is done. What is behind the last event is not captured, but as
 * long as it is known where frames begin, they are followed to the end of the call.
 */
STEP int emit_piece(struct emission *t, struct stream *stream)
{
	struct event_buf *event_buf;
	__u32 key;

	if (!t || !stream)
		return 0;
	key = t->g.event_buf;
	event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	if (!event_buf)
		return 0;
	bool last = ++t->rounds >= PIECES_MAX;
	struct data_event *e = &event_buf->event;

	if (!t->open)
		open_piece(t, e);
	if ((t->g.want || t->framed) && fill(&t->g) && !last)
		return 1;
	if (t->g.dry)
		return 0;
	if (t->g.fault) {
		count(COUNTER_PAYLOAD_FAULT);
		t->cut_reason |= CUT_FAULT;
	}
	t->want -= t->g.used;
	t->open = 0;
	e->captured = t->g.used;
	e->frame = t->g.frame;
	e->frame_lead = t->g.frame_lead;
	e->frame_unwanted = t->g.frame_unwanted;
	if (!t->g.left || !t->want || t->g.used < t->g.want || last) {
		e->cut_reason = t->g.left ? t->cut_reason ? t->cut_reason : CUT_LIMIT : 0;
		emit_data(stream, key, t->shard, t->urgent);
		t->open = t->g.dry = 1;
		return t->framed && !t->g.fault && !last;
	}
	e->cut_reason = 0;
	e->length = e->skipped + (t->g.position - t->begin);
	emit_data(stream, key, t->shard, t->urgent);
	e->position += e->length;
	e->length = t->g.left;
	e->skipped = 0;
	return 1;
}

/* Emits a call's bytes in as many events as they take. */
static __always_inline void emit_call(struct emission *t, struct stream *stream)
{
	for (int i = 0; i < PIECES_MAX; i++) {
		if (!EMIT_PIECE(t, stream))
			break;
	}
	stream->frames = t->g.frames;
}
