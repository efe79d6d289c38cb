/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The passes over the UDP flows, which find those that have ended. */
#pragma once

/* Set before the programs are loaded: how many flows one step of a pass reports at most. */
const volatile __u32 flows_per_step = 0;

static __always_inline void count_datagrams(struct packet_counts *counts, const struct datagram_flow *d)
{
	counts->sent = d->datagrams[DIRECTION_SENT];
	counts->received = d->datagrams[DIRECTION_RECEIVED];
}

/* The flow goes on. */
static __always_inline void emit_live_datagrams(const struct datagram_flow *d)
{
	struct reservation r;
	struct live_event *e = begin_event(&r, shard_of(d->flow.cookie), EVENT_LIVE, sizeof(*e));

	if (!e)
		return;
	e->cookie = d->flow.cookie;
	for (int i = 0; i < DIRECTIONS; i++)
		e->bytes[i] = d->bytes[i];
	count_datagrams(&e->packets, d);
	submit(&r, e);
}

static __always_inline void emit_ended_datagrams(const struct datagram_flow *d)
{
	struct reservation r;
	struct close_event *e = begin_event(&r, shard_of(d->flow.cookie), EVENT_CLOSE, sizeof(*e));

	if (!e)
		return;
	e->header.pid = d->owner_pid;
	e->header.time = d->last;
	e->header.start = d->owner_start;
	e->flow = d->flow;
	e->started = d->started;
	e->established = d->started;
	e->bytes_sent = d->bytes[DIRECTION_SENT];
	e->bytes_received = d->bytes[DIRECTION_RECEIVED];
	count_datagrams(&e->packets, d);
	submit(&r, e);
}

/*
 * Reports which flows have ended and which go on. User space runs a pass in several steps. Each reports at most
 * flows_per_step flows, so that the ring buffers can be read in between. A step that reports none ends the pass.
 */
struct flow_step {
	__u64 now;
	__u32 pass;
	__u32 reported;
};

static long report_flow(void *map, const struct datagram_key *key, struct datagram_flow *d, struct flow_step *step)
{
	if (d->pass == step->pass)
		return 0;
	d->pass = step->pass;
	if (d->last + datagram_idle > step->now) {
		emit_live_datagrams(d);
	} else {
		note_end(key);
		emit_ended_datagrams(d);
		bpf_map_delete_elem(&datagrams, key); /* the last one: its memory may be another flow's from here on */
	}
	return ++step->reported >= flows_per_step;
}

static __always_inline int on_flow_pass(__u32 pass)
{
	struct flow_step step = {.now = bpf_ktime_get_ns(), .pass = pass};

	bpf_for_each_map_elem(&datagrams, report_flow, &step, 0);
	return step.reported;
}
