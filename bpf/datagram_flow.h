/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* UDP: the datagrams between a socket and one remote address are a flow. It begins with the first and ends after the last. */
#pragma once

/* Identifies a flow. */
struct datagram_key {
	__u64 cookie; /* the socket's */
	__u8 remote[ADDRESS_LEN];
	__u32 remote_port;
	__u32 pad;
};

struct datagram_flow {
	struct flow flow;
	__u64 owner_start;
	__u64 started; /* CLOCK_MONOTONIC, ns: first datagram */
	__u64 last;    /* CLOCK_MONOTONIC, ns: last datagram */
	__u64 bytes[DIRECTIONS];
	__u32 datagrams[DIRECTIONS];
	__u32 owner_pid;
	__u32 pass; /* socket mode: the last that has reported it, see datagram_pass.h */
	__u32 task_pid; /* who has transferred the last datagram that was emitted */
	__u32 limit[DIRECTIONS]; /* answered: bytes of one datagram, at most */
	__u32 spent; /* not answered: of DATAGRAM_BUDGET */
	__u8 answered; /* user space has written a policy for it */
	__u8 unwanted; /* directions of which nothing is wanted any more: a bit each */
	__u8 gap_reason[DIRECTIONS]; /* enum cut_reason: of datagrams that were not emitted */
	__u8 pad[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct datagram_key);
	__type(value, struct datagram_flow);
} datagrams SEC(".maps");

/*
 * Flows that have begun and not ended: a hash of the key, in a slot that the hash picks. If a flow begins that is in here already,
 * its entry in datagrams had to give way. Another flow may have taken the slot, so not every such loss is seen.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space: a power of two */
	__type(key, __u32);
	__type(value, __u32);
} begun_flows SEC(".maps");

const volatile __u32 begun_flows_mask = 0; /* slots of begun_flows - 1 */

static __always_inline __u32 hash_of_flow(const struct datagram_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 hash = 0;

	for (int i = 0; i < sizeof(*key) / sizeof(*words); i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull, hash ^= hash >> 32;
	return (__u32)hash | 1; /* 0: the slot is free */
}

static __always_inline void note_begin(const struct datagram_key *key)
{
	__u32 hash = hash_of_flow(key), slot = hash >> 1 & begun_flows_mask;
	__u32 *begun = bpf_map_lookup_elem(&begun_flows, &slot);

	if (!begun)
		return;
	if (*begun == hash)
		count(COUNTER_FLOW_REOPENED);
	*begun = hash;
}

static __always_inline void note_end(const struct datagram_key *key)
{
	__u32 hash = hash_of_flow(key), slot = hash >> 1 & begun_flows_mask;
	__u32 *begun = bpf_map_lookup_elem(&begun_flows, &slot);

	if (begun && *begun == hash)
		*begun = 0;
}

/* Who uses a flow. */
struct datagram_user {
	__u64 start;
	__u32 pid;
	__u32 pad;
};

/* Fills in a flow with its first datagram. flow: with both ends. The role follows from the datagram's direction. */
static __always_inline void begin_datagrams(struct datagram_flow *fresh, const struct flow *flow, __u64 cookie,
					    const struct datagram_user *user, __u32 direction, __u64 now)
{
	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->flow = *flow;
	fresh->flow.cookie = cookie;
	fresh->flow.role = direction == DIRECTION_SENT ? ROLE_CLIENT : ROLE_SERVER;
	fresh->flow.role_source = ROLE_SOURCE_FIRST;
	fresh->owner_pid = fresh->task_pid = user->pid;
	fresh->owner_start = user->start;
	fresh->started = fresh->last = now;
}

/*
 * Returns the entry of a flow that had none: fresh, or what a thread on another CPU has put there meanwhile. Only the first of them
 * opens the flow. e: the event that opens fresh; NULL: there was no room. It is reserved before the flow can be found, so that nothing
 * comes before it in its ring buffer.
 */
static __always_inline struct datagram_flow *enter_datagrams(const struct datagram_key *key, const struct datagram_flow *fresh,
							     struct reservation *r, struct open_event *e)
{
	bool first = !bpf_map_update_elem(&datagrams, key, fresh, BPF_NOEXIST);
	struct datagram_flow *d;

	if (first)
		note_begin(key);
	if (e && first)
		submit(r, e);
	else if (e)
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
	d = bpf_map_lookup_elem(&datagrams, key);
	if (!d)
		count(COUNTER_STORAGE_FAILED);
	return d;
}

static __always_inline void add_datagram(struct datagram_flow *d, __u32 direction, __u32 length, __u64 now)
{
	d->last = now;
	__sync_fetch_and_add(&d->bytes[direction], length);
	__sync_fetch_and_add(&d->datagrams[direction], 1);
}
