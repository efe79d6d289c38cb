/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Events about all descriptors of a process: fork, exec, exit, close_range. */
#pragma once

#define SWEEP_MAX 128  /* of them that are seen to at once; a power of two */

/* Programs that work on all descriptors of a process; as enum scratch_user. */
enum sweep_user {
	USER_PROCESS = 0, /* fork and exit, which are never preempted */
	USER_EXEC,
	USER_EXEC_BACKUP,
	USER_CLOSE_RANGE,
	USER_CLOSE_RANGE_BACKUP,
	USER_EXEC_COMPAT,
	USER_CLOSE_RANGE_COMPAT,
	SWEEP_USERS,
};

struct sweep_list {
	volatile __u32 found; /* descriptors in fds; never in a register, see list_sockets */
	__u32 fds[SWEEP_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SWEEP_USERS);
	__type(key, __u32);
	__type(value, struct sweep_list);
} sweep_lists SEC(".maps");

enum sweep {
	SWEEP_INHERIT, /* the child has them, too */
	SWEEP_EXEC,    /* those with close-on-exec are closed */
	SWEEP_CLOSE,
	SWEEP_CLOEXEC, /* they become close-on-exec */
};

/* Not static: the verifier looks at it once, and not at each call. */
__noinline int sweep_one(__u32 pid, __u32 other, __u32 fd, __u32 what)
{
	struct table *t = bpf_map_lookup_elem(&tables, &pid);
	__u64 id;
	__u8 marks;

	if (!t || fd >= TABLE_FDS)
		return 0;
	marks = t->fds[fd];
	switch (what) {
	case SWEEP_INHERIT:
		id = fd_socket(pid, fd);
		if (id)
			sock_get(other, fd, id, marks & TABLE_CLOEXEC);
		break;
	case SWEEP_EXEC:
		if (!(marks & TABLE_CLOEXEC))
			break;
		/* fallthrough */
	case SWEEP_CLOSE:
		fd_unbind(pid, fd);
		break;
	case SWEEP_CLOEXEC:
		t->fds[fd] = marks | TABLE_CLOEXEC;
		break;
	}
	return 0;
}

/* Not static, for the verifier. */
__noinline int list_eight(__u32 user, __u32 pid, __u32 from)
{
	struct sweep_list *space = bpf_map_lookup_elem(&sweep_lists, &user);
	struct table *t = bpf_map_lookup_elem(&tables, &pid);

	if (!space || !t)
		return 0;
	for (__u32 j = 0; j < 8; j++) {
		__u32 fd = from + j, n = space->found;
		if (!t->fds[fd & (TABLE_FDS - 1)])
			continue;
		if (n >= SWEEP_MAX)
			return 0;
		space->fds[n & (SWEEP_MAX - 1)] = fd;
		space->found = n + 1;
	}
	return 0;
}

#define EIGHTS_AT_A_TIME 32

/* Not static, for the verifier: a loop in a loop, of which it goes through the inner one once. */
__noinline int list_eights(__u32 user, __u32 pid, __u32 from)
{
	struct table *t = bpf_map_lookup_elem(&tables, &pid);

	if (!t)
		return 0;
	for (__u32 j = 0; j < EIGHTS_AT_A_TIME; j++) {
		__u32 i = (from + j) & (TABLE_FDS / 8 - 1);
		if (t->eights[i])
			list_eight(user, pid, i * 8);
	}
	return 0;
}

/* Lists the sockets among the descriptors of a process. The counter is in memory, so that the verifier has few states. */
static __always_inline void list_sockets(struct sweep_list *space, __u32 user, __u32 pid)
{
	space->found = 0;
	for (__u32 i = 0; i < TABLE_FDS / 8; i += EIGHTS_AT_A_TIME)
		list_eights(user, pid, i);
}

static __always_inline void sweep(__u32 user, __u32 pid, __u32 other, __u32 what, __u32 first, __u32 last)
{
	struct sweep_list *space = bpf_map_lookup_elem(&sweep_lists, &user);

	if (!space)
		return;
	list_sockets(space, user, pid);
	if (space->found >= SWEEP_MAX)
		count(COUNTER_TABLE_FULL);
	for (__u32 i = 0; i < SWEEP_MAX; i++) {
		if (i >= space->found)
			break;
		if (space->fds[i] >= first && space->fds[i] <= last)
			sweep_one(pid, other, space->fds[i], what);
	}
}

static __always_inline int on_close_range_enter(struct enter_args *ctx, enum sweep_user user)
{
	__u32 pid = current_pid();

	if (pid != excluded_pid)
		sweep(user, pid, 0, ctx->args[2] & CLOSE_RANGE_CLOEXEC ? SWEEP_CLOEXEC : SWEEP_CLOSE, ctx->args[0],
		      ctx->args[1]);
	return 0;
}
