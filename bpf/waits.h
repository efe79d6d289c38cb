/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * When a call began to send. A blocking call waits until there is room for its bytes, and its transfer is seen when it returns. A
 * hook at the beginning of every call would cost all of them; a thread that does not wait began just now.
 */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 waits_mask = 0; /* slots of waits - 1; 0: it is not observed who waits */

/* A thread that has left its CPU within a call that sends. */
struct wait {
	__u64 began;    /* CLOCK_MONOTONIC, ns: when it first did so */
	__u64 switches; /* how often it had left a CPU in its life when it last did so */
	__u64 stack;    /* these identify the call */
	__u64 place;
	__u64 fd;
	__u64 bytes;
	__u32 tid;      /* whose; 0: nobody's */
	__u32 nr;
};

/* By thread. Threads that take each other's slot are taken not to have waited. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, struct wait);
} waits SEC(".maps");

static __always_inline struct wait *wait_of(const struct task_struct *task)
{
	__u32 key = task->pid & waits_mask;

	return waits_mask ? bpf_map_lookup_elem(&waits, &key) : NULL;
}

static __always_inline bool is_wait_of(const struct wait *w, const struct task_struct *task, const struct pt_regs *regs)
{
	return w->tid == task->pid && w->nr == SYSCALL_NR(regs) && w->stack == USER_STACK(regs) && w->place == USER_PLACE(regs) &&
	       w->fd == SYSCALL_ARG1(regs) && w->bytes == SYSCALL_ARG2(regs);
}

/* A thread leaves its CPU: to wait, or for another thread. It is still the current one. */
static __always_inline void on_switch(struct task_struct *task)
{
	struct pt_regs *regs;
	struct wait *w;

	if (task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER))
		return;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	switch (SYSCALL_NR(regs)) {
	case NR_WRITE:
	case NR_WRITEV:
	case NR_SENDTO:
	case NR_SENDMSG:
	case NR_SENDMMSG:
	case NR_PWRITEV2:
		break;
	default:
		return;
	}
	w = SYSCALL_UNDER_WAY(regs) ? wait_of(task) : NULL;
	if (!w)
		return;
	if (!is_wait_of(w, task, regs)) {
		w->began = bpf_ktime_get_ns();
		w->stack = USER_STACK(regs);
		w->place = USER_PLACE(regs);
		w->fd = SYSCALL_ARG1(regs);
		w->bytes = SYSCALL_ARG2(regs);
		w->nr = SYSCALL_NR(regs);
		w->tid = task->pid;
	}
	w->switches = task->nvcsw + task->nivcsw;
}

/*
 * When the call that has just sent, or has failed to, began to wait; 0: it did not. The next call of the thread may look the
 * same, so this one is forgotten.
 */
static __always_inline __u64 end_wait(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wait *w = wait_of(task);
	struct pt_regs *regs;
	__u64 began = 0;

	if (!w || w->tid != task->pid)
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (is_wait_of(w, task, regs) && w->switches == task->nvcsw + task->nivcsw)
		began = w->began;
	w->tid = 0;
	return began;
}
