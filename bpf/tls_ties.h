/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Which socket carries the records of which TLS object. The first bytes of a record are like no others: they are noted where the library
 * writes the record, and found again where its process sends on a socket. Nothing in the library's memory is looked at for that.
 */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 event_bufs_tls = 0; /* where those of the programs at libraries begin */

#define TLS_MARK_OFFSET_MAX 6   /* of the first record that matters: a change of cipher spec may come before */
#define TLS_HEAD_LEN 32         /* of that record */
#define TLS_HEAD_MIN 21         /* bytes in which there may be a mark */
#define TLS_CHANGE_CIPHER_SPEC 20
#define TLS_HANDSHAKE 22
#define TLS_APPLICATION_DATA 23
#define TLS_CLIENT_HELLO 1
#define TLS_SERVER_HELLO 2
#define TLS_RETRY 0x11619ae574ad21cfull /* the random of a HelloRetryRequest begins with this (RFC 8446, 4.1.3), in memory's order */

/* An object in the memory of a process. */
struct tls_object {
	__u64 address;
	__u64 pid;
};

/* 16 bytes of a record that no other record has. */
struct tls_mark {
	__u64 words[2];
	__u64 pid; /* who writes it */
};

enum tls_mark_kind {
	TLS_MARK_NONE = 0,
	TLS_MARK_DATA,  /* of application data, or of an encrypted part of the handshake */
	TLS_MARK_HELLO, /* a connection begins */
};

/* Who wrote a record. */
struct tls_writer {
	__u64 address; /* what writes: a BIO, a connection of Go */
	__u64 object;  /* whose calls the program makes: an SSL; 0: not known */
	__u64 began;   /* CLOCK_MONOTONIC, ns: when a hello was written: of plaintext before that, another connection had it; 0: not a hello */
};

/* How many records have been marked. */
volatile __u32 tls_marked = 0;

/* Marks that no socket has sent yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct tls_mark);
	__type(value, struct tls_writer);
} tls_marks SEC(".maps");

/* Which socket carries what an object writes. */
struct tls_tie {
	__u64 cookie;    /* of the layer; 0: the socket is left out */
	__u64 record[2]; /* the mark that showed it */
	__u64 since;     /* CLOCK_BOOTTIME, ns */
	__u64 began;     /* of struct tls_writer */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct tls_object);
	__type(value, struct tls_tie);
} tls_ties SEC(".maps");

/* The object that writes the records of a TLS object: a BIO. */
struct tls_written {
	__u64 writer;
	__u64 since; /* CLOCK_BOOTTIME, ns */
	__u64 tied;  /* the one before that was known by its socket; 0: none was */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct tls_object);
	__type(value, struct tls_written);
} tls_writers SEC(".maps");

/* Not one of an earlier process, which had the same number. */
static __always_inline bool is_own(const struct tls_tie *tie)
{
	__u64 start = process_start();

	return start && tie->since >= start;
}

/*
 * The plaintext of connections, by their layer's cookie: the state of the socket, with streams of its own. It keeps what the socket is, of which
 * the programs at the library know nothing else.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u64);
	__type(value, struct socket_state);
} tls_layers SEC(".maps");

/* Processes that have written a mark: of the others no send is looked at. */
enum tls_process {
	TLS_MARKS = 1,
	TLS_MOVES, /* its calls end on other threads, too */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, __u8);
} tls_processes SEC(".maps");

static __always_inline bool is_hello(const __u8 *record, __u32 record_length)
{
	__u32 length = record[7] << 8 | record[8];

	/* An encrypted handshake record may look alike but for its lengths. A ClientHello may be longer than a record. */
	return !record[6] && record[9] == 3 && record[10] <= 3 &&
	       (record[5] == TLS_CLIENT_HELLO || (record[5] == TLS_SERVER_HELLO && length + 4 <= record_length));
}

/* n: bytes of the record that are there. */
static __always_inline enum tls_mark_kind mark_of(struct tls_mark *mark, const __u8 *record, __u32 n)
{
	__u32 length = record[3] << 8 | record[4];

	if (n < TLS_HEAD_MIN || record[1] != 3 || record[2] > 4)
		return TLS_MARK_NONE;
	if (record[0] == TLS_HANDSHAKE && n >= 27 && is_hello(record, length)) {
		__builtin_memcpy(mark->words, record + 11, sizeof(mark->words));
		return mark->words[0] == TLS_RETRY ? TLS_MARK_NONE : TLS_MARK_HELLO;
	}
	if (record[0] != TLS_APPLICATION_DATA || length < 16)
		return TLS_MARK_NONE;
	if (length < 24) {
		__builtin_memcpy(mark->words, record + 5, sizeof(mark->words));
		return TLS_MARK_DATA;
	}
	if (n < 29) /* the nonce may be the same in all connections */
		return TLS_MARK_NONE;
	__builtin_memcpy(mark->words, record + 13, sizeof(mark->words));
	return TLS_MARK_DATA;
}

/* The mark of what a process writes: length bytes at an address. record: room for TLS_HEAD_LEN of them. */
static __always_inline enum tls_mark_kind read_mark(struct tls_mark *mark, __u8 *record, __u64 address, __u64 length)
{
	__u32 n;

	if (length < TLS_HEAD_MIN || bpf_probe_read_user(record, 6, (void *)address))
		return TLS_MARK_NONE;
	if (record[0] == TLS_CHANGE_CIPHER_SPEC && record[1] == 3 && !record[3] && record[4] == 1) {
		address += TLS_MARK_OFFSET_MAX;
		length -= TLS_MARK_OFFSET_MAX;
	} else if (record[0] != TLS_HANDSHAKE && record[0] != TLS_APPLICATION_DATA) {
		return TLS_MARK_NONE;
	}
	n = length < TLS_HEAD_LEN ? length : TLS_HEAD_LEN;
	barrier_var(n);
	n = ((n - 1) & (TLS_HEAD_LEN - 1)) + 1;
	if (bpf_probe_read_user(record, n, (void *)address))
		return TLS_MARK_NONE;
	return mark_of(mark, record, n);
}

/* The cookie of the layer that is next: on a socket, or within a layer. */
static __always_inline __u64 layer_cookie(const struct socket_state *s)
{
	__u64 cookie = s->conn.flow.cookie;

	return cookie | (cookie & LAYER_TLS ? LAYER_INNER : LAYER_TLS);
}

/* A stream goes on behind what is missing of it. */
static __always_inline void skip_missed(struct stream *stream, __u64 missed)
{
	if (!missed)
		return;
	stream->position += missed;
	stream->gap_reason |= CUT_LIMIT;
	stream->last_unreported = bpf_ktime_get_ns();
}

/*
 * It begins now, or has begun: a process may go on with the connection of the one that it was forked from. If the socket had one, which had
 * to give way to others, it goes on at the socket's positions, which are beyond all that its plaintext had: a record is longer than what is in it.
 */
static __always_inline struct socket_state *layer_on(struct socket_state *s, const struct tls_writer *writer)
{
	__u64 cookie = layer_cookie(s);
	struct socket_state *layer = bpf_map_lookup_elem(&tls_layers, &cookie);

	if (layer || bpf_map_update_elem(&tls_layers, &cookie, s, BPF_NOEXIST))
		return layer;
	layer = bpf_map_lookup_elem(&tls_layers, &cookie);
	if (!layer)
		return NULL;
	for (int i = 0; i < DIRECTIONS; i++) {
		struct stream *stream = &layer->conn.streams[i];

		stream->until = stream->last_unreported = 0;
		stream->gap_reason = stream->signature = 0;
		stream->frames.form = 0;
		if (!layer->tls_writer)
			stream->position = 0;
		else
			skip_missed(stream, 1);
	}
	layer->conn.burst = layer->conn.task_pid = layer->tls_pid = 0;
	layer->tls_writer = 0;
	begin_causes(layer);
	layer->conn.existing = !writer->began;
	layer->conn.flow.cookie = cookie;
	return layer;
}

/* The socket is known of what wrote the mark. NULL: it is left out. */
static __noinline struct socket_state *begin_layer(struct socket_state *s, const struct tls_writer *writer, const struct tls_mark *mark)
{
	struct tls_object object = {.address = writer->address, .pid = mark->pid};
	struct socket_state *layer;
	struct tls_tie tie = {.cookie = socket_left_out(s) ? 0 : layer_cookie(s), .since = bpf_ktime_get_boot_ns(), .began = writer->began};

	tie.record[0] = mark->words[0];
	tie.record[1] = mark->words[1];
	if (bpf_map_update_elem(&tls_ties, &object, &tie, BPF_ANY))
		return NULL;
	/* A use: in a full map what is new and has not been used gives way before what is old (__local_list_flush, kernel/bpf/bpf_lru_list.c). */
	bpf_map_lookup_elem(&tls_ties, &object);
	s->tls_pid = mark->pid;
	layer = socket_left_out(s) ? NULL : layer_on(s, writer);
	s->tls_writer = writer->address;
	return layer;
}

#include "tls_early.h"

/* Whether a socket or a layer carries the records of a TLS object whose plaintext is seen, in this process. */
static __always_inline bool is_tied(const struct socket_state *s)
{
	return s->tls_pid && s->tls_pid == current_process();
}

/* Whether the process that runs now has written a mark. */
static __always_inline bool has_marked(void)
{
	__u32 pid = current_process();

	return bpf_map_lookup_elem(&tls_processes, &pid);
}

/* Whether what a socket sends may show that: also of one that is tied, because the tie may have had to give way to others. */
static __always_inline bool may_tie(struct socket_state *s)
{
	__u32 marked = tls_marked;

	if (is_tied(s) && s->tls_marked == marked)
		return false;
	s->tls_marked = marked;
	return has_marked();
}

/* The beginning of what a process sends, and the mark in it: in the buffer of the payload, before that is. */
struct tls_sent {
	struct tls_mark mark;
	__u8 record[TLS_HEAD_LEN];
};

/* The mark of length bytes that a process has sent, where the event_buf says. */
static __noinline enum tls_mark_kind read_sent(struct event_buf *event_buf, __u32 length)
{
	struct tls_sent *sent = (struct tls_sent *)event_buf->payload;
	struct source *from = &event_buf->emission.g.from;
	struct user_iovec iovec = {.base = from->base, .length = from->length};

	if (!from->length && (!from->count || !read_piece(&iovec, from, from->iov)))
		return TLS_MARK_NONE;
	sent->mark.pid = current_process();
	return read_mark(&sent->mark, sent->record, iovec.base, iovec.length < length ? iovec.length : length);
}

/*
 * The socket carries the records of another object. One may get another BIO in the middle of its handshake: SSL_set_fd makes one each time. This is a
 * function of its own for the sake of the stack: see tie_sent.
 */
static __noinline bool is_anothers(const struct socket_state *s, const struct tls_writer *writer, enum tls_mark_kind kind)
{
	struct tls_object object = {.address = writer->object, .pid = current_process()};
	struct tls_written *written;

	if (!is_tied(s) || (kind == TLS_MARK_DATA && writer->address == s->tls_writer))
		return false;
	if (kind != TLS_MARK_DATA || !object.address)
		return true;
	written = bpf_map_lookup_elem(&tls_writers, &object);
	return !written || written->tied != s->tls_writer;
}

/*
 * Ties the socket that has sent length bytes to the object that wrote them, if one did. The event_buf of that number says where they are. What it
 * takes is in the event_buf or in functions of their own: the stacks of a chain of calls may have 512 bytes in all.
 */
static __noinline int tie_sent(struct event_buf *event_buf, struct socket_state *s, __u32 length, __u32 key)
{
	enum tls_mark_kind kind = read_sent(event_buf, length);
	struct tls_writer *writer;
	struct socket_state *layer;
	struct tls_sent *sent;
	__u64 object, began;

	if (!kind)
		return 0;
	sent = (struct tls_sent *)event_buf->payload;
	writer = bpf_map_lookup_elem(&tls_marks, &sent->mark);
	if (!writer || is_anothers(s, writer, kind))
		return 0;
	object = writer->object;
	began = writer->began;
	layer = begin_layer(s, writer, &sent->mark);
	bpf_map_delete_elem(&tls_marks, &sent->mark);
	end_early(layer, object, began, key);
	return 1;
}

/* Ties a layer whose plaintext begins like a connection with TLS to the object that wrote it, if one did. */
static __noinline int tie_inner(struct socket_state *outer, __u64 bytes, __u32 length)
{
	struct tls_mark mark = {.pid = current_process()};
	__u8 record[TLS_HEAD_LEN] = {};
	enum tls_mark_kind kind = read_mark(&mark, record, bytes, length);
	struct tls_writer *writer;

	if (kind != TLS_MARK_HELLO || !outer || outer->conn.flow.cookie & LAYER_INNER)
		return 0;
	writer = bpf_map_lookup_elem(&tls_marks, &mark);
	if (!writer)
		return 0;
	begin_layer(outer, writer, &mark);
	bpf_map_delete_elem(&tls_marks, &mark);
	return 0;
}
