/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A connection, as either mode remembers it, and the events about its beginning and its end. */
#pragma once

/* One direction of a connection. */
struct stream {
	__u64 position;        /* bytes that were transferred */
	__u64 until;           /* see struct policy */
	__u64 last_unreported; /* CLOCK_MONOTONIC, ns: the last transfer that was not emitted */
	__u32 sequence;        /* TCP sequence number of position 0 */
	__u8 gap_reason;       /* enum cut_reason: of what was not emitted */
	__u8 signature;        /* 1 + the one of signatures that it began with; 0: none */
	__u8 pad[2];
	struct framing frames;
};

struct connection {
	struct flow flow; /* as far as it is known; socket mode: role_source 0 until it is a connection's */
	__u64 started;
	__u64 established;
	struct stream streams[DIRECTIONS];
	__u32 owner_pid;
	__u32 task_pid; /* who made the last transfer that was emitted */
	__u32 burst;    /* bytes captured since the direction turned */
	__u8 direction; /* of the last transfer */
	__u8 existing;  /* older than the programs: no accept event will come */
	__u8 pad[2];
};

/* The caller fills in the owner. */
static __always_inline struct open_event *begin_open(struct reservation *r, __u32 kind, const struct flow *flow)
{
	struct open_event *e = begin_event(r, shard_of(flow->cookie), kind, sizeof(*e));

	if (e)
		e->flow = *flow;
	return e;
}

/* Where the streams were before the last transfer, which was of length bytes in a direction. */
static __always_inline void set_positions(__u64 *position, const struct connection *c, __u32 direction, __u32 length)
{
	for (int i = 0; i < DIRECTIONS; i++)
		position[i] = c->streams[i].position - (i == direction ? length : 0);
}

static __always_inline void set_sequences(struct open_event *e, const struct connection *c)
{
	for (int i = 0; i < DIRECTIONS; i++)
		e->sequence[i] = c->streams[i].sequence;
}

/*
 * Describes a socket once more, because user space does not know it any more. To user space it is another connection, which it
 * joins now. The caller fills in the owner and the positions.
 */
static __always_inline struct open_event *begin_description(struct reservation *r, const struct flow *flow)
{
	struct open_event *e = begin_open(r, EVENT_EXISTING, flow);

	if (!e)
		return NULL;
	e->started = e->header.time;
	e->state = BPF_TCP_ESTABLISHED;
	return e;
}

/* cookie: of the end that the event is about. sent: the direction that this end sends. */
static __always_inline struct close_event *begin_close(struct reservation *r, __u32 kind, const struct connection *c,
						       __u64 cookie, __u32 sent)
{
	struct close_event *e = begin_event(r, shard_of(cookie), kind, sizeof(*e));

	if (!e)
		return NULL;
	e->header.pid = c->owner_pid;
	e->flow = c->flow;
	e->flow.cookie = cookie;
	e->started = c->started;
	e->established = c->established;
	e->accepted_before = c->existing;
	for (int i = 0; i < DIRECTIONS; i++) {
		e->position[i] = c->streams[i ^ sent].position;
		e->last_unreported[i] = c->streams[i ^ sent].last_unreported;
	}
	e->bytes_sent = e->position[DIRECTION_SENT];
	e->bytes_received = e->position[DIRECTION_RECEIVED];
	return e;
}

/* A mistake in the arguments of connect is no failed connection, nor is a call that goes on in the background. */
static __always_inline bool is_failure(long err)
{
	return err > 0 && err != EINTR && err != EBADF && err != EFAULT && err != ENOTSOCK && err != EISCONN &&
	       err != EALREADY && err != EINPROGRESS && !(err >= ERESTARTSYS && err <= ERESTART_LAST);
}
