/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The bytes of a call: gathered from the task's memory, and emitted in as many events as they take. */
#pragma once

#define HEAD_MAX 2048      /* bytes of a call that are captured even when the ring buffer is crowded */
#define URGENT_BURST 65536 /* bytes of a burst that wake user space */
#define PART_MAX 16384     /* bytes of an iovec copied at a time */
#define SIGNATURE_PARTS_MAX 4 /* iovecs that a signature is looked for in */
#define IOV_PARTS_MAX 128 /* steps in a row: pieces of memory, headers of frames */
#ifndef STEP /* a function that is one step of a loop, and what the loop calls */
#define STEP SUBPROGRAM
#define GATHER(gathering) gather(gathering)
#define EMIT_PIECE(emission, stream) emit_piece(emission, stream)
#endif

/* Where the bytes of a call are. */
struct source {
	__u64 iov;    /* of the rest; 0: there is none */
	__u64 count;  /* of iovecs there */
	__u64 base;   /* of the present piece */
	__u64 length; /* of the present piece */
};

/* The copying of a call's bytes. */
struct gathering {
	struct source from;
	__u64 skip;     /* bytes at the beginning that are not wanted */
	__u64 position; /* in the stream: of what is behind these */
	__u64 frame;    /* of the event: see struct data_event */
	__u32 left;     /* bytes of the call from position on */
	__u32 want;     /* bytes of the event at most */
	__u32 used;
	__u32 event_buf; /* which one */
	__u32 fault;
	__u8 dry;       /* nothing is captured any more: only the headers of frames are read */
	__u8 frame_lead, frame_unwanted; /* of the event */
	__u8 pad;
	struct framing frames;
	__u8 room[FRAME_HEADER_MAX]; /* behind a header: the verifier adds the bounds of what is there and of what is added */
};

/* The emission of a call's bytes. */
struct emission {
	__u64 begin; /* position of the event's first byte that is not skipped */
	__u32 want;
	__u32 cut_reason; /* enum cut_reason: of what is not wanted */
	__u32 shard;
	__u32 urgent;
	__u32 rounds;  /* so far */
	__u8 open;     /* an event has begun */
	__u8 framed;   /* at the call's beginning it was known where frames begin */
	__u8 pad[2];
	struct gathering g;
};

/*
 * The buffer of an event with payload. There is one for each CPU and program, because a program runs at most once at a time
 * on a CPU. It is no per-CPU map, because the values of such a map cannot be that large (PCPU_MIN_UNIT_SIZE, 32 KiB).
 * The emission does not fit on the stack.
 */
struct event_buf {
	struct data_event event;
	char payload[PAYLOAD_MAX + PART_MAX]; /* the verifier adds the bounds of what is there and of what is added */
	struct emission emission;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space: CPUs * programs */
	__type(key, __u32);
	__type(value, struct event_buf);
} event_bufs SEC(".maps");

/* All of it is zero but for what is only read where frames are known. */
static __always_inline void reset_emission(struct emission *t, __u32 key)
{
	__builtin_memset(t, 0, offsetof(struct emission, g.frames));
	t->g.frames.form = 0;
	t->g.event_buf = key;
}

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

/* Does not capture the next n bytes. */
static __always_inline void pass(struct gathering *g, __u64 n)
{
	if (n > g->left)
		n = g->left;
	g->skip += n;
	g->position += n;
	g->left -= n;
}

/* Describes the frames of the event that begins here. */
static __always_inline void describe_frames(struct gathering *g)
{
	const struct framing *f = &g->frames;
	bool in_header = f->form && f->got;

	g->frame = in_header ? NEXT_UNKNOWN : f->next;
	g->frame_lead = in_header ? form_header(f->form) - f->got : 0;
	g->frame_unwanted = !in_header && f->unwanted;
}

/* Behind the used bytes, which are less than PAYLOAD_MAX. 5.10 and 6.1 forget the bound of a register that is spilled. */
static __always_inline void *free_payload(struct event_buf *event_buf, __u64 used)
{
	barrier_var(used);
	return event_buf->payload + (used & (PAYLOAD_MAX - 1));
}

/* Reads the next n bytes of a header. */
static __always_inline bool read_header(struct gathering *g, struct event_buf *event_buf, __u32 n)
{
	struct framing *f = &g->frames;
	__u32 got = f->got & (FRAME_HEADER_MAX - 1), used = g->used;

	barrier_var(n);
	n = ((n - 1) & (FRAME_HEADER_MAX - 1)) + 1;
	if (bpf_probe_read_user(f->header + got, n, (void *)g->from.base))
		return false;
	if (!g->dry) {
		/* What was read, because the program may change its memory meanwhile. */
		bpf_probe_read_kernel(free_payload(event_buf, used), n, f->header + got);
	}
	f->got = got + n;
	if (f->got < form_header(f->form))
		return true;
	end_header(f);
	if (g->frame == NEXT_UNKNOWN && f->form) {
		g->frame = f->next;
		g->frame_unwanted = f->unwanted;
	}
	return true;
}

/* Copies one more piece. 0: there is none. */
STEP int gather(struct gathering *g)
{
	struct user_iovec iovec;
	struct event_buf *event_buf;
	__u32 key, used;
	__u64 n;

	if (!g)
		return 0;
	struct framing *f = &g->frames;
	bool body = f->form && !f->got && g->position < f->next;
	if (body && (f->unwanted || g->dry)) {
		pass(g, f->next - g->position);
		body = false;
	}
	key = g->event_buf;
	used = g->used;
	if (!g->left || (g->dry ? !f->form : used >= g->want || used >= PAYLOAD_MAX))
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
	n = g->left;
	if (n > g->from.length)
		n = g->from.length;
	if (!g->dry && n > g->want - used)
		n = g->want - used;
	if (!n)
		return 1;
	event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	if (!event_buf)
		return 0;
	if (f->form && !body) {
		if (n > form_header(f->form) - f->got)
			n = form_header(f->form) - f->got;
		if (!read_header(g, event_buf, n)) {
			g->fault = 1;
			return 0;
		}
	} else {
		if (body && n > f->next - g->position)
			n = f->next - g->position;
		if (n > PART_MAX)
			n = PART_MAX;
		barrier_var(n);
		n = ((n - 1) & (PART_MAX - 1)) + 1;
		if (bpf_probe_read_user(free_payload(event_buf, used), n, (void *)g->from.base)) {
			g->fault = 1;
			return 0;
		}
	}
	g->from.base += n;
	g->from.length -= n;
	g->position += n;
	g->left -= n;
	if (!g->dry)
		g->used = used + n;
	return 1;
}

/* Copies the wanted ones of the call's next bytes into the event_buf. 1: there may be more. */
STEP int fill(struct gathering *g)
{
	for (int i = 0; i < IOV_PARTS_MAX; i++) {
		if (!GATHER(g))
			return 0;
	}
	return 1;
}

/* Copies the first bytes of a call to where later the header of a frame is, and returns how many. */
SUBPROGRAM int peek(struct gathering *g)
{
	struct user_iovec iovec;
	__u64 at, count, n;
	__u32 used = 0;

	if (!g)
		return 0;
	iovec.base = g->from.base;
	iovec.length = g->from.length;
	at = g->from.iov;
	count = g->from.count;
	for (int i = 0; i < SIGNATURE_PARTS_MAX; i++) {
		if (!iovec.length) {
			if (!count || bpf_probe_read_user(&iovec, sizeof(iovec), (void *)at))
				break;
			at += sizeof(iovec);
			count--;
		}
		if (used >= SIGNATURE_LEN || used >= g->left)
			break;
		n = g->left - used;
		if (n > iovec.length)
			n = iovec.length;
		if (n > SIGNATURE_LEN - used)
			n = SIGNATURE_LEN - used;
		if (!n)
			continue;
		barrier_var(n);
		n = ((n - 1) & (SIGNATURE_LEN - 1)) + 1;
		if (bpf_probe_read_user(g->frames.header + used, n, (void *)iovec.base))
			break;
		used += n;
		iovec.length = 0;
	}
	return used;
}

/*
 * Notes in the stream whether it begins with a signature: with the n bytes that peek has read. A program may receive the first
 * bytes in pieces (14 bytes have been seen). So the bytes that are there have to match, and there have to be more than eight.
 * The signature also says where the frames of both directions begin. The other side may have sent frames before.
 */
SUBPROGRAM int note_signature(struct connection *c, struct gathering *g, __u32 direction, __u32 n)
{
	if (!c || !g || n <= 8)
		return 0;
	struct stream *own = &c->streams[direction & 1], *other = &c->streams[(direction & 1) ^ 1];
	const __u64 *begin = (const __u64 *)g->frames.header;
	__u64 mask = ~0ull;
	if (n < SIGNATURE_LEN)
		mask >>= 8 * (SIGNATURE_LEN - n);
	for (int i = 0; i < SIGNATURES_MAX; i++) {
		const volatile struct signature *s = &signatures[i];
		__u64 first = s->bytes[0], peer[] = {s->peer_mask[0], s->peer_mask[1]};
		if (first && begin[0] == first && !((begin[1] ^ s->bytes[1]) & mask)) {
			own->signature = 1 + i;
			if (!s->form[0])
				continue;
			set_frames(&own->frames, s->form[0], s->first[0], 0);
			if (!other->position)
				set_frames(&other->frames, s->form[1], s->first[1], 0);
			return 0;
		}
		if (!own->frames.form && (peer[0] | peer[1]) && !(peer[1] & ~mask) &&
		    !((begin[0] ^ s->peer[0]) & peer[0]) && !((begin[1] ^ s->peer[1]) & peer[1]))
			set_frames(&own->frames, s->form[1], s->first[1], 1 + i);
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
