/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The bytes of a call, copied piece by piece from the task's memory. Where it is known where frames begin, their headers are
 * read on the way, and the bodies that user space does not want are passed over.
 */
#pragma once

#define SIGNATURE_PARTS_MAX 4 /* iovecs that a signature is looked for in */
#define IOV_PARTS_MAX 128     /* steps in a row: pieces of memory, headers of frames */

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
	__u32 key, used, size;
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
		size = read_piece(&iovec, &g->from, g->from.iov);
		if (!size) {
			g->fault = 1;
			return 0;
		}
		g->from.iov += size;
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
	__u32 used = 0, size;

	if (!g)
		return 0;
	iovec.base = g->from.base;
	iovec.length = g->from.length;
	at = g->from.iov;
	count = g->from.count;
	for (int i = 0; i < SIGNATURE_PARTS_MAX; i++) {
		if (!iovec.length) {
			size = count ? read_piece(&iovec, &g->from, at) : 0;
			if (!size)
				break;
			at += size;
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
