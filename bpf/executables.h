/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Files of programs that run for the first time: user space looks for a TLS library in them. */
#pragma once

struct executable {
	__u64 inode;
	__u64 device;
};

/* Those that have run. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space where TLS libraries are looked into */
	__type(key, struct executable);
	__type(value, __u8);
} executables SEC(".maps");

static __always_inline void on_program(const struct task_struct *task, const struct linux_binprm *program)
{
	struct inode *inode = program->file->f_inode;
	struct executable e = {.inode = inode->i_ino, .device = inode->i_sb->s_dev};
	struct reservation r;
	struct exit_event *event;
	__u8 yes = 1;

	if (bpf_map_update_elem(&executables, &e, &yes, BPF_NOEXIST))
		return;
	event = begin_event(&r, 0, EVENT_EXEC, sizeof(*event));
	if (!event)
		return;
	event->header.pid = task->tgid;
	event->header.start = task->group_leader->start_boottime;
	submit_urgently(&r, event);
}
