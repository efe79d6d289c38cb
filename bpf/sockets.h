/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps of the socket mode, beside those of both modes. */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 rules_count = 0;         /* selection rules in use; 0: everything is observed */
const volatile __u32 rules_include = 0;       /* at least one of them includes */
const volatile __u32 rules_need_local_port = 0; /* some rule cannot be evaluated before connect chose a port */

/* Set once the programs are attached. */
volatile __u32 sees_syscalls = 0; /* the exits of accept and connect are hooked */

/* The state of a socket: created at connect or listen, inherited from the listener by its connections, freed with the socket. */
struct socket_state {
	struct connection conn;
	__u64 owner_start;
	__u64 cgroup;
	__u8 ignored; /* the rules leave its owner out */
	__u8 closed;  /* its close was emitted */
	__u8 left;    /* its local close was emitted */
	__u8 early;   /* its open was emitted before the end of the handshake: see fast_open.h */
	__u32 live_pass; /* the last iteration that has reported it as live, see existing.h */
	__u32 pending_tid; /* the thread that has read what was asked over it; 0: it is answered */
	__u32 tls_pid; /* in which process a TLS object is known whose records it carries; 0: none is */
	__u32 tls_marked; /* tls_marked when what it sends was last looked at */
	__u64 tls_writer; /* what writes these records */
	__u32 opened; /* Unix: a thread emits that it was opened, or has done so */
	struct cause connect_cause; /* until the first bytes are sent */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	/* CLONE: an accepted connection begins with its listener's state, and so knows its owner. */
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_state);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RULES_MAX);
	__type(key, __u32);
	__type(value, struct rule);
} rules SEC(".maps");

/* By thread group id. Written by user space, removed here when the process ends. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space when there are rules */
	__type(key, __u32);
	__type(value, struct rule_match);
} rule_matches SEC(".maps");

/*
 * With rules only: whether an accepted socket is observed, by cookie. That depends on the accepting process, which is
 * known at the exit of accept. There the socket is found through the fd table, and the verifier does not take such a
 * pointer for bpf_sk_storage_get.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space when there are rules */
	__type(key, __u64);
	__type(value, __u8);
} accepted SEC(".maps");

/* Threads within sendmmsg or recvmmsg, and how many messages of the call are done. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} batches SEC(".maps");

/* The last flow's own cookie, for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} datagram_cookies SEC(".maps");
