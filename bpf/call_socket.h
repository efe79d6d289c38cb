/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A socket in the syscall mode: what the arguments and the results of calls say about it. */
#pragma once

enum stage {
	STAGE_NEW = 0,
	STAGE_LISTENING,
	STAGE_CONNECTING, /* connect has not returned, or said that it goes on */
	STAGE_OPEN,
};

enum known {
	KNOWN_LOCAL = 1,
	KNOWN_REMOTE = 2,
};

/* By the identity that the socket was given when it was first seen. */
struct socket_state {
	struct connection conn;
	__u64 peer;    /* the other end's identity; 0: not known */
	__s32 error;   /* the last that ended it; errno */
	__u8 stage;
	__u8 known;    /* enum known */
	__u8 shared;   /* more than one descriptor has led to it: user space counts them */
	__u8 emitted;  /* that it was opened */
	__u8 finished; /* which side was first to say that it will send no more: 1 + enum direction; 0: none yet */
	__u8 deaf;     /* shut down for receiving: a receive that returns nothing says nothing of the other side */
	__u8 at_end;   /* the other side was seen to have finished */
	__u8 pad;
	__u32 tls_pid; /* in which process a TLS object is known whose records it carries; 0: none is */
	__u32 tls_marked; /* tls_marked when what it sends was last looked at */
	__u64 tls_writer; /* what writes these records */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u64);
	__type(value, struct socket_state);
} call_sockets SEC(".maps");

static __always_inline struct socket_state *socket_by_id(__u64 id)
{
	return id ? bpf_map_lookup_elem(&call_sockets, &id) : NULL;
}

/*
 * Sockets that were opened a short time ago, by identity. Two threads may open a socket at the same time, on two CPUs: who puts it here is
 * the one whose event counts. 5.10 has no operation that compares and writes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u8);
} openings SEC(".maps");

static __always_inline bool is_first_to_open(__u64 id)
{
	__u8 opened = 1;
	int failed = bpf_map_update_elem(&openings, &id, &opened, BPF_NOEXIST); /* before Linux 6.4 only 32 bits are returned */

	return failed != -EEXIST;
}
