/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Writing an event into its shard's ring buffer, or counting that it could not be written. */
#pragma once

static __always_inline __u32 shard_of(__u64 cookie)
{
	return (__u32)cookie & shard_mask & (SHARDS_MAX - 1);
}

/* A NULL return has been counted. */
static __always_inline void *reserve(__u32 shard, __u32 kind, __u64 size)
{
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	void *event = ring ? bpf_ringbuf_reserve(ring, size, 0) : NULL;
	if (!event)
		count(COUNTER_RING_FULL + kind);
	return event;
}

/*
 * No wake-up per event: the reader polls on a short timer, and is woken early by the event that takes the buffer
 * over the threshold. Two writers may both believe that the other one did; then the timer serves.
 */
static __always_inline void submit(__u32 shard, __u32 kind, void *event, __u64 size)
{
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (ring) {
		__u64 available = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
		if (available >= wakeup_bytes && available - size - 8 < wakeup_bytes)
			flags = BPF_RB_FORCE_WAKEUP;
	}
	count(COUNTER_EVENTS + kind);
	bpf_ringbuf_submit(event, flags);
}
