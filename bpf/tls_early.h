/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Plaintext of connections whose socket is not known yet, as those are that are older than the programs. It waits here for the socket. */
#pragma once

#define EARLY_BYTES 16384
#define EARLY_PARTS 16 /* a power of two */

/* What a call has transferred. */
struct early_part {
	__u64 time;
	__u64 began;
	__u32 tid;
	__u32 length;
	__u32 captured; /* of these */
	__u32 at;       /* where they are */
	__u32 direction;
	__u32 pad;
};

struct early {
	__u32 count; /* of parts */
	__u32 used;  /* bytes */
	__u64 missed[DIRECTIONS]; /* bytes behind them, for which there was no room */
	__u64 missed_first;       /* CLOCK_MONOTONIC, ns: when that began */
	__u64 missed_last;
	struct early_part parts[EARLY_PARTS];
	char bytes[2 * EARLY_BYTES]; /* the verifier adds the bounds of what is there and of what is added */
};

/* By the object whose calls the program makes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct tls_object);
	__type(value, struct early);
} tls_early SEC(".maps");

/* Of an object whose plaintext waits. There are few struct early: one that has to give way takes its parts with it, which shows only here. */
struct waited {
	__u32 parts;        /* in the struct early that was there last */
	__u32 evicted;      /* parts that were there before, and are lost */
	__u64 last;         /* CLOCK_MONOTONIC, ns: when the last of parts came */
	__u64 evicted_last; /* when the last of evicted came */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct tls_object);
	__type(value, struct waited);
} tls_waited SEC(".maps");

/* The struct early of an object is gone. */
static __always_inline void note_evicted(struct waited *waited)
{
	if (!waited->parts)
		return;
	waited->evicted += waited->parts;
	waited->evicted_last = waited->last;
	waited->parts = 0;
}

/* A part waits now. is_first: it is the first one of its struct early. */
SUBPROGRAM int note_waited(__u64 address, bool is_first)
{
	struct tls_object object = {.address = address, .pid = current_process()};
	struct waited *waited = bpf_map_lookup_elem(&tls_waited, &object), first = {};

	if (!waited) {
		bpf_map_update_elem(&tls_waited, &object, &first, BPF_NOEXIST);
		waited = bpf_map_lookup_elem(&tls_waited, &object); /* a use, too: see begin_layer */
		if (!waited)
			return 0;
	}
	if (is_first)
		note_evicted(waited);
	waited->parts++;
	waited->last = bpf_ktime_get_ns();
	return 0;
}

/*
 * The socket of an object is known. Returns whether parts are lost that came after its connection began. is_gone: there is no struct early.
 */
SUBPROGRAM int end_waited(__u64 address, bool is_gone, __u64 began)
{
	struct tls_object object = {.address = address, .pid = current_process()};
	struct waited *waited = bpf_map_lookup_elem(&tls_waited, &object);
	__u64 evicted, last;

	if (!waited)
		return 0;
	if (is_gone)
		note_evicted(waited);
	evicted = waited->evicted;
	last = waited->evicted_last;
	bpf_map_delete_elem(&tls_waited, &object);
	count_more(COUNTER_TLS_UNTIED, evicted);
	count_more(COUNTER_TLS_FOUND, evicted);
	return evicted && last >= began;
}

/* Zeros, which do not fit on the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct early);
} no_early SEC(".maps");

/* The plaintext of a call waits: length bytes. */
static __noinline int hold_early(__u64 address, __u64 bytes, __u64 began, __u32 direction, __u32 length)
{
	struct tls_object object = {.address = address, .pid = current_process()};
	struct early *early = bpf_map_lookup_elem(&tls_early, &object), *zeros;
	__u64 now = bpf_ktime_get_ns();
	struct early_part *part;
	__u32 zero = 0, at, n;
	bool is_first = !early;

	if (is_first) {
		zeros = bpf_map_lookup_elem(&no_early, &zero);
		if (zeros && !bpf_map_update_elem(&tls_early, &object, zeros, BPF_NOEXIST))
			early = bpf_map_lookup_elem(&tls_early, &object);
	}
	if (!early || early->count >= EARLY_PARTS) {
		if (early) {
			early->missed[direction & 1] += length;
			early->missed_last = now;
			if (!early->missed_first)
				early->missed_first = now;
		}
		count(COUNTER_TLS_UNTIED);
		return 0;
	}
	part = &early->parts[early->count & (EARLY_PARTS - 1)];
	at = early->used;
	n = at < EARLY_BYTES ? EARLY_BYTES - at : 0;
	if (n > length)
		n = length;
	part->time = now;
	part->began = began;
	part->tid = bpf_get_current_pid_tgid();
	part->length = length;
	part->direction = direction;
	part->at = at;
	part->captured = 0;
	if (n) {
		barrier_var(n);
		n = ((n - 1) & (EARLY_BYTES - 1)) + 1;
		barrier_var(at);
		at &= EARLY_BYTES - 1;
		if (!bpf_probe_read_user(early->bytes + at, n, (void *)bytes)) {
			part->captured = n;
			early->used = at + n;
		}
	}
	early->count++;
	note_waited(address, is_first);
	count(COUNTER_TLS_HELD);
	return 0;
}

/* A part is emitted as data of its layer, from a buffer of event_bufs. */
static __always_inline void emit_early_part(struct socket_state *layer, struct early *early, struct early_part *part, __u32 key)
{
	struct event_buf *event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	struct data_event *e;
	struct stream *stream;
	__u32 n, at;

	if (!event_buf)
		return;
	e = &event_buf->event;
	stream = &layer->conn.streams[part->direction & 1];
	__builtin_memset(e, 0, sizeof(*e));
	e->header.kind = EVENT_DATA;
	e->header.pid = current_process();
	e->header.start = process_start();
	e->header.time = part->time;
	e->began = part->direction == DIRECTION_SENT ? part->began : part->time;
	e->cookie = layer->conn.flow.cookie;
	e->position = stream->position;
	e->length = part->length;
	e->tid = part->tid;
	e->direction = part->direction & 1;
	e->joined = layer->conn.existing;
	stream->position += part->length;
	n = part->captured;
	if (n) {
		barrier_var(n);
		n = ((n - 1) & (EARLY_BYTES - 1)) + 1;
		at = part->at & (EARLY_BYTES - 1);
		if (!bpf_probe_read_kernel(event_buf->payload, n, early->bytes + at))
			e->captured = n;
	}
	e->cut_reason = e->captured < e->length ? CUT_LIMIT : 0;
	emit_data(stream, key, shard_of(e->cookie), 0);
}

/* What has waited since before the connection began is of another one, whose object was at this address. */
SUBPROGRAM int end_early_part(struct socket_state *layer, struct early *early, __u32 i, __u64 began, __u32 key)
{
	struct early_part *part;

	if (!early)
		return 0;
	part = &early->parts[i & (EARLY_PARTS - 1)];
	if (part->time < began)
		count(COUNTER_TLS_UNTIED);
	else if (layer)
		emit_early_part(layer, early, part, key);
	count(COUNTER_TLS_FOUND);
	return 0;
}

/* The socket is known: what has waited is emitted, in its order, from a buffer of event_bufs. layer NULL: the socket is left out. */
static __always_inline void end_early(struct socket_state *layer, __u64 address, __u64 began, __u32 key)
{
	struct tls_object object = {.address = address, .pid = current_process()};
	struct early *early = address ? bpf_map_lookup_elem(&tls_early, &object) : NULL;

	if (address && end_waited(address, !early, began) && layer) {
		layer->conn.existing = true; /* how much is missing is not known: as if it had begun before it was seen */
		skip_missed(&layer->conn.streams[DIRECTION_SENT], 1);
		skip_missed(&layer->conn.streams[DIRECTION_RECEIVED], 1);
	}
	if (!early)
		return;
	for (__u32 i = 0; i < EARLY_PARTS && i < early->count; i++)
		end_early_part(layer, early, i, began, key);
	if (layer && early->missed_last >= began) {
		skip_missed(&layer->conn.streams[DIRECTION_SENT], early->missed[DIRECTION_SENT]);
		skip_missed(&layer->conn.streams[DIRECTION_RECEIVED], early->missed[DIRECTION_RECEIVED]);
		if (early->missed_first < began)
			layer->conn.existing = true; /* some was another's: how much is missing is not known exactly */
	}
	bpf_map_delete_elem(&tls_early, &object);
}
