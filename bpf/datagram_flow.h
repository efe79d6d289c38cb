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
	__u8 ignored;
	__u8 closed; /* its end was emitted; the next datagram begins another flow */
	__u8 pad[2];
	__u32 pass; /* socket mode: the last that has reported it, see datagram.h */
	__u32 pad2;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct datagram_key);
	__type(value, struct datagram_flow);
} datagrams SEC(".maps");

/* Not on the stack, where there is little room. */
static const struct datagram_flow no_datagrams = {.closed = 1};

/* Returns the flow. Its member closed is set if it has to be begun. */
static __always_inline struct datagram_flow *datagram_flow_of(const struct datagram_key *key)
{
	struct datagram_flow *d = bpf_map_lookup_elem(&datagrams, key);

	if (!d && !bpf_map_update_elem(&datagrams, key, &no_datagrams, BPF_ANY))
		d = bpf_map_lookup_elem(&datagrams, key);
	return d;
}

/* The role follows from the direction of the first datagram. */
static __always_inline void begin_datagrams(struct datagram_flow *d, const struct flow *flow, __u64 cookie, __u32 direction,
					    __u64 now)
{
	d->flow = *flow;
	d->flow.cookie = cookie;
	d->flow.role = direction == DIRECTION_SENT ? ROLE_CLIENT : ROLE_SERVER;
	d->flow.role_source = ROLE_SOURCE_FIRST;
	d->started = now;
	d->closed = 0;
	for (int i = 0; i < DIRECTIONS; i++) {
		d->bytes[i] = 0;
		d->datagrams[i] = 0;
	}
}

static __always_inline void add_datagram(struct datagram_flow *d, __u32 direction, __u32 length, __u64 now)
{
	d->last = now;
	__sync_fetch_and_add(&d->bytes[direction], length);
	__sync_fetch_and_add(&d->datagrams[direction], 1);
}
