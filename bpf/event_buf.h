/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Where the bytes of a call are, and the buffer that they are copied into. */
#pragma once

#define PART_MAX 16384 /* bytes of an iovec copied at a time */
#ifndef STEP /* a function that is one step of a loop, and what the loop calls */
#define STEP SUBPROGRAM
#define GATHER(gathering) gather(gathering)
#define EMIT_PIECE(emission, stream) emit_piece(emission, stream)
#endif

/* Where the bytes of a call are. */
struct source {
	__u64 iov;    /* of the rest; 0: there is none */
	__u64 count;  /* of iovecs there */
	__u64 base;   /* of the present piece */
	__u64 length; /* of the present piece */
	__u64 compat; /* the iovecs are those of a 32-bit program */
	__u64 copied; /* the iovecs are in the kernel's memory */
};

/* Reads the iovec at an address, and returns its size in memory; 0: it could not be read. */
static __always_inline __u32 read_piece(struct user_iovec *iovec, const struct source *from, __u64 address)
{
	if (!follow_uring || !from->copied)
		return read_iovec(iovec, address, from->compat);
	return bpf_probe_read_kernel(iovec, sizeof(*iovec), (void *)address) ? 0 : sizeof(*iovec);
}

/* The copying of a call's bytes. */
struct gathering {
	struct source from;
	__u64 skip;     /* bytes at the beginning that are not wanted */
	__u64 position; /* in the stream: of what is behind these */
	__u64 frame;    /* of the event: see struct data_event */
	__u32 left;     /* bytes of the call from position on */
	__u32 want;     /* bytes of the event at most */
	__u32 used;
	__u32 event_buf; /* which one */
	__u32 fault;
	__u8 dry;       /* nothing is captured any more: only the headers of frames are read */
	__u8 frame_lead, frame_unwanted; /* of the event */
	__u8 pad;
	struct framing frames;
	__u8 room[FRAME_HEADER_MAX]; /* behind a header: the verifier adds the bounds of what is there and of what is added */
};

/* The emission of a call's bytes. */
struct emission {
	__u64 begin; /* position of the event's first byte that is not skipped */
	__u32 want;
	__u32 cut_reason; /* enum cut_reason: of what is not wanted */
	__u32 shard;
	__u32 urgent;
	__u32 rounds;  /* so far */
	__u8 open;     /* an event has begun */
	__u8 framed;   /* at the call's beginning it was known where frames begin */
	__u8 pad[2];
	struct gathering g;
};

/*
 * The buffer of an event with payload. There is one for each CPU and program, because a program runs at most once at a time
 * on a CPU. It is no per-CPU map, because the values of such a map cannot be that large (PCPU_MIN_UNIT_SIZE, 32 KiB).
 * The emission does not fit on the stack.
 */
struct event_buf {
	struct data_event event;
	char payload[PAYLOAD_MAX + PART_MAX]; /* the verifier adds the bounds of what is there and of what is added */
	struct emission emission;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space: CPUs * programs */
	__type(key, __u32);
	__type(value, struct event_buf);
} event_bufs SEC(".maps");

/* All of it is zero but for what is only read where frames are known. */
static __always_inline void reset_emission(struct emission *t, __u32 key)
{
	__builtin_memset(t, 0, offsetof(struct emission, g.frames));
	t->g.frames.form = 0;
	t->g.event_buf = key;
}

static __always_inline bool from_message(struct source *from, struct user_message *m, __u64 address)
{
	if (!read_message(m, address, from->compat))
		return false;
	from->iov = m->iov;
	from->count = m->iov_length;
	return true;
}

/*
 * Finds the bytes of a call by its second and third arguments; false: they are not known (sendfile, splice ...). The caller
 * has zeroed from but for its member compat. m: room for the message, if the call is about one.
 */
static __always_inline bool find_bytes(struct source *from, struct user_message *m, long nr, __u64 second, __u64 third,
				       __u32 length)
{
	switch (nr) {
	case NR_READ:
	case NR_WRITE:
	case NR_SENDTO:
	case NR_RECVFROM:
		from->base = second;
		from->length = length < third ? length : third; /* with MSG_TRUNC a datagram is longer than its buffer */
		return true;
	case NR_READV:
	case NR_WRITEV:
	case NR_PREADV2:
	case NR_PWRITEV2:
		from->iov = second;
		from->count = third;
		return true;
	case NR_SENDMSG:
	case NR_RECVMSG:
		return from_message(from, m, second);
	}
	return false;
}
