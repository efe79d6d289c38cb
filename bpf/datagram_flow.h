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
	__u8 closed; /* its end was emitted, or it is being made; the next datagram begins a flow */
	__u8 answered; /* user space has written a policy for it */
	__u8 unwanted; /* directions of which nothing is wanted any more: a bit each */
	__u32 pass; /* socket mode: the last that has reported it, see datagram.h */
	__u32 task_pid; /* who has transferred the last datagram that was emitted */
	__u32 limit[DIRECTIONS]; /* answered: bytes of one datagram, at most */
	__u32 spent; /* not answered: of DATAGRAM_BUDGET */
	__u8 gap_reason[DIRECTIONS]; /* enum cut_reason: of datagrams that were not emitted */
	__u8 pad[3];
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

/* Not on the stack, where there is little room. */
static const struct datagram_flow no_datagrams = {.closed = 1};

/* Returns an entry for a flow that begins. Its member closed is set until begin_datagrams. */
static __always_inline struct datagram_flow *make_datagrams(const struct datagram_key *key)
{
	if (bpf_map_update_elem(&datagrams, key, &no_datagrams, BPF_ANY))
		return NULL;
	return bpf_map_lookup_elem(&datagrams, key);
}

/* Who uses a flow. */
struct datagram_user {
	__u64 start;
	__u32 pid;
	__u32 pad;
};

/* flow: with both ends. The role follows from the direction of the first datagram. */
static __always_inline void begin_datagrams(struct datagram_flow *d, const struct datagram_key *key, const struct flow *flow,
					    __u64 cookie, const struct datagram_user *user, __u32 direction, __u64 now)
{
	note_begin(key);
	d->flow = *flow;
	d->flow.cookie = cookie;
	d->flow.role = direction == DIRECTION_SENT ? ROLE_CLIENT : ROLE_SERVER;
	d->flow.role_source = ROLE_SOURCE_FIRST;
	d->owner_pid = d->task_pid = user->pid;
	d->owner_start = user->start;
	d->started = d->last = now;
	d->answered = d->unwanted = 0;
	d->spent = 0;
	for (int i = 0; i < DIRECTIONS; i++) {
		d->bytes[i] = 0;
		d->datagrams[i] = 0;
		d->gap_reason[i] = 0;
	}
	barrier();
	d->closed = 0; /* the last one: from here on a pass may look at the flow */
}

static __always_inline void add_datagram(struct datagram_flow *d, __u32 direction, __u32 length, __u64 now)
{
	d->last = now;
	__sync_fetch_and_add(&d->bytes[direction], length);
	__sync_fetch_and_add(&d->datagrams[direction], 1);
}
