/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The process that runs now: its identity, whether it is observed, and its description while that can still be read. */
#pragma once

struct owner {
	__u32 pid;
	__u32 generation;
	__u64 start;
	__u64 cgroup;
};

/*
 * Appends a part; a path that is too long loses its beginning, and says so. This and the other functions that are not static are
 * global to the verifier: verified once, not once for each caller and state.
 */
__noinline int put_part(struct path_parts *path, __u64 name)
{
	if (!path)
		return 0;
	__u32 used = path->used;
	if (used > PATH_LEN - PATH_PART_MAX) {
		path->cut |= PATH_CUT_ROOM;
		return 0;
	}
	long n = bpf_probe_read_kernel_str(path->parts + used, PATH_PART_MAX, (void *)name);
	if (n > 1 && n <= PATH_PART_MAX)
		path->used = used + n;
	else
		path->cut |= PATH_CUT_ROOM;
	return 0;
}

/* Where the path of a file goes on, upwards. */
struct path_place {
	struct dentry *dentry;
	struct mount *mnt;
};

/* Appends a part of a path, or goes on from a mount's root to where it is mounted. 0: that was the last one. */
__noinline int climb(struct path_parts *path, struct path_place *at)
{
	struct dentry *dentry, *parent;
	struct mount *mnt, *above;

	if (!path || !at)
		return 0;
	dentry = at->dentry;
	mnt = at->mnt;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry == BPF_CORE_READ(mnt, mnt.mnt_root) || dentry == parent) {
		above = BPF_CORE_READ(mnt, mnt_parent);
		if (above == mnt) {
			path->cut &= ~PATH_CUT_DEPTH;
			return 0;
		}
		at->dentry = BPF_CORE_READ(mnt, mnt_mountpoint);
		at->mnt = above;
		return 1;
	}
	put_part(path, (__u64)BPF_CORE_READ(dentry, d_name.name));
	at->dentry = parent;
	return 1;
}

static __always_inline void read_executable(struct path_parts *path, struct file *exe)
{
	struct path_place at = {
		.dentry = BPF_CORE_READ(exe, f_path.dentry),
		.mnt = (void *)BPF_CORE_READ(exe, f_path.mnt) - bpf_core_field_offset(struct mount, mnt),
	};

	path->used = 0;
	path->cut = PATH_CUT_DEPTH;
	for (int i = 0; i < PATH_DEPTH_MAX; i++) {
		if (!climb(path, &at))
			break;
	}
}

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *kn)
{
	struct kernfs_node___v6_15 *renamed = (void *)kn;
	if (bpf_core_field_exists(renamed->__parent))
		return BPF_CORE_READ(renamed, __parent);
	return BPF_CORE_READ(kn, parent);
}

/* The v2 hierarchy's path, or the memory controller's where v2 does not sort processes (v1 hosts). */
static __always_inline void read_cgroup(struct path_parts *path, struct task_struct *task)
{
	struct kernfs_node *kn;
	__u32 id = 0;

	path->used = path->cut = 0;
	if (!bpf_core_field_exists(task->cgroups)) /* CONFIG_CGROUPS=n */
		return;
	kn = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	if (!kernfs_parent(kn)) {
		if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
			id = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
		else if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
			id = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
		struct css_set *set = BPF_CORE_READ(task, cgroups);
		struct cgroup_subsys_state *css = NULL;
		bpf_core_read(&css, sizeof(css), &set->subsys[id & 15]);
		if (css)
			kn = BPF_CORE_READ(css, cgroup, kn);
	}
	path->cut = kn ? PATH_CUT_DEPTH : 0;
	for (int i = 0; i < PATH_DEPTH_MAX && kn; i++) {
		struct kernfs_node *parent = kernfs_parent(kn);
		if (!parent) {
			path->cut &= ~PATH_CUT_DEPTH;
			break;
		}
		put_part(path, (__u64)BPF_CORE_READ(kn, name));
		kn = parent;
	}
}

static __always_inline __u32 read_user_block(char *out, __u32 room, unsigned long begin, unsigned long end,
					     __u8 *cut)
{
	__u64 len = end > begin ? end - begin : 0;
	*cut = len > room;
	if (len > room)
		len = room;
	/* The pages were written by exec and are as a rule in memory; where not, user space has /proc. */
	if (!len || bpf_probe_read_user(out, len, (void *)begin))
		return 0;
	return len;
}

/* Of an environment that is longer than ENVIRON_LEN: what is looked at, and where in process_event.environ it goes. */
#define VARIABLES_MAX 2048
#define VARIABLES_AT_A_TIME 32 /* a loop in a loop: the verifier goes through the inner one once */
#define ENTRY_LEN 1024 /* a longer entry takes several looks */
#define SERVICE_AT 0
#define SERVICE_LEN 512
#define ATTRIBUTES_AT SERVICE_LEN
#define ATTRIBUTES_LEN 2048
#define ENTRY_AT (ATTRIBUTES_AT + ATTRIBUTES_LEN)

_Static_assert(ENTRY_AT + ENTRY_LEN <= ENVIRON_LEN, "no room for the variables and an entry");

/* Takes one of the two variables, and returns how many bytes the entry at this address has, or what was looked at of it. */
__noinline int take_variable(struct process_event *e, __u64 at)
{
	if (!e)
		return 0;
	char *entry = e->environ + ENTRY_AT;
	long n = bpf_probe_read_user_str(entry, ENTRY_LEN, (void *)at);
	bool begins = !e->in_entry;

	e->in_entry = n == ENTRY_LEN; /* the byte behind is its NUL at the earliest */
	if (n > 8 && begins) {
		__u64 name = *(__u64 *)entry;
		if (name == *(const __u64 *)"OTEL_SER" && !e->environ[SERVICE_AT])
			bpf_probe_read_user_str(e->environ + SERVICE_AT, SERVICE_LEN, (void *)at);
		else if (name == *(const __u64 *)"OTEL_RES" && !e->environ_len) {
			long length = bpf_probe_read_user_str(e->environ + ATTRIBUTES_AT, ATTRIBUTES_LEN, (void *)at);
			if (length > 0)
				e->environ_len = length;
		}
	}
	return n == ENTRY_LEN ? n - 1 : n;
}

/* Takes some entries, and returns how many bytes they have; fewer than 0: it was the last of all, or could not be read. */
__noinline int take_variables(struct process_event *e, __u64 begin, __u64 end)
{
	__u64 at = begin;

	if (!e)
		return 0;
	for (int i = 0; i < VARIABLES_AT_A_TIME; i++) {
		if (at >= end) {
			e->environ_cut = 0;
			return -1;
		}
		int n = take_variable(e, at);
		if (n <= 0)
			return -1;
		at += n;
	}
	return at - begin;
}

/*
 * Looks for OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES in an environment that is too long to be copied: Kubernetes adds
 * seven variables for each service of a namespace. The first entry of a name counts.
 */
static __always_inline void find_variables(struct process_event *e, __u64 begin, __u64 end)
{
	__u64 at = begin;

	e->environ_cut = 1;
	e->in_entry = 0;
	__builtin_memset(e->environ, 0, SERVICE_LEN);
	for (int i = 0; i < VARIABLES_MAX / VARIABLES_AT_A_TIME; i++) {
		int n = take_variables(e, at, end);
		if (n < 0)
			break;
		at += n;
	}
	if (e->environ[SERVICE_AT + SERVICE_LEN - 2]) { /* not whole: it would be another name */
		e->environ[SERVICE_AT] = 0;
		e->environ_cut = 1;
	}
	if (e->environ_len >= ATTRIBUTES_LEN) { /* the last pair may not be whole, which shows by the missing NUL */
		e->environ_len = ATTRIBUTES_LEN - 1;
		e->environ_cut = 1;
	}
	e->environ_len += ATTRIBUTES_AT;
}

static __always_inline void read_environ(struct process_event *e, struct mm_struct *mm)
{
	__u64 begin = BPF_CORE_READ(mm, env_start), end = BPF_CORE_READ(mm, env_end);

	if (begin < end && end - begin > ENVIRON_LEN)
		find_variables(e, begin, end);
	else
		e->environ_len = read_user_block(e->environ, ENVIRON_LEN, begin, end, &e->environ_cut);
}

__noinline int describe_process(struct owner *owner, __u32 shard)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct process_event *e;
	struct reservation r;

	if (!owner)
		return 0;
	e = begin_process(&r, shard, owner->pid, owner->start);
	if (!e)
		return 0;
	e->generation = owner->generation;
	e->executable_from_call = 0;
	e->netns = 0;
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	read_executable(&e->executable, BPF_CORE_READ(mm, exe_file));
	read_cgroup(&e->cgroup, leader);
	e->args_len = read_user_block(e->args, ARGS_LEN, BPF_CORE_READ(mm, arg_start),
				      BPF_CORE_READ(mm, arg_end), &e->args_cut);
	read_environ(e, mm);
	if (e->executable.cut || e->cgroup.cut || e->environ_cut)
		submit_urgently(&r, e); /* the rest is in /proc, and may be gone in a moment */
	else
		submit(&r, e);
	return 1;
}

/* Sets owner to the process that runs now and returns its entry, or NULL. Only for hooks that run in the task that acts. */
static __always_inline struct process *current_owner(struct owner *owner)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct process *known;

	owner->pid = task->tgid;
	owner->start = task->group_leader->start_boottime;
	owner->cgroup = bpf_get_current_cgroup_id();
	owner->generation = 0;
	known = bpf_map_lookup_elem(&processes, &owner->pid);
	if (!known || known->start != owner->start) /* the pid's former process */
		return NULL;
	owner->generation = known->generation;
	return known;
}

static __always_inline struct open_event *begin_owned_open(struct reservation *r, __u32 kind, const struct flow *flow,
							   const struct owner *owner)
{
	struct open_event *e = begin_open(r, kind, flow);

	if (!e)
		return NULL;
	e->header.pid = owner->pid;
	e->header.start = owner->start;
	e->cgroup = owner->cgroup;
	return e;
}

/* Emits the description of the process that runs now, unless the shard has it. */
static __always_inline void emit_process_once(struct owner *owner, struct process *known, __u32 shard)
{
	__u32 bit = 1u << (shard & 31);

	if (known && (known->emitted & bit))
		return;
	if (!known) {
		struct process fresh = {.start = owner->start};
		/* The description may have been emitted to another shard a moment ago. */
		known = bpf_map_lookup_elem(&processes, &owner->pid);
		if (!known || known->start != owner->start)
			known = remember_process(owner->pid, &fresh, BPF_ANY);
	}
	if (describe_process(owner, shard) && known)
		__sync_fetch_and_or(&known->emitted, bit);
}

/* The same for every shard, if it is not known which one is concerned. */
static __always_inline void emit_process_everywhere(struct owner *owner, struct process *known)
{
	for (__u32 shard = 0; shard < SHARDS_MAX; shard++) {
		if (shard > shard_mask)
			break;
		emit_process_once(owner, known, shard);
	}
}

static __always_inline bool port_in(__u16 port, __u16 low, __u16 high)
{
	return (!low && !high) || (port >= low && port <= high);
}

/*
 * Whether the rules leave this flow out. A process without a rule match is observed: user space sets one when it
 * has the description of the process.
 */
__noinline int judge(const struct owner *owner, __u16 local_port, __u16 remote_port)
{
	bool included = !rules_include;

	if (!owner)
		return false;
	__u32 pid = owner->pid; /* 6.1 takes no key from a function's argument */
	struct rule_match *rule_match = bpf_map_lookup_elem(&rule_matches, &pid);
	if (!rule_match || rule_match->start != owner->start / TICK_NS || rule_match->generation != owner->generation)
		return false;
	for (__u32 i = 0; i < RULES_MAX; i++) {
		if (i >= rules_count)
			break;
		if (!(rule_match->rules >> i & 1))
			continue;
		__u32 key = i;
		struct rule *rule = bpf_map_lookup_elem(&rules, &key);
		if (!rule || !port_in(local_port, rule->local_port_low, rule->local_port_high) ||
		    !port_in(remote_port, rule->remote_port_low, rule->remote_port_high))
			continue;
		if (rule->exclude)
			return true;
		included = true;
	}
	return !included;
}

static __always_inline bool left_out(const struct owner *owner, __u16 local_port, __u16 remote_port)
{
	return rules_count && judge(owner, local_port, remote_port);
}

/* By the rules, or because it is the collector's own. */
static __always_inline bool is_ignored(const struct owner *owner, __u16 local_port, __u16 remote_port)
{
	return (excluded_pid && owner->pid == excluded_pid) || left_out(owner, local_port, remote_port);
}

static __always_inline void on_thread_exit(struct task_struct *task)
{
	__u32 pid = task->tgid;

	forget_causes(task);
	if (task->signal->live.counter > 0) /* other threads live on */
		return;
	end_process(pid);
	if (rules_count)
		bpf_map_delete_elem(&rule_matches, &pid);
}
