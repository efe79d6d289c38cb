/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the programs of the syscall mode remember beside what those of every mode do: which descriptors lead to which
 * sockets, and what is known of these. Everything is learned from the arguments and results of calls.
 */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 cpus = 1; /* identities of sockets made on different CPUs differ by it */
/* Where the tracepoints of forks and exits have their members; user space reads it from tracefs. */
const volatile __u32 fork_child_offset = 0;
const volatile __u32 exit_group_offset = 0; /* 0: the tracepoint does not say whether it is the last thread */

#define TABLE_FDS 1024 /* descriptors of a process that are inherited, and closed with it */
#define SWEEP_MAX 128  /* of them that are seen to at once; a power of two */
#define PASSED_MAX 8   /* descriptors in a message */
#define BATCH_MAX 16   /* datagrams of sendmmsg and recvmmsg that are counted */
#define BATCH_STREAM_MAX 2 /* messages over a stream of which the payload is captured */
#define BATCH_REST_MAX 64  /* messages over a stream that are counted */

/* A call under way, by thread. Only the exit tells what has become of it. */
struct call {
	__u64 args[6];
	__u64 id; /* of the socket that it is about; 0: not known */
	__u32 nr;
	__u32 fd;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

enum descriptor_kind {
	DESCRIPTOR_ASKED = 0, /* user space looks where it leads to */
	DESCRIPTOR_OTHER,     /* not to a socket, or not to one that is followed; holds until a call says otherwise */
	DESCRIPTOR_SOCKET,
};

struct descriptor_key {
	__u32 pid;
	__u32 fd;
};

struct descriptor {
	__u64 id; /* the socket's; DESCRIPTOR_ASKED: the question's */
	__u32 kind;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct descriptor_key);
	__type(value, struct descriptor);
} descriptors SEC(".maps");

/*
 * What user space has found. It is the process' own next call about the descriptor that turns to it: what user space wrote itself
 * could undo what a call has told since it looked, for nothing compares and writes at once on 5.10.
 */
struct answer {
	__u64 question;
	__u64 id; /* of the socket; 0: there is none that is followed */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct descriptor_key);
	__type(value, struct answer);
} answers SEC(".maps");

enum stage {
	STAGE_NEW = 0,
	STAGE_LISTENING,
	STAGE_CONNECTING, /* connect has not returned, or said that it goes on */
	STAGE_OPEN,
};

enum known {
	KNOWN_LOCAL = 1,
	KNOWN_REMOTE = 2,
};

/* A socket, by the identity that it was given when it was first seen. */
struct call_socket {
	struct flow flow; /* as far as it is known */
	__u64 started;
	__u64 established;
	__u64 peer; /* the other end's identity; 0: not known */
	struct stream streams[DIRECTIONS];
	__u32 owner_pid;
	__u32 task_pid; /* who made the last transfer that was told */
	__u32 run;      /* bytes captured since the direction turned */
	__s32 error;    /* the last that ended it; errno */
	__u8 stage;
	__u8 known;     /* enum known */
	__u8 shared;    /* more than one descriptor has led to it: user space counts them */
	__u8 told;      /* that it was opened */
	__u8 finished;  /* which side was first to say that it will send no more: 1 + enum direction; 0: none yet */
	__u8 existing;  /* older than the programs */
	__u8 direction; /* of the last transfer */
	__u8 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u64);
	__type(value, struct call_socket);
} call_sockets SEC(".maps");

/* The sockets among a process' descriptors, for what does not name them: fork, exec, exit, close_range. */
#define TABLE_OPEN 1
#define TABLE_CLOEXEC 2

struct table {
	union {
		__u8 fds[TABLE_FDS];
		__u64 eights[TABLE_FDS / 8];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct table);
} tables SEC(".maps");

/* The names of Unix sockets: what bind and connect were told. */
struct unix_names {
	__u8 local_length, remote_length;
	__u8 pad[6];
	char local[UNIX_PATH_LEN];
	char remote[UNIX_PATH_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct unix_names);
} names SEC(".maps");

/* Descriptors on their way to the holder of a Unix socket: a queue. Key 0: it is not known to which socket. */
#define PASSED_NS 1000000000ull

struct passed {
	__u64 ids[PASSED_MAX];
	__u64 until; /* CLOCK_MONOTONIC, ns; key 0 only */
	__u32 first, count;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct passed);
} passing SEC(".maps");

/* What a process executed, as execve was told, and those of its environment's variables that name a service. */
#define VARIABLE_LEN 256

struct image {
	char path[PATH_PART_MAX];
	char service[VARIABLE_LEN];    /* OTEL_SERVICE_NAME=...; empty: there is none */
	char attributes[VARIABLE_LEN]; /* OTEL_RESOURCE_ATTRIBUTES=... */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct image);
} images SEC(".maps");

/* Bytes that a call has transferred. */
struct transfer {
	struct source from;
	__u64 id;
	__u32 length;
	__u32 direction;
	__u32 pid;
	__u32 fd;
	__u32 unknown; /* where the bytes lie */
	__u32 user;    /* enum scratch_user */
};

/*
 * Programs, of those that need a scratch. From Linux 7.2 on tasks are preempted in programs of calls, and others run on that CPU
 * meanwhile (trace_call_bpf_faultable in kernel/trace/bpf_trace.c); but never the same one.
 */
enum scratch_user {
	/* These have drafts, too. */
	USER_TRANSFER = 0,
	USER_BATCH,
	USER_TRANSFER_BACKUP,
	USER_BATCH_BACKUP,
	/* These do not. */
	USER_CONTROL,
	USER_CONTROL_BACKUP,
	SCRATCH_USERS,
};

/* What does not fit on the stack. */
struct scratch {
	__u64 last_id;
	struct call_socket socket;
	struct telling telling;
	struct transfer transfer;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_USERS);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch(__u32 user)
{
	return bpf_map_lookup_elem(&scratches, &user);
}

/* The same, of what concerns all descriptors of a process. */
enum sweep_user {
	USER_PROCESS = 0, /* fork and exit, which are never preempted */
	USER_EXEC,
	USER_EXEC_BACKUP,
	USER_CLOSE_RANGE,
	USER_CLOSE_RANGE_BACKUP,
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

/* The same, of execve. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct image);
} new_images SEC(".maps");

static __always_inline __u32 current_pid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

#define ID_USER_SHIFT 48 /* the lower bits pick the shard */

static __always_inline __u64 next_id(struct scratch *s, __u64 user)
{
	return (++s->last_id * cpus + bpf_get_smp_processor_id()) | user << ID_USER_SHIFT;
}

static __always_inline struct call_socket *socket_by_id(__u64 id)
{
	return id ? bpf_map_lookup_elem(&call_sockets, &id) : NULL;
}

/* What is remembered of a process; it begins when it is first heard of. */
static __always_inline struct process *process_of(__u32 pid)
{
	struct process *known = bpf_map_lookup_elem(&processes, &pid);
	if (known)
		return known;
	struct process fresh = {.start = bpf_ktime_get_boot_ns()};
	if (bpf_map_update_elem(&processes, &pid, &fresh, BPF_NOEXIST))
		count(COUNTER_PROCESS_MAP_FULL);
	return bpf_map_lookup_elem(&processes, &pid);
}

/* Nothing is begun here: the process may have ended, and nobody would take it away again. */
static __always_inline void head(struct event_header *h, __u32 kind, __u32 pid)
{
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	h->kind = kind;
	h->pid = pid;
	h->time = bpf_ktime_get_ns();
	h->start = p ? p->start : 0;
}

static __always_inline void describe_image(struct process_event *e, struct image *image)
{
	long n = 0;

	if (image->path[0] == '/')
		n = bpf_probe_read_kernel_str(e->executable.parts, PATH_PART_MAX, image->path + 1);
	if (n > 1)
		e->executable.used = n;
	__builtin_memset(e->environ, 0, 2 * VARIABLE_LEN);
	bpf_probe_read_kernel_str(e->environ, VARIABLE_LEN, image->service);
	bpf_probe_read_kernel_str(e->environ + VARIABLE_LEN, VARIABLE_LEN, image->attributes);
	if (image->service[0] || image->attributes[0])
		e->environ_len = 2 * VARIABLE_LEN;
}

/* Makes sure that the shard has the description of the process that runs now. */
static __noinline int introduce(__u32 pid, __u32 shard)
{
	struct process *p = process_of(pid);
	__u32 bit = 1u << (shard & 31);
	struct process_event *e;
	struct image *image;

	if (!p || (p->told & bit))
		return 0;
	struct slot slot = reserve(shard, EVENT_PROCESS, sizeof(*e));
	e = slot.event;
	if (!e)
		return 0;
	head(&e->header, EVENT_PROCESS, pid);
	e->cgroup_id = bpf_get_current_cgroup_id();
	e->generation = p->generation;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->executable.used = e->cgroup.used = 0;
	e->args_len = e->environ_len = 0;
	e->args_cut = e->environ_cut = 0;
	e->executable_told = 1;
	e->netns = p->netns;
	image = bpf_map_lookup_elem(&images, &pid);
	if (image)
		describe_image(e, image);
	/* At once: what else there is to know of it is in /proc only, and it may be gone in a moment. */
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	count(COUNTER_EVENTS + EVENT_PROCESS);
	p->told |= bit;
	return 0;
}

static __always_inline void tell_descriptor(__u32 kind, __u32 pid, __u32 fd, __u64 id, __u32 shard)
{
	struct slot slot = reserve(shard, kind, sizeof(struct descriptor_event));
	struct descriptor_event *e = slot.event;

	if (!e)
		return;
	head(&e->header, kind, pid);
	e->cookie = id;
	e->fd = fd;
	e->pad = 0;
	submit(&slot, kind, sizeof(*e));
}

/* Tells of a socket's flow: that it was opened, has failed, or where it leads to. */
static __noinline int tell_flow(__u32 kind, struct call_socket *s, __u32 pid, __u32 fd, int error)
{
	__u32 shard = shard_of(s->flow.cookie);
	struct slot slot = reserve(shard, kind, sizeof(struct open_event));
	struct open_event *e = slot.event;

	if (!e)
		return 0;
	head(&e->header, kind, pid);
	e->flow = s->flow;
	e->cgroup = 0;
	e->started = s->started;
	e->state = 0;
	e->error = error;
	e->fd = fd;
	e->pad = 0;
	for (int i = 0; i < DIRECTIONS; i++)
		e->sequence[i] = 0;
	submit(&slot, kind, sizeof(*e));
	return 0;
}
