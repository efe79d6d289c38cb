/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The calls of 32-bit programs. The tracepoints of single calls leave them out (kernel/trace/trace_syscalls.c,
 * trace_get_syscall_nr), so they are seen at the raw tracepoints of all calls.
 */
#pragma once

/* What the kernel saves of a task's registers: arch/x86/include/uapi/asm/ptrace.h, arch/arm64/include/asm/ptrace.h. */
#if defined(__TARGET_ARCH_x86)
struct saved_regs {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs;
};
#define MODE_REGISTER cs
#define IS_COMPAT_MODE(mode) (((mode) & 0xff) == 0x23) /* __USER32_CS; under Xen 0xe023 */
#define SAVED_NR(regs) ((regs)->orig_ax)
#elif defined(__TARGET_ARCH_arm64)
struct saved_regs {
	__u64 regs[31], sp, pc, pstate, orig_x0;
	__s32 syscallno;
};
#define MODE_REGISTER pstate
#define IS_COMPAT_MODE(mode) ((mode) & 0x10) /* PSR_MODE32_BIT */
#define SAVED_NR(regs) ((regs)->syscallno)
#endif

/* What does not fit on the stack. Each of the two programs has its own. */
struct compat_space {
	struct compat_call call;
	struct enter_args args;
	struct user_message message;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct compat_space);
} compat_spaces SEC(".maps");

static __always_inline bool in_compat_call(const struct saved_regs *regs)
{
	__u64 mode = 0;

	bpf_probe_read_kernel(&mode, sizeof(mode), &regs->MODE_REGISTER);
	return IS_COMPAT_MODE(mode);
}

static __noinline int read_compat_call(struct compat_call *c, const struct saved_regs *regs)
{
	struct saved_regs saved;

	if (bpf_probe_read_kernel(&saved, sizeof(saved), regs))
		return 0;
#if defined(__TARGET_ARCH_x86)
	c->args[0] = saved.bx;
	c->args[1] = saved.cx;
	c->args[2] = saved.dx;
	c->args[3] = saved.si;
	c->args[4] = saved.di;
	c->args[5] = saved.bp;
#elif defined(__TARGET_ARCH_arm64)
	c->args[0] = saved.orig_x0;
	for (int i = 1; i < 6; i++)
		c->args[i] = saved.regs[i];
#endif
	c->nr = SAVED_NR(&saved);
	return widen_call(c);
}

/* Functions of their own, so that a chain of calls takes the stack of one of them only. */
static __noinline int compat_transfer(struct enter_args *args)
{
	__u32 which = 0;
	struct compat_space *space = bpf_map_lookup_elem(&compat_spaces, &which);

	return space ? on_transfer_enter(args, 6, true, &space->message) : 0;
}

static __noinline int compat_other(struct enter_args *args)
{
	switch (args->nr) {
	case NR_SPLICE:
		return on_splice_enter(args);
	case NR_CLOSE:
		return on_close_enter(args);
	case NR_CLOSE_RANGE:
		return on_close_range_enter(args, USER_CLOSE_RANGE_COMPAT);
	case NR_FCNTL:
		return on_fcntl_enter(args);
	case NR_IOCTL:
		return on_ioctl_enter(args);
	case NR_GETSOCKOPT:
		return on_getsockopt_enter(args);
	case NR_CLONE:
		return on_clone(args);
	case NR_CLONE3:
		return on_clone3(args);
	}
	return on_control_enter(args, 5);
}

/* Does what the tracepoint of the same call of a 64-bit program does. */
static __always_inline int dispatch_enter(struct enter_args *args)
{
	switch (args->nr) {
	case NR_READ:
	case NR_WRITE:
	case NR_READV:
	case NR_WRITEV:
	case NR_SENDTO:
	case NR_RECVFROM:
	case NR_SENDMSG:
	case NR_RECVMSG:
	case NR_PREADV2:
	case NR_PWRITEV2:
	case NR_SENDMMSG:
	case NR_RECVMMSG:
	case NR_SENDFILE:
		return compat_transfer(args);
	}
	return compat_other(args);
}

static __always_inline int on_compat_enter(const struct saved_regs *regs)
{
	__u32 tid = bpf_get_current_pid_tgid(), which = 0;
	struct compat_space *space;
	struct call *c;

	if (!in_compat_call(regs) || current_pid() == excluded_pid)
		return 0;
	space = bpf_map_lookup_elem(&compat_spaces, &which);
	if (!space || !read_compat_call(&space->call, regs))
		return 0;
	space->args.nr = space->call.nr;
	for (int i = 0; i < 6; i++)
		space->args.args[i] = space->call.args[i];
	dispatch_enter(&space->args);
	c = load_enter(tid, space->args.nr);
	if (c)
		c->compat = 1;
	return 0;
}

static __always_inline int on_compat_exit(const struct saved_regs *regs, int ret)
{
	__u32 tid = bpf_get_current_pid_tgid(), which = 1;
	struct exit_args args = {.ret = ret};
	struct compat_space *space;
	struct call *c;

	if (!in_compat_call(regs))
		return 0;
	c = bpf_map_lookup_elem(&calls, &tid);
	if (!c || !c->compat) {
		__u64 nr = 0;
		bpf_probe_read_kernel(&nr, sizeof(SAVED_NR(regs)), &SAVED_NR(regs));
		if (is_compat_exec(nr))
			return on_exec_exit(&args, USER_EXEC_COMPAT);
		space = c ? NULL : bpf_map_lookup_elem(&compat_spaces, &which);
		if (!space || !read_compat_call(&space->call, regs) ||
		    (space->call.nr != NR_ACCEPT && space->call.nr != NR_ACCEPT4))
			return 0;
		args.nr = space->call.nr;
		return on_control_exit(&args, USER_COMPAT);
	}
	args.nr = c->nr;
	switch (c->nr) {
	case NR_READ:
	case NR_WRITE:
	case NR_READV:
	case NR_WRITEV:
	case NR_SENDTO:
	case NR_RECVFROM:
	case NR_SENDMSG:
	case NR_RECVMSG:
	case NR_PREADV2:
	case NR_PWRITEV2:
	case NR_SENDFILE:
	case NR_SPLICE:
	case NR_SENDMMSG:
	case NR_RECVMMSG:
		return on_call_exit(&args, USER_COMPAT);
	case NR_SETNS:
	case NR_UNSHARE:
		return on_namespace_exit(&args);
	}
	return on_control_exit(&args, USER_COMPAT);
}
