/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The life of processes in the syscall mode: fork, exec, another namespace, exit. */
#pragma once

/* Offsets of the members of the tracepoints of forks and exits; user space reads them from tracefs. */
const volatile __u32 fork_child_offset = 0;
const volatile __u32 exit_group_offset = 0; /* 0: the tracepoint does not say whether it is the last thread */

/* clone: the flags are its first argument */
static __always_inline int on_clone(struct enter_args *ctx)
{
	struct call c = {.nr = NR_CLONE};

	c.args[0] = ctx->args[0];
	c.args[1] = bpf_ktime_get_boot_ns(); /* see on_fork */
	save_enter(&c);
	return 0;
}

/* clone3: the flags are the first member of what its first argument points to */
static __always_inline int on_clone3(struct enter_args *ctx)
{
	struct call c = {.nr = NR_CLONE};

	bpf_probe_read_user(&c.args[0], sizeof(c.args[0]), (void *)ctx->args[0]);
	c.args[1] = bpf_ktime_get_boot_ns();
	save_enter(&c);
	return 0;
}

/*
 * A child may go on with the TLS connections of its parent. began: when the call did that forks, CLOCK_BOOTTIME in ns; 0: not known. What another thread
 * of the parent has done since is not the child's.
 */
static __always_inline void note_parent(__u32 pid, __u32 child, __u64 began)
{
	struct parent parent = {.pid = pid, .start = start_of(pid), .forked = began ? began : bpf_ktime_get_boot_ns()};

	if (!follow_tls)
		return;
	if (parent.start && bpf_map_lookup_elem(&tls_processes, &pid))
		bpf_map_update_elem(&parents, &child, &parent, BPF_ANY);
	else
		bpf_map_delete_elem(&parents, &child); /* of a former process */
}

/* sched_process_fork: in the parent, before the child runs */
static __always_inline int on_fork(void *ctx)
{
	__u32 pid = current_pid(), tid = bpf_get_current_pid_tgid(), child = 0;
	struct call *c = bpf_map_lookup_elem(&calls, &tid);
	struct image *image;
	__u64 flags = 0, began = 0;

	if (c && c->nr == NR_CLONE) {
		flags = c->args[0];
		began = c->args[1];
		c->args[0] = c->args[1] = 0; /* fork and vfork have no enter here: the next one is not this call */
	}
	if (flags & CLONE_THREAD)
		return 0;
	if (pid == excluded_pid ||
	    bpf_probe_read_kernel(&child, sizeof(child), ctx + fork_child_offset) || !child)
		return 0;
	note_parent(pid, child, began);
	/* An entry under the child's pid belongs to a former process. */
	struct process *parent = bpf_map_lookup_elem(&processes, &pid);
	if (parent && parent->netns && !(flags & CLONE_NEWNET)) {
		struct process fresh = {.start = bpf_ktime_get_boot_ns(), .netns = parent->netns};
		remember_process(child, &fresh, BPF_ANY);
	} else {
		bpf_map_delete_elem(&processes, &child);
		if (flags & CLONE_NEWNET)
			emit_process_once(child, shard_of(child)); /* it may be gone before it uses a socket */
	}
	image = bpf_map_lookup_elem(&images, &pid);
	if (image)
		bpf_map_update_elem(&images, &child, image, BPF_ANY);
	sweep(USER_PROCESS, pid, child, SWEEP_INHERIT, 0, TABLE_FDS);
	return 0;
}

static __always_inline int on_exec_exit(struct exit_args *ctx, enum sweep_user user)
{
	__u32 pid = current_pid();

	if (!ctx->ret) {
		replace_image(pid);
		report_exec(pid);
		sweep(user, pid, 0, SWEEP_EXEC, 0, TABLE_FDS);
		forget_process(pid);
	}
	bpf_map_delete_elem(&executing, &pid);
	return 0;
}

/* setns, unshare: the process may be in another network namespace from now on */
static __always_inline int on_namespace_exit(struct exit_args *ctx)
{
	__u32 pid = current_pid();
	struct process *p;

	if (ctx->ret || pid == excluded_pid)
		return 0;
	p = process_of(pid);
	if (!p)
		return 0;
	if (is_backup() && !p->netns)
		return 0;
	p->netns = 0;
	forget_process(pid);
	emit_process_once(pid, shard_of(pid)); /* its children will be in there, too */
	return 0;
}

/* sched_process_exit: in each thread; its descriptors go with the last */
static __always_inline int on_thread_exit(void *ctx)
{
	__u64 both = bpf_get_current_pid_tgid();
	__u32 pid = both >> 32;
	__u8 last = pid == (__u32)both;

	if (exit_group_offset)
		bpf_probe_read_kernel(&last, sizeof(last), ctx + exit_group_offset);
	if (!last)
		return 0;
	sweep(USER_PROCESS, pid, 0, SWEEP_CLOSE, 0, TABLE_FDS);
	bpf_map_delete_elem(&tables, &pid);
	bpf_map_delete_elem(&images, &pid);
	bpf_map_delete_elem(&executing, &pid);
	end_process(pid);
	return 0;
}

/* User space has found that the rules leave out all sockets of a process, as it was in that generation. */
static __always_inline int on_left_out(__u32 pid, __u64 ticks, __u32 generation)
{
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	if (p && p->start / TICK_NS == ticks && p->generation == generation)
		p->left_out = 1;
	return 0;
}

/* User space has found the network namespace of a process. */
static __always_inline int on_located(__u32 pid, __u64 ticks, __u32 netns)
{
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	if (p && p->start / TICK_NS == ticks && !p->netns)
		p->netns = netns;
	return 0;
}
