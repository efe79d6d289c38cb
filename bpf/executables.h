/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Files of programs that run for the first time: user space looks for a TLS library in them. */
#pragma once

/* A file, until it is written anew. Another one may get its inode once it is gone. */
struct executable {
	__u64 inode;
	__u64 size;
	__u32 device;
	__u32 generation;
};

/* How often they have run. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space where TLS libraries are looked into */
	__type(key, struct executable);
	__type(value, __u64);
} executables SEC(".maps");

static __always_inline void on_program(const struct task_struct *task, const struct linux_binprm *program)
{
	struct inode *inode = program->file->f_inode;
	struct executable e = {
		.inode = inode->i_ino, .size = inode->i_size, .device = inode->i_sb->s_dev, .generation = inode->i_generation,
	};
	struct reservation r;
	struct exit_event *event;
	__u64 one = 1, *runs = bpf_map_lookup_elem(&executables, &e), before;

	if (runs) { /* it may have ended before user space looked: the 2nd, 4th, 8th, ... time is another chance */
		before = __sync_fetch_and_add(runs, 1);
		if (before & (before + 1))
			return;
	} else if (bpf_map_update_elem(&executables, &e, &one, BPF_NOEXIST)) {
		return;
	}
	event = begin_event(&r, 0, EVENT_EXEC, sizeof(*event));
	if (!event)
		return;
	event->header.pid = task->tgid;
	event->header.start = task->group_leader->start_boottime;
	submit_urgently(&r, event);
}
