/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Programs that look again. The kernel skips a program that already runs on this CPU (prog->active, __bpf_trace_run). That
 * is so in a softirq on top of it and, since Linux 7.0 or so, for another task: there a task can be preempted within a
 * program at a tracepoint (tracepoints are guarded by SRCU, no longer by keeping the CPU). Hence a second program at the
 * same tracepoint, which runs behind the first and serves those that the first was skipped for.
 */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 seen_mask = 0;    /* slots of seen - 1; 0: tasks are not preempted within programs */
const volatile __u32 drafts_again = 0; /* where in drafts those of the programs begin that look again */

/* Threads for which the first program has run and the second has not yet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, __u32);
} seen SEC(".maps");

/*
 * For what happens in a task, and not in a softirq on top of it. The first program leaves word, in a slot that is the
 * thread's own as long as there are no more threads than slots; the second one takes it away.
 */
static __always_inline bool looked_at(const bool again)
{
	__u32 tid = bpf_get_current_pid_tgid(), key = tid & seen_mask, *thread;

	if (!seen_mask)
		return again;
	thread = bpf_map_lookup_elem(&seen, &key);
	if (!thread)
		return again;
	if (!again) {
		*thread = tid;
		return false;
	}
	if (*thread != tid)
		return false;
	*thread = 0;
	return true;
}
