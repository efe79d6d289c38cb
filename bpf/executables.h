/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Files of code that are mapped for the first time: user space looks for a TLS library in them. */
#pragma once

#define VM_EXEC 4
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20

/* A file, until it is written anew. Another one may get its inode once it is gone. */
struct executable {
	__u64 inode;
	__u64 size;
	__u32 device;
	__u32 generation;
};

/* How often that has happened. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space where TLS libraries are looked into */
	__type(key, struct executable);
	__type(value, __u64);
} executables SEC(".maps");

static __always_inline void on_executable(const struct task_struct *task, const struct executable *e)
{
	struct reservation r;
	struct exit_event *event;
	__u64 one = 1, *runs = bpf_map_lookup_elem(&executables, e), before;

	if (runs) { /* it may have ended before user space looked: the 2nd, 4th, 8th, ... time is another chance */
		before = __sync_fetch_and_add(runs, 1);
		if (before & (before + 1))
			return;
	} else if (bpf_map_update_elem(&executables, e, &one, BPF_NOEXIST)) {
		return;
	}
	event = begin_event(&r, 0, EVENT_EXEC, sizeof(*event));
	if (!event)
		return;
	event->header.pid = task->tgid;
	event->header.start = task->group_leader->start_boottime;
	submit_urgently(&r, event);
}

static __always_inline void on_code(const struct task_struct *task, struct file *file)
{
	struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : NULL;
	struct executable e = {};

	if (!inode)
		return;
	e.inode = BPF_CORE_READ(inode, i_ino);
	e.size = BPF_CORE_READ(inode, i_size);
	e.device = BPF_CORE_READ(inode, i_sb, s_dev);
	e.generation = BPF_CORE_READ(inode, i_generation);
	on_executable(task, &e);
}

/*
 * A file is mapped, or a part of its mapping changes. Programs begin with that, and shared libraries come later. Other mappings do not come by here:
 * the kernel looks for its own probes in those of files only (mm/vma.c, __mmap_complete).
 */
static __always_inline void on_file_mapped(const struct vm_area_struct *area)
{
	if (area->vm_flags & VM_EXEC)
		on_code(bpf_get_current_task_btf(), area->vm_file);
}

/* Where no program can be attached to that function: a program has mapped a file, or anything else, at an address. */
static __always_inline void on_mapped(long address)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct pt_regs *regs = (void *)bpf_task_pt_regs(task);

	if ((address < 0 && address > -4096) || !(SYSCALL_ARG3(regs) & PROT_EXEC) || SYSCALL_ARG4(regs) & MAP_ANONYMOUS)
		return;
	on_code(task, file_of(SYSCALL_ARG5(regs)));
}
