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

/* Bytes that are captured at most. */
struct budget {
	__u32 call;
	__u32 burst;
};

/* How much user space wants of the direction; false: nothing any more. */
static __always_inline bool is_wanted(struct connection *c, __u32 direction, struct budget *b)
{
	struct stream *stream = &c->streams[direction];
	struct policy *policy;

	if (stream->until == UNTIL_NEVER || !follow_data)
		return false;
	b->call = payload_limit;
	b->burst = payload_burst;
	policy = policy_of(c->flow.cookie);
	if (policy) {
		if (policy->until[direction] > stream->until)
			stream->until = policy->until[direction];
		b->call = policy->limit[direction];
		b->burst = policy->burst;
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
	if (want > b->call)
		want = b->call;
	if (c->burst >= b->burst)
		want = 0;
	else if (want > b->burst - c->burst)
		want = b->burst - c->burst;
	t->g.skip = skip;
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

/* The sooner user space sets how much of a long burst it wants, the less is copied in vain. */
static __always_inline void add_to_burst(struct emission *t, struct connection *c)
{
	t->urgent = c->burst < URGENT_BURST && c->burst + t->want >= URGENT_BURST;
	c->burst += t->want;
}
