/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The plaintext that programs hand to a TLS library, and get from it. The programs are attached to addresses within the library: where a
 * call begins, and where it ends. No return address is taken over.
 */
#pragma once

#define TLS_BUFS 2 /* for each CPU: a task may be preempted within a program */

/* Where the program is attached: in the attachment's cookie. */
enum tls_probe {
	/* What a call does: bits. */
	TLS_READ = 0,
	TLS_WRITE = 1,
	TLS_COUNT_BY_POINTER = 2, /* its fourth argument says where it puts the number of bytes */
	TLS_GNUTLS = 4,
	TLS_UNCORK = 8,           /* it sends what others were given before */
	TLS_FILE = 0x100,         /* its second argument is a descriptor that the bytes come from (kTLS encrypts them) */
	TLS_CALL = 0x10f,         /* all of them */
	TLS_COUNT_MOVED = 0x200,  /* where it begins: its fourth argument is where the fifth would be */
	TLS_GOES_ON = 0x400,      /* where it ends: if it has failed, it may go on, and end at another place. Of Go: at a jump; if that is taken, it comes again */
	TLS_KEPT = 0x800,         /* where it ends: its arguments are known there still. Of Go: above its frame */
	/* Which place it is. */
	TLS_ENTER = 0x10,
	TLS_EXIT = 0x20,
	TLS_BIO_WRITE = 0x30, /* entry of BIO_write */
	TLS_SET_BIO = 0x40,   /* entry of SSL_set_bio */
	TLS_SET_WBIO = 0x50,  /* entry of SSL_set0_wbio */
	TLS_GO_ENTER = 0x60,  /* entries and exits of (*Conn).Read and (*Conn).Write */
	TLS_GO_EXIT = 0x70,
	TLS_GO_RECORD = 0x80, /* entry of (*Conn).write, which writes records */
	TLS_PUSH = 0x90,      /* ahead of a call that sends records of GnuTLS */
	TLS_PLACE = 0xf0,
	/* From here on, 24 bits each: how far the stack pointer is below its value at the first instruction of the function, and how far the result is
	   (0: it is in its register). */
	TLS_DEPTH_SHIFT = 16,
	TLS_RESULT_SHIFT = 40,
	/* Of TLS_EXIT with TLS_KEPT instead of the result, which registers: 4 bits each. */
	TLS_KEPT_OBJECT_SHIFT = 40,
	TLS_KEPT_BYTES_SHIFT = 44,
	TLS_KEPT_COUNT_SHIFT = 48,
	TLS_KEPT_ZERO_SHIFT = 52, /* unless it is zero, the call is of another kind; 0: of this kind are all */
	TLS_KEPT_TYPE_SHIFT = 56, /* of GnuTLS: the type of the record that was received */
	/* Of TLS_PUSH instead, which registers: 4 bits each. */
	TLS_PUSH_VECTOR = 1,
	TLS_PUSH_SESSION_SHIFT = 16,
	TLS_PUSH_BYTES_SHIFT = 20,
	TLS_PUSH_COUNT_SHIFT = 24,
	TLS_PUSH_DISPLACEMENT_SHIFT = 32, /* 16 bits, signed, added to that of bytes */
};

#define TLS_DISTANCE_MAX 0xffffff

#include "tls_frames.h"

/* Which of event_bufs of the programs at libraries are in use. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, __u32);
} tls_bufs SEC(".maps");

/* Takes a buffer; its number in *buf, and that of its use in *use. */
static __always_inline struct event_buf *take_tls_buf(__u32 *buf, __u32 *use)
{
	__u32 first = bpf_get_smp_processor_id() * TLS_BUFS;

	for (__u32 i = 0; i < TLS_BUFS; i++) {
		__u32 key = first + i, *users = bpf_map_lookup_elem(&tls_bufs, &key);

		if (!users)
			return NULL;
		if (!__sync_fetch_and_add(users, 1)) {
			*use = key;
			*buf = event_bufs_tls + key;
			return bpf_map_lookup_elem(&event_bufs, buf);
		}
		__sync_fetch_and_add(users, -1);
	}
	return NULL;
}

static __always_inline void give_back_tls_buf(__u32 use)
{
	__u32 *users = bpf_map_lookup_elem(&tls_bufs, &use);

	if (users)
		__sync_fetch_and_add(users, -1);
}

/* What is at an address. An object that is gone may have left its writer there, so what writes is not looked for as an object. */
enum tls_at {
	TLS_OBJECT, /* whose calls the program makes */
	TLS_WRITER, /* of its records */
};

/* The tie of what has been at an address in a process since before a time. */
static __always_inline struct tls_tie *tie_in(__u32 pid, __u64 address, enum tls_at at, __u64 before)
{
	struct tls_object object = {.address = address, .pid = pid};
	struct tls_written *written = at == TLS_OBJECT ? bpf_map_lookup_elem(&tls_writers, &object) : NULL;
	struct tls_tie *tie;

	if (written) {
		if (written->since >= before)
			return NULL;
		object.address = written->writer;
	}
	tie = bpf_map_lookup_elem(&tls_ties, &object);
	return tie && tie->since < before ? tie : NULL;
}

/*
 * Which socket carries the connection of a TLS object; NULL: that is not known. A process may go on with a connection of the one that it was
 * forked from. What that one has at this address since then is another object.
 */
static __noinline struct tls_tie *tie_of(__u64 address, enum tls_at at)
{
	struct tls_tie *tie = tie_in(current_process(), address, at, ~0ull);
	struct parent parent;

	if (tie && is_own(tie))
		return tie;
	read_parent(&parent);
	tie = tie_in(parent.pid, address, at, parent.forked);
	return tie && tie->since >= parent.start ? tie : NULL;
}

/* The plaintext of length bytes at an address is emitted. began: when the call did. */
static __always_inline void emit_plaintext(struct socket_state *s, struct event_buf *event_buf, __u32 buf, __u64 bytes, __u64 began,
					   __u32 direction, __u32 length, const struct budget *budget)
{
	struct stream *stream = &s->conn.streams[direction];
	struct data_event *e = &event_buf->event;
	struct emission *t = &event_buf->emission;
	__u64 now = bpf_ktime_get_ns();

	reset_emission(t, buf);
	begin_data(t, e, &s->conn, direction, length, budget);
	e->header.pid = current_process();
	e->header.time = now;
	e->header.start = process_start();
	e->began = direction == DIRECTION_SENT ? began : now;
	e->unread = 0;
	e->joined = s->conn.existing;
	describe_plaintext(event_buf, s, direction, length);
	if (bytes) {
		t->g.from.base = bytes;
		t->g.from.length = length;
	} else {
		without_buffer(t);
	}
	begin_frames(t, e, &s->conn, direction, budget);
	add_to_burst(t, &s->conn);
	emit_call(t, stream);
	take_from_burst(t, &s->conn);
}

/* What a client has sent before its hello left the process (early data), and what it got for that, has waited, too. */
static __noinline int emit_waiting(struct socket_state *s, __u64 address, __u64 began)
{
	struct tls_object object = {.address = address, .pid = current_process()};
	__u32 buf = 0, use = 0;

	if (!bpf_map_lookup_elem(&tls_waited, &object) || !take_tls_buf(&buf, &use))
		return 0;
	end_early(s, address, began, buf);
	give_back_tls_buf(use);
	return 0;
}

#define PLAINTEXT_OF_WRITER 2 /* beside a direction: the object is the writer of its records */

/* Plaintext that a call has transferred: see on_plaintext. length 0: none. */
struct plaintext {
	__u64 object;
	__u64 bytes;
	__u64 began;
	__u32 direction;
	__u32 length;
};

/* A call that began at a time has transferred length bytes of plaintext of a TLS object: they are at an address; 0: in a file. */
static __noinline int on_plaintext(__u64 object, __u64 bytes, __u64 began, __u32 direction, __u32 length)
{
	struct tls_tie *tie = tie_of(object, direction & PLAINTEXT_OF_WRITER ? TLS_WRITER : TLS_OBJECT);
	struct socket_state *s;
	struct event_buf *event_buf;
	struct stream *stream;
	struct budget budget = {};
	__u32 buf = 0, use = 0;
	__u64 cookie;

	direction &= 1;
	if (!tie) {
		hold_early(object, bytes, began, direction, length);
		return 0;
	}
	cookie = tie->cookie;
	if (!cookie)
		return 0;
	s = bpf_map_lookup_elem(&tls_layers, &cookie);
	if (!s) { /* it had to give way to others: the next record that is sent ties again */
		tie->since = 0;
		hold_early(object, bytes, began, direction, length);
		return 0;
	}
	if (!(s->conn.streams[0].position | s->conn.streams[1].position))
		emit_waiting(s, object, tie->began);
	stream = &s->conn.streams[direction];
	stream->position += length;
	if (direction == DIRECTION_SENT) {
		end_pending(s);
		if (!is_tied(s) && bytes)
			tie_inner(s, bytes, length);
	}
	if (!is_wanted(&s->conn, direction, &budget)) {
		if (is_tied(s))
			return 0;
		if (direction == DIRECTION_RECEIVED)
			note_plaintext(s, 0, 0);
		else
			note_sent(s);
		return 0;
	}
	if (stream->position < stream->until) {
		if (direction == DIRECTION_RECEIVED)
			note_plaintext(s, stream->position, length);
		stream->last_unreported = bpf_ktime_get_ns();
		return 0;
	}
	event_buf = take_tls_buf(&buf, &use);
	if (!event_buf) {
		count(COUNTER_RING_FULL + EVENT_DATA);
		stream->gap_reason |= CUT_RING_FULL;
		return 0;
	}
	emit_plaintext(s, event_buf, buf, bytes, began, direction, length, &budget);
	give_back_tls_buf(use);
	return 0;
}

static __always_inline __u64 frame_of(const struct pt_regs *regs, __u64 probe)
{
	return USER_STACK(regs) + ((probe >> TLS_DEPTH_SHIFT) & TLS_DISTANCE_MAX);
}

/* A call that reads or writes begins: its arguments are the object, the bytes, their number, and where the number of those transferred goes. */
static __always_inline void on_tls_enter(const struct pt_regs *regs, __u64 probe)
{
	__u64 fourth = FUNCTION_ARG4(regs), fifth = FUNCTION_ARG5(regs);
	__u64 frame = frame_of(regs, probe);
	struct tls_call *call = call_in(frame, true);

	barrier_var(fourth); /* else the compiler reads one of them, at an offset that it computes */
	barrier_var(fifth);
	if (!call)
		return;
	if (call->state == TLS_UNDER_WAY) /* its end was not seen */
		count(COUNTER_TLS_UNMATCHED);
	call->object = FUNCTION_ARG1(regs);
	call->bytes = FUNCTION_ARG2(regs);
	call->count = !(probe & TLS_COUNT_BY_POINTER) ? 0 : probe & TLS_COUNT_MOVED ? fifth : fourth;
	call->began = bpf_ktime_get_ns();
	call->kind = probe & TLS_CALL;
	call->state = TLS_UNDER_WAY;
	note_frame(frame);
}

#if defined(__TARGET_ARCH_x86)
/* Where struct pt_regs has the general registers, by their numbers in instructions. */
static const __u8 general_registers[16] = {10, 11, 12, 5, 19, 4, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0};
#elif defined(__TARGET_ARCH_arm64)
static const __u8 general_registers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#endif

/* The general register whose number is at a place in the cookie. */
static __always_inline __u64 register_at(const struct pt_regs *regs, __u64 probe, __u32 shift)
{
	__u64 offset = general_registers[(probe >> shift) & 15] * sizeof(__u64), value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (const char *)regs + offset);
	return value;
}

/* A call has transferred bytes that began before the programs were attached. Returns how many; 0: nothing is known of it. */
static __noinline int on_older_exit(struct plaintext *p, const struct pt_regs *regs, __u64 probe)
{
	__u64 length = 0;

	if (!p || !(probe & TLS_KEPT)) {
		count(COUNTER_TLS_UNMATCHED);
		return 0;
	}
	if ((probe >> TLS_KEPT_ZERO_SHIFT) & 15 && register_at(regs, probe, TLS_KEPT_ZERO_SHIFT))
		return 0;
	if (bpf_probe_read_user(&length, sizeof(length), (void *)register_at(regs, probe, TLS_KEPT_COUNT_SHIFT)))
		return 0;
	if (!length || length > TLS_LENGTH_MAX)
		return 0;
	p->object = register_at(regs, probe, TLS_KEPT_OBJECT_SHIFT);
	p->bytes = register_at(regs, probe, TLS_KEPT_BYTES_SHIFT);
	p->began = bpf_ktime_get_ns();
	p->direction = probe & TLS_WRITE ? DIRECTION_SENT : DIRECTION_RECEIVED;
	p->length = length;
	return length;
}

/* It ends. */
static __noinline int on_tls_exit(struct plaintext *p, const struct pt_regs *regs, __u64 probe)
{
	__u64 frame = frame_of(regs, probe);
	struct tls_call *known = call_in(frame, false), *call = take_call(known, frame, probe);
	__s32 result = FUNCTION_RESULT(regs);
	__u64 length = result;

	if (!p)
		return 0;
	if (call && result <= 0 && probe & TLS_GOES_ON)
		call->state = TLS_FAILED;
	if (!known && result > 0)
		on_older_exit(p, regs, probe);
	if (!call || result <= 0 || (call->count && bpf_probe_read_user(&length, sizeof(length), (void *)call->count)))
		return 0;
	if (length && length <= TLS_LENGTH_MAX)
		*p = (struct plaintext){
			call->object, call->kind & TLS_FILE ? 0 : call->bytes, call->began, probe & TLS_WRITE ? DIRECTION_SENT : DIRECTION_RECEIVED, length,
		};
	return 0;
}
