/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Processes that become another program, move to another cgroup, or end. */
#pragma once

/* What was said and judged of the process no longer holds: the next socket it uses describes it again. */
static __always_inline void forget(struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct process *known = bpf_map_lookup_elem(&processes, &pid);

	if (!known)
		return;
	__sync_fetch_and_add(&known->generation, 1);
	known->told = 0;
}

static __always_inline void on_process_exit(struct task_struct *task)
{
	__u32 pid = task->tgid, told;
	struct process *known;

	if (task->signal->live.counter > 0) /* other threads live on */
		return;
	known = bpf_map_lookup_elem(&processes, &pid);
	if (!known)
		return;
	told = known->told;
	for (__u32 shard = 0; shard < SHARDS_MAX; shard++) {
		struct exit_event *e;
		if (!(told >> shard & 1))
			continue;
		struct slot slot = reserve(shard, EVENT_EXIT, sizeof(*e));
		e = slot.event;
		if (!e)
			continue;
		e->header.kind = EVENT_EXIT;
		e->header.pid = pid;
		e->header.time = bpf_ktime_get_ns();
		e->header.start = known->start;
		submit(&slot, EVENT_EXIT, sizeof(*e));
	}
	bpf_map_delete_elem(&processes, &pid);
	if (rules_count)
		bpf_map_delete_elem(&verdicts, &pid);
}
