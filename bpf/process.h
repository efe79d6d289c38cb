/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Processes that own observed sockets, from when they are first seen to their end. */
#pragma once

/* By thread group id. Written in this file only. */
struct process {
	__u64 start;
	__u32 generation;
	__u32 emitted; /* shards that have its description, a bit each */
	__u32 netns; /* inode of its network namespace; 0: not known; syscall mode */
	__u8 left_out; /* the rules leave out all of its sockets; syscall mode, in which user space says so */
	__u8 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

/* The process that another one was forked from. */
struct parent {
	__u64 pid;
	__u64 start;  /* of the parent: what is older was another process'; 0: not known */
	__u64 forked; /* CLOCK_BOOTTIME, ns: what is younger is not the child's */
};

/* flags: BPF_NOEXIST if an existing entry of the pid is this process' own, else BPF_ANY. */
static __always_inline struct process *remember_process(__u32 pid, const struct process *fresh, __u64 flags)
{
	if (bpf_map_update_elem(&processes, &pid, fresh, flags))
		count(COUNTER_PROCESS_MAP_FULL);
	return bpf_map_lookup_elem(&processes, &pid);
}

/* Begins the description of the process that runs now. It is too large to be zeroed as other events are. */
static __always_inline struct process_event *begin_process(struct reservation *r, __u32 shard, __u32 pid, __u64 start)
{
	struct process_event *e = reserve(r, shard, EVENT_PROCESS, sizeof(*e));

	if (!e)
		return NULL;
	e->header.kind = EVENT_PROCESS;
	e->header.pid = pid;
	e->header.time = bpf_ktime_get_ns();
	e->header.start = start;
	e->cgroup_id = bpf_get_current_cgroup_id();
	e->uid = bpf_get_current_uid_gid();
	e->args_len = e->environ_len = 0;
	e->args_cut = e->environ_cut = 0;
	e->executable.used = e->cgroup.used = 0;
	e->executable.cut = e->cgroup.cut = 0;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	return e;
}

/* The description and the rule match of the process no longer hold. Its next use of a socket emits a new description. */
static __always_inline void forget_process(__u32 pid)
{
	struct process *known = bpf_map_lookup_elem(&processes, &pid);

	if (!known)
		return;
	__sync_fetch_and_add(&known->generation, 1);
	known->left_out = 0;
	known->emitted = 0;
}

/* The process has ended. Emits its exit to the shards that have its description. */
static __always_inline void end_process(__u32 pid)
{
	struct process *known = bpf_map_lookup_elem(&processes, &pid);
	__u32 emitted;

	if (!known)
		return;
	emitted = known->emitted;
	for (__u32 shard = 0; shard < SHARDS_MAX; shard++) {
		struct reservation r;
		struct exit_event *e;
		if (!(emitted >> shard & 1))
			continue;
		e = begin_event(&r, shard, EVENT_EXIT, sizeof(*e));
		if (!e)
			continue;
		e->header.pid = pid;
		e->header.start = known->start;
		submit(&r, e);
	}
	bpf_map_delete_elem(&processes, &pid);
}
