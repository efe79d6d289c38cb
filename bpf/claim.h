/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * How a backup program knows which calls its primary has handled. From Linux 7.0 or so on a task can be preempted within a
 * program at a tracepoint, because tracepoints are guarded by SRCU, which does not disable preemption.
 */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 claims_mask = 0;    /* slots of claims - 1; 0: tasks are not preempted within programs */
const volatile __u32 event_bufs_backup = 0; /* where in event_bufs those of backup programs begin */

/* Threads for which the primary has run, and the backup has not run yet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, __u32);
} claims SEC(".maps");

/*
 * For hooks that run in a task, not in a softirq on top of it. The primary writes the thread into a slot, and the backup
 * clears the slot. A thread has a slot of its own as long as there are no more threads than slots.
 */
static __always_inline bool claimed_by_primary(void)
{
	__u32 tid = bpf_get_current_pid_tgid(), key = tid & claims_mask, *thread;

	if (!claims_mask)
		return is_backup();
	thread = bpf_map_lookup_elem(&claims, &key);
	if (!thread)
		return is_backup();
	if (!is_backup()) {
		*thread = tid;
		return false;
	}
	if (*thread != tid)
		return false;
	*thread = 0;
	return true;
}
