/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The payload of datagrams: which of them are emitted, and how much of each. An event is one datagram. */
#pragma once

/*
 * What a flow may cost before user space has answered what it wants of it. The first events have to be enough to recognise a protocol.
 * A DNS server may send 4096 bytes (RFC 6891, 6.2.5). 64 KiB are some 400 lookups: a resolver that makes 2,000 in a second over one
 * socket gives user space 200 ms for its answer. Small datagrams count for more than they have, because an event costs room, too.
 */
#define DATAGRAM_HEAD_MAX 4096   /* bytes of one datagram */
#define DATAGRAM_BUDGET 65536    /* bytes of a flow, in both directions together */
#define DATAGRAM_COST_MIN 64     /* bytes that each datagram costs of the budget at least */
#define DATAGRAM_URGENT 4096     /* bytes of a flow that wake user space, so that it answers soon */

/* What is wanted of a datagram. */
struct datagram_want {
	__u32 bytes;
	__u32 urgent;
	__u32 describe; /* see struct policy */
};

/* How much of a datagram is wanted; false: not even that there was one. */
static __always_inline bool is_datagram_wanted(struct datagram_flow *d, __u32 direction, __u32 length, struct datagram_want *want)
{
	struct policy *policy = policy_of(d->flow.cookie);
	__u32 spent = d->spent, cost;

	if (policy) { /* kept in the flow, because another cookie may take the slot */
		d->answered = 1;
		d->unwanted = (policy->until[0] == UNTIL_NEVER) | (policy->until[1] == UNTIL_NEVER) << 1;
		d->limit[0] = policy->limit[0];
		d->limit[1] = policy->limit[1];
	}
	want->urgent = 0;
	want->describe = policy && policy->describe;
	want->bytes = length;
	if (d->answered) {
		if (want->bytes > d->limit[direction])
			want->bytes = d->limit[direction];
		if (want->bytes > PAYLOAD_MAX)
			want->bytes = PAYLOAD_MAX;
		return !(d->unwanted >> direction & 1);
	}
	if (spent >= DATAGRAM_BUDGET) {
		d->gap_reason[direction] |= CUT_LIMIT;
		count(COUNTER_DATAGRAM_BUDGET);
		return false;
	}
	if (want->bytes > DATAGRAM_HEAD_MAX)
		want->bytes = DATAGRAM_HEAD_MAX;
	cost = want->bytes < DATAGRAM_COST_MIN ? DATAGRAM_COST_MIN : want->bytes;
	d->spent = spent + cost;
	want->urgent = spent < DATAGRAM_URGENT && spent + cost >= DATAGRAM_URGENT;
	return true;
}

/* Describes the flow if user space has asked for that. The caller fills in the owner. */
static __always_inline struct open_event *begin_flow_description(struct reservation *r, const struct datagram_flow *d)
{
	struct open_event *e = is_description_due(d->flow.cookie) ? begin_description(r, &d->flow) : NULL;

	if (!e)
		return NULL;
	for (int i = 0; i < DIRECTIONS; i++)
		e->position[i] = d->bytes[i];
	return e;
}

/*
 * Copies the wanted bytes into the event_buf and returns their number. Most are in one piece. That needs none of the calls that
 * gathering takes.
 */
static __always_inline __u32 copy_datagram(struct event_buf *event_buf, struct gathering *g)
{
	__u32 n = g->want;

	if (g->from.iov) {
		fill(g);
		return g->used;
	}
	if (n > g->from.length)
		n = g->from.length;
	if (!n)
		return 0;
	barrier_var(n); /* as in on_transfer */
	n = ((n - 1) & (PAYLOAD_MAX - 1)) + 1;
	if (!bpf_probe_read_user(event_buf->payload, n, (void *)g->from.base))
		return n;
	g->fault = 1;
	return 0;
}

/* The bytes that are not captured: why. */
static __always_inline __u32 datagram_cut_reason(const struct gathering *g, __u32 length, bool unknown)
{
	if (g->fault) {
		count(COUNTER_PAYLOAD_FAULT);
		return CUT_FAULT;
	}
	if (unknown && g->want) {
		count(COUNTER_PAYLOAD_NO_BUFFER);
		return CUT_NO_BUFFER;
	}
	if (g->want < length || (g->from.iov && g->from.count))
		return CUT_LIMIT;
	return CUT_NO_BUFFER; /* MSG_TRUNC: its end was dropped */
}

/*
 * Emits a datagram. g says where its bytes are, how many are wanted, and in which event_buf they go. The caller has set the members
 * of the event that depend on the mode: pid and start of its header, goroutine. stream: room for what emit_data needs of a stream.
 * began: when the call began to send; 0: not known.
 */
static __always_inline void emit_datagram(struct datagram_flow *d, struct event_buf *event_buf, struct gathering *g,
					  struct stream *stream, __u32 direction, __u32 length, bool unknown, __u32 urgent, __u64 began,
					  __u64 now)
{
	struct data_event *e = &event_buf->event;
	__u32 captured = 0;

	e->header.kind = EVENT_DATA;
	e->header.time = now;
	e->cookie = d->flow.cookie;
	e->position = d->bytes[direction];
	e->tid = bpf_get_current_pid_tgid();
	e->length = length;
	e->skipped = 0;
	e->direction = direction;
	e->began = began ? began : now;
	e->form = 0;
	g->left = length;
	if (g->want && !unknown)
		captured = copy_datagram(event_buf, g);
	if (captured > PAYLOAD_MAX) /* which the verifier does not know */
		captured = 0;
	e->captured = captured;
	e->cut_reason = captured < length ? datagram_cut_reason(g, length, unknown) : 0;
	stream->last_unreported = 0;
	stream->gap_reason = d->gap_reason[direction];
	emit_data(stream, g->event_buf, shard_of(d->flow.cookie), urgent);
	d->gap_reason[direction] = stream->gap_reason;
}
