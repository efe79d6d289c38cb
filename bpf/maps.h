/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the programs of every mode remember, and what user space decides for them at load time. */
#pragma once

/* Set before the programs are loaded; constants to the verifier. */
const volatile __u32 shard_mask = 0;          /* shards - 1; shards are a power of two */
const volatile __u32 wakeup_bytes = 0;        /* a ring buffer holding this much wakes its reader */
const volatile __u32 crowded_bytes = 0;       /* a ring buffer holding more than this takes no large payloads */
const volatile __u32 excluded_pid = 0;        /* the collector itself; 0: nobody */
const volatile __u32 follow_data = 0;         /* what connections carry is wanted */
const volatile __u32 follow_unix = 0;         /* Unix stream sockets are */
const volatile __u32 follow_udp = 0;          /* UDP flows are */
const volatile __u32 payload_limit = 0;       /* bytes captured of one call, unless user space wants less */
const volatile __u32 payload_run = 0;         /* bytes captured of a run of calls, unless user space says how many */
/*
 * Beginnings of conversations that have to be captured whole from their first byte on, and whose runs may therefore be as
 * long as if user space had decided already. User space says which; all zero: none.
 */
struct prefix {
	__u64 bytes[PREFIX_LEN / 8];
};
const volatile struct prefix eager_prefixes[PREFIXES_MAX];
const volatile __u32 payload_run_eager = 0;
const volatile __u32 policy_mask = 0;         /* slots of policies - 1 */
const volatile __u64 datagram_idle = 0;       /* ns without a datagram after which a flow has ended */

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

/* Read by user space through shared memory: see struct mailbox for why not otherwise. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set by user space: CPUs * COUNTERS_STRIDE */
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* One direction of a connection. */
struct stream {
	__u64 position; /* bytes that were transferred */
	__u64 until;    /* see struct policy */
	__u64 silent;   /* CLOCK_MONOTONIC, ns: the last transfer that was not told */
	__u32 sequence; /* TCP sequence number of position 0 */
	__u8 missed;    /* enum missing: of what was not told */
	__u8 eager;     /* it began with one of eager_prefixes */
	__u8 pad[2];
};

/* Processes that own observed sockets, by thread group id. Written here only. */
struct process {
	__u64 start;
	__u32 generation;
	__u32 told; /* shards that have its description, a bit each */
	__u32 netns; /* inode of its network namespace; 0: not known; syscall mode */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, struct policy);
} policies SEC(".maps");

/*
 * Where an event with payload is put together: one for each CPU and program, because the kernel runs a program once at a
 * time on a CPU, whatever it preempts. Not a per-CPU map, for its values cannot be that large (PCPU_MIN_UNIT_SIZE, 32 KiB).
 */
#define PART_MAX 16384 /* bytes of an iovec copied at a time */

struct draft {
	struct data_event event;
	char payload[PAYLOAD_MAX + PART_MAX]; /* the verifier adds the bounds of what is there and of what is added */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space: CPUs * programs */
	__type(key, __u32);
	__type(value, struct draft);
} drafts SEC(".maps");

/* What goes between a UDP socket and one remote address. */
struct datagram_key {
	__u64 cookie; /* the socket's */
	__u8 remote[ADDRESS_LEN];
	__u32 remote_port;
	__u32 pad;
};

struct datagram_flow {
	struct flow flow;
	__u64 owner_start;
	__u64 started; /* CLOCK_MONOTONIC, ns: first datagram */
	__u64 last;    /* CLOCK_MONOTONIC, ns: last datagram */
	__u64 bytes[DIRECTIONS];
	__u32 datagrams[DIRECTIONS];
	__u32 owner_pid;
	__u8 ignored;
	__u8 closed; /* told to have ended; the next datagram begins another flow */
	__u8 pad[2];
	__u32 pass; /* socket mode: the last that has reported it, see datagram.h */
	__u32 pad2;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct datagram_key);
	__type(value, struct datagram_flow);
} datagrams SEC(".maps");

static __always_inline void count(__u32 index)
{
	__u32 key = bpf_get_smp_processor_id() * COUNTERS_STRIDE + index;
	__u64 *n = bpf_map_lookup_elem(&counters, &key);
	if (n)
		__sync_fetch_and_add(n, 1); /* a softirq on this CPU may come in between */
}
