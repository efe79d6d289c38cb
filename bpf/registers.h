/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The call that a task is in, from its registers: socket mode. */
#pragma once

/* Whether the call is that of a 32-bit program. */
static __always_inline bool is_compat(const struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return task->thread_info.status & TS_COMPAT;
#elif defined(__TARGET_ARCH_arm64)
	return task->thread_info.flags & TIF_32BIT;
#endif
}

/* A call as a 64-bit program makes it, but for what lies in memory. */
struct call_args {
	__u64 fd;
	__u64 second;
	__u64 third;
	__u64 fourth;
	__u64 fifth;
	__u32 nr;
	__u32 compat; /* structs in memory are those of a 32-bit program */
};

static __always_inline void read_compat_args(struct call_args *c, const struct pt_regs *regs)
{
	struct compat_call call = {.nr = SYSCALL_NR(regs)};

	COMPAT_ARGS(call.args, regs);
	if (!widen_call(&call)) {
		c->nr = NR_NONE;
		return;
	}
	c->nr = call.nr;
	c->fd = call.args[0];
	c->second = call.args[1];
	c->third = call.args[2];
	c->fourth = call.args[3];
	c->fifth = call.args[4];
}

/* The caller has made sure that the task is in a call. */
static __always_inline void read_args(struct call_args *c, const struct task_struct *task, const struct pt_regs *regs)
{
	c->compat = is_compat(task);
	if (c->compat) {
		read_compat_args(c, regs);
		return;
	}
	c->nr = SYSCALL_NR(regs);
	c->fd = SYSCALL_ARG1(regs);
	c->second = SYSCALL_ARG2(regs);
	c->third = SYSCALL_ARG3(regs);
	c->fourth = SYSCALL_ARG4(regs);
	c->fifth = SYSCALL_ARG5(regs);
}
