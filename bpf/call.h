/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A system call between its enter and its exit. */
#pragma once

/* include/trace/trace_events.h, kernel/trace/trace_syscalls.c: the number is an int, arguments are longs. */
struct enter_args {
	__u64 common;
	int nr;
	int pad;
	__u64 args[6];
};

struct exit_args {
	__u64 common;
	int nr;
	int pad;
	long ret;
};

/* A call under way, by thread. The result is known at the exit only. */
struct call {
	__u64 args[6];
	__u64 id; /* of the socket that it is about; 0: not known */
	__u64 began; /* CLOCK_MONOTONIC, ns; 0: not known, or of no interest */
	__u32 nr;
	__u32 fd;
	__u32 compat; /* a 32-bit program's: its structs in memory are narrower */
	__u32 generation; /* of the descriptor's binding at the enter, see struct descriptor */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

static __always_inline __u32 current_pid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline void save_enter(struct call *c)
{
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&calls, &tid, c, BPF_ANY);
}

/* The call that the thread is in, if its enter was saved. */
static __always_inline struct call *load_enter(__u32 tid, __u32 nr)
{
	struct call *c = bpf_map_lookup_elem(&calls, &tid);

	return c && c->nr == nr ? c : NULL;
}

/* Whether the primary has saved the call. */
static __always_inline bool is_saved(const struct call *c, int count_args)
{
	struct call *before = load_enter(bpf_get_current_pid_tgid(), c->nr);

	if (!before || before->fd != c->fd)
		return false;
	for (int i = 0; i < count_args; i++) {
		if (before->args[i] != c->args[i])
			return false;
	}
	return true;
}
