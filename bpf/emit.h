/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Writing an event into its shard's ring buffer, or counting that it could not be written. */
#pragma once

static __always_inline __u32 shard_of(__u64 cookie)
{
	return (__u32)cookie & shard_mask & (SHARDS_MAX - 1);
}

struct slot {
	void *ring;
	void *event; /* NULL: there was no room, and that has been counted */
};

static __always_inline struct slot reserve(__u32 shard, __u32 kind, __u64 size)
{
	struct slot slot = {.ring = bpf_map_lookup_elem(&rings, &shard)};

	if (slot.ring)
		slot.event = bpf_ringbuf_reserve(slot.ring, size, 0);
	if (!slot.event)
		count(COUNTER_RING_FULL + kind);
	return slot;
}

/*
 * No wake-up per event: the reader polls on a short timer, and is woken early by the event that takes the buffer
 * over the threshold. Two writers may both believe that the other one did; then the timer serves.
 */
static __always_inline __u64 wake_up(__u64 before, __u64 size)
{
	return before < wakeup_bytes && before + size + 8 >= wakeup_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void submit(struct slot *slot, __u32 kind, __u64 size)
{
	__u64 available = bpf_ringbuf_query(slot->ring, BPF_RB_AVAIL_DATA);

	bpf_ringbuf_submit(slot->event, wake_up(available - size - 8, size));
	count(COUNTER_EVENTS + kind);
}
