/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which descriptors lead to which sockets. */
#pragma once

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
	__u32 generation; /* of its binding by a call: another one has another number; 0: user space has found it */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct descriptor_key);
	__type(value, struct descriptor);
} descriptors SEC(".maps");

/*
 * An answer of user space. The next call of the process about the descriptor applies it. If user space applied it, it could
 * undo what a call has changed since then, because 5.10 has no operation that compares and writes.
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

#define TABLE_FDS 1024 /* descriptors of a process that are inherited, and closed with it */

/* The sockets among a process' descriptors, for events that do not name them: fork, exec, exit, close_range. */
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

/* Sets d to what the answer says of a descriptor, if there is an answer to the last question. Returns whether there is. */
static __always_inline bool resolve(struct descriptor_key *key, const struct descriptor *d, struct descriptor *resolved)
{
	struct answer *a = d->kind == DESCRIPTOR_ASKED ? bpf_map_lookup_elem(&answers, key) : NULL;

	*resolved = *d;
	if (!a || a->question != d->id)
		return false;
	resolved->id = a->id;
	resolved->kind = a->id ? DESCRIPTOR_SOCKET : DESCRIPTOR_OTHER;
	return true;
}

/* Applies the answer, if there is one. Not static, for the verifier. */
__noinline int take_answer(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = bpf_map_lookup_elem(&descriptors, &key);
	struct descriptor resolved;

	if (!d || !resolve(&key, d, &resolved))
		return 0;
	bpf_map_delete_elem(&answers, &key);
	bpf_map_update_elem(&descriptors, &key, &resolved, BPF_ANY);
	return 1;
}

/* Where a descriptor of the process that runs now leads to. */
static __always_inline struct descriptor *descriptor_of(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = bpf_map_lookup_elem(&descriptors, &key);

	if (d && d->kind == DESCRIPTOR_ASKED && take_answer(pid, fd))
		d = bpf_map_lookup_elem(&descriptors, &key);
	return d;
}

static const struct table no_table;

static __always_inline void mark(__u32 pid, __u32 fd, __u8 marks)
{
	struct table *t = bpf_map_lookup_elem(&tables, &pid);

	if (!t && marks) {
		bpf_map_update_elem(&tables, &pid, &no_table, BPF_NOEXIST);
		t = bpf_map_lookup_elem(&tables, &pid);
	}
	if (!t)
		return;
	if (fd < TABLE_FDS)
		t->fds[fd] = marks;
	else if (marks)
		count(COUNTER_TABLE_FULL);
}

/* The descriptor does not lead to the socket any more. It was the last one, or one of several. */
__noinline int sock_put(__u32 pid, __u32 fd, __u64 id)
{
	struct socket_state *s = socket_by_id(id);

	mark(pid, fd, 0);
	if (!s)
		return 0;
	if (s->stage == STAGE_CONNECTING && !s->shared && s->conn.flow.transport == TRANSPORT_TCP)
		emit_flow(EVENT_CONNECT_ERROR, &s->conn, s->conn.owner_pid, fd, 0); /* given up, its outcome is not known */
	else if (s->emitted || (s->shared && s->stage != STAGE_LISTENING))
		emit_close(s);
	if (!s->shared)
		bpf_map_delete_elem(&call_sockets, &id);
	return 0;
}

/* The descriptor does not lead to the socket any more. */
__noinline int fd_unbind(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = descriptor_of(pid, fd);
	__u64 id;

	if (!d || d->kind != DESCRIPTOR_SOCKET) /* what is known of it holds until a call changes it */
		return 0;
	id = d->id;
	bpf_map_delete_elem(&descriptors, &key);
	sock_put(pid, fd, id);
	return 0;
}

/* The descriptor leads to the socket from now on. */
__noinline int fd_bind(__u32 pid, __u32 fd, __u64 id, __u32 cloexec)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor d = {.id = id, .kind = DESCRIPTOR_SOCKET, .generation = bpf_ktime_get_ns() | 1};
	struct descriptor *old = bpf_map_lookup_elem(&descriptors, &key);

	if (old && old->kind == DESCRIPTOR_SOCKET && old->id == id)
		return 0;
	if (old)
		fd_unbind(pid, fd); /* its close was not seen */
	if (!bpf_map_update_elem(&descriptors, &key, &d, BPF_ANY))
		mark(pid, fd, TABLE_OPEN | (cloexec ? TABLE_CLOEXEC : 0));
	return 0;
}

/* One more descriptor leads to a socket. */
__noinline int sock_get(__u32 pid, __u32 fd, __u64 id, __u32 cloexec)
{
	struct socket_state *s = socket_by_id(id);

	if (!s)
		return 0;
	s->shared = 1;
	if (s->stage != STAGE_LISTENING || s->emitted) {
		struct reservation r;
		struct descriptor_event *e = begin_descriptor(&r, EVENT_HOLD, pid, fd, id, shard_of(id));
		if (e)
			submit(&r, e);
	}
	if (fd != DESCRIPTOR_IN_FLIGHT)
		fd_bind(pid, fd, id, cloexec);
	return 0;
}

/* From now on the descriptor leads to something that is not followed. */
static __always_inline void fd_mark_untracked(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor d = {.kind = DESCRIPTOR_OTHER};

	fd_unbind(pid, fd);
	bpf_map_update_elem(&descriptors, &key, &d, BPF_ANY);
}

/* The descriptor is used, and it is not known where it leads. This asks user space to find out. */
__noinline int ask(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	/* The time is the identity: a later question may be about another file of the same number. */
	struct descriptor d = {.id = bpf_ktime_get_ns(), .kind = DESCRIPTOR_ASKED};
	struct descriptor_event *e;
	struct reservation r;

	if (bpf_map_update_elem(&descriptors, &key, &d, BPF_ANY))
		return 0;
	emit_process_once(pid, shard_of(pid));
	e = begin_descriptor(&r, EVENT_UNKNOWN, pid, fd, d.id, shard_of(pid));
	if (!e) {
		bpf_map_delete_elem(&descriptors, &key); /* the next call asks again */
		return 0;
	}
	submit_urgently(&r, e); /* until it is answered what the descriptor transfers is not seen */
	return 0;
}

/* A descriptor leads to a socket that had to give way to others. User space finds the socket again, unless the number is another's. */
static __noinline int ask_again(__u32 pid, __u32 fd, __u64 id)
{
	struct descriptor *d = descriptor_of(pid, fd);

	return d && d->kind == DESCRIPTOR_SOCKET && d->id == id ? ask(pid, fd) : 0;
}

static __always_inline void set_cloexec(__u32 pid, __u32 fd, bool cloexec)
{
	struct table *t = bpf_map_lookup_elem(&tables, &pid);

	if (t && fd < TABLE_FDS && t->fds[fd])
		t->fds[fd] = TABLE_OPEN | (cloexec ? TABLE_CLOEXEC : 0);
}

/* The socket that a descriptor of the process that runs now leads to; 0: none that is known. */
static __always_inline __u64 fd_socket(__u32 pid, __u32 fd)
{
	struct descriptor *d = descriptor_of(pid, fd);

	return d && d->kind == DESCRIPTOR_SOCKET ? d->id : 0;
}

/* The socket that the call is about. It may be known by now though it was not at the enter. */
static __always_inline __u64 now_known(const struct call *c, __u32 pid)
{
	return c->id ? c->id : fd_socket(pid, c->fd);
}

/* At the enter, because after the call the number may already be another file's. A backup repeats it, which does no harm. */
static __always_inline int on_close_enter(struct enter_args *ctx)
{
	__u32 pid = current_pid();

	if (pid != excluded_pid)
		fd_unbind(pid, ctx->args[0]);
	return 0;
}
