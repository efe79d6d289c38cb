/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Memory for each CPU and program, for values that do not fit on the stack. */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 cpus = 1; /* identities of sockets made on different CPUs differ by it */

/* Bytes that a call has transferred. */
struct transfer {
	struct source from;
	__u64 id;
	__u64 began; /* when the call began to send; 0: not known */
	__u32 length;
	__u32 direction;
	__u32 pid;
	__u32 fd;
	__u32 unknown; /* where the bytes lie */
	__u32 user;    /* enum scratch_user */
	__u32 generation; /* as in struct call */
	__u32 pad;
};

/*
 * The programs that need a scratch. From Linux 7.2 on tasks are preempted in programs of calls, and other programs run on
 * that CPU meanwhile, but never the same one (trace_call_bpf_faultable in kernel/trace/bpf_trace.c).
 */
enum scratch_user {
	/* These have an event_buf, too. */
	USER_TRANSFER = 0,
	USER_BATCH,
	USER_COMPAT,
	USER_TRANSFER_BACKUP,
	USER_BATCH_BACKUP,
	/* These have none. */
	EVENT_BUF_USERS,
	USER_CONTROL = EVENT_BUF_USERS,
	USER_CONTROL_BACKUP,
	SCRATCH_USERS,
};

struct scratch {
	__u64 last_id;
	struct socket_state socket;
	struct transfer transfer;
	struct datagram_flow fresh;  /* that a datagram begins */
	struct user_message message; /* of a call; not on the stack, because those of a chain of calls may have 512 bytes in all */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_USERS);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch(__u32 user)
{
	return bpf_map_lookup_elem(&scratches, &user);
}

#define ID_USER_SHIFT 48 /* the lower bits pick the shard */

static __always_inline __u64 next_id(struct scratch *s, __u64 user)
{
	return (++s->last_id * cpus + bpf_get_smp_processor_id()) | user << ID_USER_SHIFT;
}
