/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The bytes of a call: gathered from the task's memory, and emitted in as many events as they take. */
#pragma once

#define HEAD_MAX 2048      /* bytes of a call that are captured even when the ring buffer is crowded */
#define URGENT_BURST 65536 /* bytes of a burst that wake user space */
#define PART_MAX 16384     /* bytes of an iovec copied at a time */
#ifndef FILL
#define FILL(gathering) fill(gathering)
#endif
#ifndef IOV_PARTS_MAX
#define IOV_PARTS_MAX 128 /* pieces of memory that the bytes of an event are gathered from */
#endif

/*
 * The buffer of an event with payload. There is one for each CPU and program, because a program runs at most once at a time
 * on a CPU. It is no per-CPU map, because the values of such a map cannot be that large (PCPU_MIN_UNIT_SIZE, 32 KiB).
 */
struct event_buf {
	struct data_event event;
	char payload[PAYLOAD_MAX + PART_MAX]; /* the verifier adds the bounds of what is there and of what is added */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space: CPUs * programs */
	__type(key, __u32);
	__type(value, struct event_buf);
} event_bufs SEC(".maps");

/* Where the bytes of a call are. */
struct source {
	__u64 iov;    /* of the rest; 0: there is none */
	__u64 count;  /* of iovecs there */
	__u64 base;   /* of the present piece */
	__u64 length; /* of the present piece */
};

static __always_inline bool from_message(struct source *from, struct user_message *m, __u64 address)
{
	if (bpf_probe_read_user(m, sizeof(*m), (void *)address))
		return false;
	from->iov = m->iov;
	from->count = m->iov_length;
	return true;
}

/*
 * Finds the bytes of a call by its second and third arguments; false: they are not known (sendfile, splice ...). The caller
 * has zeroed from. m: room for the message, if the call is about one.
 */
static __always_inline bool find_bytes(struct source *from, struct user_message *m, long nr, __u64 second, __u64 third,
				       __u32 length)
{
	switch (nr) {
	case NR_READ:
	case NR_WRITE:
	case NR_SENDTO:
	case NR_RECVFROM:
		from->base = second;
		from->length = length < third ? length : third; /* with MSG_TRUNC a datagram is longer than its buffer */
		return true;
	case NR_READV:
	case NR_WRITEV:
	case NR_PREADV2:
	case NR_PWRITEV2:
		from->iov = second;
		from->count = third;
		return true;
	case NR_SENDMSG:
	case NR_RECVMSG:
		return from_message(from, m, second);
	}
	return false;
}

struct gathering {
	struct source from;
	__u64 skip; /* bytes at the beginning that are not wanted */
	__u32 want;
	__u32 used;
	__u32 event_buf; /* which one */
	__u32 fault;
};

/* Copies one more piece. 0: there is none. */
SUBPROGRAM int gather(struct gathering *g)
{
	struct user_iovec iovec;
	struct event_buf *event_buf;
	__u32 key, used, n;

	if (!g)
		return 0;
	key = g->event_buf;
	used = g->used;
	if (used >= g->want || used >= PAYLOAD_MAX)
		return 0;
	if (!g->from.length) {
		if (!g->from.count)
			return 0;
		if (bpf_probe_read_user(&iovec, sizeof(iovec), (void *)g->from.iov)) {
			g->fault = 1;
			return 0;
		}
		g->from.iov += sizeof(iovec);
		g->from.count--;
		g->from.base = iovec.base;
		g->from.length = iovec.length;
	}
	if (g->skip) {
		__u64 skip = g->skip < g->from.length ? g->skip : g->from.length;
		g->skip -= skip;
		g->from.base += skip;
		g->from.length -= skip;
	}
	n = g->want - used;
	if (n > g->from.length)
		n = g->from.length;
	if (!n)
		return 1;
	if (n > PART_MAX)
		n = PART_MAX;
	event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	if (!event_buf)
		return 0;
	if (bpf_probe_read_user(event_buf->payload + used, n, (void *)g->from.base)) {
		g->fault = 1;
		return 0;
	}
	g->from.base += n;
	g->from.length -= n;
	g->used = used + n;
	return 1;
}

/* Copies the wanted ones of the call's next bytes into the event_buf. */
SUBPROGRAM int fill(struct gathering *g)
{
	for (int i = 0; i < IOV_PARTS_MAX; i++) {
		if (!gather(g))
			break;
	}
	return 0;
}

/*
 * Notes in the stream whether it begins with a signature. A program may receive the first bytes in pieces (14 bytes have been
 * seen). So the bytes that are there have to match, and there have to be more than eight.
 */
SUBPROGRAM int note_signature(struct stream *stream, __u32 key)
{
	struct event_buf *event_buf = bpf_map_lookup_elem(&event_bufs, &key);

	if (!event_buf || !stream)
		return 0;
	const __u64 *begin = (const __u64 *)event_buf->payload;
	__u32 n = event_buf->event.captured;
	__u64 mask = ~0ull;
	if (n <= 8)
		return 0;
	if (n < SIGNATURE_LEN)
		mask >>= 8 * (SIGNATURE_LEN - n);
	for (int i = 0; i < SIGNATURES_MAX; i++) {
		__u64 first = signatures[i].bytes[0];
		if (first && begin[0] == first && !((begin[1] ^ signatures[i].bytes[1]) & mask))
			stream->signature = 1;
	}
	return 0;
}

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
	if (!event_buf->event.position)
		note_signature(stream, key);
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
	if (size > sizeof(struct event_buf))
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

/* The emission of a call's bytes. */
struct emission {
	struct gathering g;
	__u32 want;
	__u32 cut_reason; /* enum cut_reason: of what is not wanted */
	__u32 shard;
	__u32 urgent;
	__u32 pieces; /* emitted so far */
};

/* Emits the next of the events that a call's bytes take; 0: it was the last. */
SUBPROGRAM_WITH_POINTERS int emit_piece(struct emission *t, struct stream *stream)
{
	__u32 key = t->g.event_buf;
	struct event_buf *event_buf = bpf_map_lookup_elem(&event_bufs, &key);

	if (!event_buf)
		return 0;
	struct data_event *e = &event_buf->event;
	__u32 left = e->length - e->skipped;

	t->g.used = 0;
	t->g.want = t->want < PAYLOAD_MAX ? t->want : PAYLOAD_MAX;
	if (t->g.want)
		FILL(&t->g);
	if (t->g.fault) {
		count(COUNTER_PAYLOAD_FAULT);
		t->cut_reason |= CUT_FAULT;
	}
	t->want -= t->g.used;
	e->captured = t->g.used;
	if (!t->g.used || !t->want || t->g.fault || ++t->pieces >= PIECES_MAX) {
		e->cut_reason = t->g.used < left ? t->cut_reason ? t->cut_reason : CUT_LIMIT : 0;
		emit_data(stream, key, t->shard, t->urgent);
		return 0;
	}
	e->cut_reason = 0;
	e->length = e->skipped + t->g.used;
	emit_data(stream, key, t->shard, t->urgent);
	e->position += e->length;
	e->length = left - t->g.used;
	e->skipped = 0;
	return 1;
}

/* Emits a call's bytes in as many events as they take. */
static __always_inline void emit_call(struct emission *t, struct stream *stream)
{
	for (int i = 0; i < PIECES_MAX; i++) {
		if (!emit_piece(t, stream))
			break;
	}
}
