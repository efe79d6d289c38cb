/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* How much of the payload of a call is captured. */
#pragma once

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, struct policy);
} policies SEC(".maps");

/*
 * The policy that user space has written for a cookie, or NULL. Cookies of UDP flows differ between CPUs in their upper bits only
 * (datagram.h), so all bits pick the slot: Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4). The same is in
 * internal/kernel/policy.go.
 */
static __always_inline struct policy *policy_of(__u64 cookie)
{
	__u32 key = (__u32)(cookie * 0x9e3779b97f4a7c15ull >> 40) & policy_mask;
	struct policy *policy = bpf_map_lookup_elem(&policies, &key);

	return policy && policy->cookie == cookie ? policy : NULL;
}

/* Whether user space asks for a description of the socket. It is asked once. */
static __always_inline bool is_description_due(__u64 cookie)
{
	struct policy *policy = policy_of(cookie);

	if (!policy || !policy->describe)
		return false;
	policy->describe = 0;
	return true;
}

/* Bytes that are captured at most. */
struct budget {
	__u32 call;
	__u32 burst;
	__u32 describe; /* see struct policy */
	__u32 pad;
	__u64 form; /* of the frames, and where one begins: as in struct policy */
	__u64 next;
};

/* A program on another CPU may be changing them: it takes away the position first, and writes it last. */
static __always_inline void read_frames(struct budget *b, const volatile struct policy *policy, __u32 direction)
{
	b->next = policy->next[direction];
	b->form = policy->form[direction];
	if (policy->next[direction] != b->next)
		b->next = NEXT_UNKNOWN;
}

/* How much user space wants of the direction; false: nothing any more. */
static __always_inline bool is_wanted(struct connection *c, __u32 direction, struct budget *b)
{
	struct stream *stream = &c->streams[direction];
	struct policy *policy;

	if (stream->until == UNTIL_NEVER || !follow_data)
		return false;
	b->call = payload_limit;
	b->burst = payload_burst;
	b->describe = 0;
	b->form = 0;
	policy = policy_of(c->flow.cookie);
	if (policy) {
		if (policy->until[direction] > stream->until)
			stream->until = policy->until[direction];
		b->call = policy->limit[direction];
		b->burst = policy->burst;
		b->describe = policy->describe;
		read_frames(b, policy, direction);
		return stream->until != UNTIL_NEVER;
	}
	if (c->streams[0].signature || c->streams[1].signature)
		b->burst = signature_burst;
	return true;
}

/* Begins the event of a call's bytes and decides how many of them are captured. They are the last that the direction has carried. */
static __always_inline void begin_data(struct emission *t, struct data_event *e, struct connection *c, __u32 direction,
				       __u32 length, const struct budget *b)
{
	const struct stream *stream = &c->streams[direction];
	__u64 begin = stream->position - length;
	__u32 skip = begin < stream->until ? stream->until - begin : 0;
	__u32 want = length - skip;

	if (c->direction != direction) {
		c->direction = direction;
		c->burst = 0;
	}
	e->header.kind = EVENT_DATA;
	e->cookie = c->flow.cookie;
	e->position = begin;
	e->tid = bpf_get_current_pid_tgid();
	e->length = length;
	e->skipped = skip;
	e->captured = 0;
	e->direction = direction;
	e->form = 0;
	if (want > b->call)
		want = b->call;
	if (c->burst >= b->burst)
		want = 0;
	else if (want > b->burst - c->burst)
		want = b->burst - c->burst;
	t->g.position = begin;
	t->g.left = length;
	t->want = want;
	t->cut_reason = want < length - skip ? CUT_LIMIT : 0;
	t->shard = shard_of(c->flow.cookie);
}

/* It is not known where the bytes are in memory. */
static __always_inline void without_buffer(struct emission *t)
{
	t->cut_reason |= CUT_NO_BUFFER;
	t->want = 0;
	count(COUNTER_PAYLOAD_NO_BUFFER);
}

/*
 * Finds out where frames begin in the call's bytes, once it is known where these are. User space does not skip bytes beyond the
 * end of a frame.
 */
static __always_inline void begin_frames(struct emission *t, const struct data_event *e, struct connection *c, __u32 direction,
					 const struct budget *b)
{
	struct framing *f = &t->g.frames;

	if (!e->position && !(t->cut_reason & CUT_NO_BUFFER))
		note_signature(c, &t->g, direction, peek(&t->g));
	if (c->streams[direction].frames.form || b->form) {
		*f = c->streams[direction].frames;
		if (f->form) {
			check_frames(f, e->position);
			prove_frames(f, c->streams[direction ^ 1].signature);
		}
		if (b->form)
			adopt_frames(f, b->form, b->next, e->position);
		if (f->form && e->skipped && (f->got || e->position + e->skipped > f->next))
			f->form = 0;
		t->framed = f->form != 0;
	}
	pass(&t->g, e->skipped);
}

/* The sooner user space sets how much of a long burst it wants, the less is copied in vain. */
static __always_inline void add_to_burst(struct emission *t, struct connection *c)
{
	t->urgent = c->burst < URGENT_BURST && c->burst + t->want >= URGENT_BURST && !t->framed;
	c->burst += t->want;
}

/* The bodies of unwanted frames are not part of the burst. */
static __always_inline void take_from_burst(struct emission *t, struct connection *c)
{
	if (t->framed)
		c->burst -= c->burst < t->want ? c->burst : t->want;
}
