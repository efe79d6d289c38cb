/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Writes events into the ring buffer of their shard, and counts those that could not be written. */
#pragma once

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* set by user space */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHARDS_MAX);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* Read by user space through shared memory: see struct control for why not otherwise. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set by user space: CPUs * COUNTERS_STRIDE */
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count_more(__u32 index, __u64 more)
{
	__u32 key = bpf_get_smp_processor_id() * COUNTERS_STRIDE + index;
	__u64 *n = bpf_map_lookup_elem(&counters, &key);
	if (n)
		__sync_fetch_and_add(n, more); /* a softirq on this CPU may come in between */
}

static __always_inline void count(__u32 index)
{
	count_more(index, 1);
}

static __always_inline __u32 shard_of(__u64 cookie)
{
	return (__u32)cookie & shard_mask & (SHARDS_MAX - 1);
}

/* Room for an event in a ring buffer. */
struct reservation {
	void *ring;
	__u32 kind;
	__u32 size;
};

/* NULL: there was no room, and that has been counted. */
static __always_inline void *reserve(struct reservation *r, __u32 shard, __u32 kind, __u32 size)
{
	void *event = NULL;

	r->ring = bpf_map_lookup_elem(&rings, &shard);
	r->kind = kind;
	r->size = size;
	if (r->ring)
		event = bpf_ringbuf_reserve(r->ring, size, 0);
	if (!event)
		count(COUNTER_RING_FULL + kind);
	return event;
}

/* The same, for an event that is zero but for its kind and its time. */
static __always_inline void *begin_event(struct reservation *r, __u32 shard, __u32 kind, __u32 size)
{
	struct event_header *header = reserve(r, shard, kind, size);

	if (!header)
		return NULL;
	__builtin_memset(header, 0, size);
	header->kind = kind;
	header->time = bpf_ktime_get_ns();
	return header;
}

/*
 * No wake-up per event: the reader polls on a short timer, and is woken early by the event that takes the buffer
 * over the threshold. Two writers may both believe that the other one did; then the timer serves.
 */
static __always_inline __u64 wake_up(__u64 before, __u64 size)
{
	return before < wakeup_bytes && before + size + 8 >= wakeup_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void submit(struct reservation *r, void *event)
{
	__u64 available = bpf_ringbuf_query(r->ring, BPF_RB_AVAIL_DATA);

	bpf_ringbuf_submit(event, wake_up(available - r->size - 8, r->size));
	count(COUNTER_EVENTS + r->kind);
}

/* Wakes the reader at once. */
static __always_inline void submit_urgently(struct reservation *r, void *event)
{
	bpf_ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
	count(COUNTER_EVENTS + r->kind);
}
