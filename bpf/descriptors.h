/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which descriptors lead to which sockets, from the first to the last. */
#pragma once

/* The answer to the question about a descriptor, or NULL. */
static __always_inline struct answer *answer_to(struct descriptor_key *key, const struct descriptor *asked)
{
	struct answer *a = bpf_map_lookup_elem(&answers, key);

	return a && a->question == asked->id ? a : NULL;
}

/* Turns to the answer, if there is one. Not static, for the verifier. */
__noinline int take_answer(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = bpf_map_lookup_elem(&descriptors, &key);
	struct answer *a = d && d->kind == DESCRIPTOR_ASKED ? answer_to(&key, d) : NULL;
	struct descriptor told = {};

	if (!a)
		return 0;
	told.id = a->id;
	told.kind = a->id ? DESCRIPTOR_SOCKET : DESCRIPTOR_OTHER;
	bpf_map_delete_elem(&answers, &key);
	bpf_map_update_elem(&descriptors, &key, &told, BPF_ANY);
	return 1;
}

/* Where a descriptor leads to of the process that runs now. */
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

/* The end of a socket, or of one of the descriptors that lead to it. */
static __noinline int tell_close(struct call_socket *s, __u32 pid)
{
	__u32 shard = shard_of(s->flow.cookie);
	struct slot slot = reserve(shard, EVENT_CLOSE, sizeof(struct close_event));
	struct close_event *e = slot.event;
	bool remote_first = s->finished == 1 + DIRECTION_RECEIVED;

	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e));
	head(&e->header, EVENT_CLOSE, pid);
	e->flow = s->flow;
	e->started = s->started;
	e->established = s->established;
	e->bytes_sent = s->streams[DIRECTION_SENT].position;
	e->bytes_received = s->streams[DIRECTION_RECEIVED].position;
	e->error = s->error;
	e->last_state = remote_first ? TCP_LAST_ACK : TCP_FIN_WAIT2;
	e->fin_received = remote_first;
	e->accepted_before = s->existing;
	e->uncounted = 1;
	for (int i = 0; i < DIRECTIONS; i++) {
		e->position[i] = s->streams[i].position;
		e->silent[i] = s->streams[i].silent;
	}
	submit(&slot, EVENT_CLOSE, sizeof(*e));
	return 0;
}

/* The descriptor, which leads to the socket no more, was its last, or one of several. */
static __noinline int let_go(__u32 pid, __u32 fd, __u64 id)
{
	struct call_socket *s = socket_by_id(id);

	mark(pid, fd, 0);
	if (!s)
		return 0;
	if (s->stage == STAGE_CONNECTING && !s->shared && s->flow.transport == TRANSPORT_TCP)
		tell_flow(EVENT_CONNECT_ERROR, s, s->owner_pid, fd, 0); /* given up before its outcome was asked for */
	else if (s->told || (s->shared && s->stage != STAGE_LISTENING))
		tell_close(s, s->owner_pid);
	if (!s->shared)
		bpf_map_delete_elem(&call_sockets, &id);
	return 0;
}

/* The descriptor leads to the socket no more. */
static __noinline int drop(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = descriptor_of(pid, fd);
	__u64 id;

	if (!d || d->kind != DESCRIPTOR_SOCKET) /* what is said of it holds until a call says otherwise */
		return 0;
	id = d->id;
	bpf_map_delete_elem(&descriptors, &key);
	let_go(pid, fd, id);
	return 0;
}

/* The descriptor leads to the socket from now on. */
static __noinline int lead(__u32 pid, __u32 fd, __u64 id, __u32 cloexec)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor d = {.id = id, .kind = DESCRIPTOR_SOCKET};
	struct descriptor *old = bpf_map_lookup_elem(&descriptors, &key);

	if (old && old->kind == DESCRIPTOR_SOCKET && old->id == id)
		return 0;
	if (old)
		drop(pid, fd); /* its close was not seen */
	if (!bpf_map_update_elem(&descriptors, &key, &d, BPF_ANY))
		mark(pid, fd, TABLE_OPEN | (cloexec ? TABLE_CLOEXEC : 0));
	return 0;
}

/* One more descriptor leads to a socket. */
static __noinline int share(__u32 pid, __u32 fd, __u64 id, __u32 cloexec)
{
	struct call_socket *s = socket_by_id(id);

	if (!s)
		return 0;
	s->shared = 1;
	if (s->stage != STAGE_LISTENING || s->told)
		tell_descriptor(EVENT_HOLD, pid, fd, id, shard_of(id));
	if (fd != DESCRIPTOR_IN_FLIGHT)
		lead(pid, fd, id, cloexec);
	return 0;
}

/* Whatever the descriptor led to, it leads to something else that is not followed. */
static __always_inline void lead_elsewhere(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor d = {.kind = DESCRIPTOR_OTHER};

	drop(pid, fd);
	bpf_map_update_elem(&descriptors, &key, &d, BPF_ANY);
}

/* The descriptor is used and not known: user space is to look where it leads to. */
static __noinline int ask(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	/* By its time a question is told from a later one about another file of the same number. */
	struct descriptor d = {.id = bpf_ktime_get_ns(), .kind = DESCRIPTOR_ASKED};
	struct slot slot;
	struct descriptor_event *e;

	if (bpf_map_update_elem(&descriptors, &key, &d, BPF_ANY))
		return 0;
	introduce(pid, shard_of(pid));
	slot = reserve(shard_of(pid), EVENT_UNKNOWN, sizeof(*e));
	e = slot.event;
	if (!e) {
		bpf_map_delete_elem(&descriptors, &key); /* so that it is asked again */
		return 0;
	}
	head(&e->header, EVENT_UNKNOWN, pid);
	e->cookie = d.id;
	e->fd = fd;
	e->pad = 0;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP); /* until then what it transfers is not seen */
	count(COUNTER_EVENTS + EVENT_UNKNOWN);
	return 0;
}

static __always_inline struct call_socket *create(__u32 user, __u32 pid, __u32 family, __u32 transport)
{
	struct scratch *scratch_space = scratch(user);
	struct process *owner = process_of(pid);
	struct call_socket *s;
	__u64 id;

	if (!scratch_space)
		return NULL;
	s = &scratch_space->socket;
	__builtin_memset(s, 0, sizeof(*s));
	id = next_id(scratch_space, user);
	s->flow.cookie = id;
	s->flow.family = family;
	s->flow.transport = transport;
	s->flow.netns = owner ? owner->netns : 0;
	s->owner_pid = pid;
	if (bpf_map_update_elem(&call_sockets, &id, s, BPF_ANY)) {
		count(COUNTER_STORAGE_FAILED);
		return NULL;
	}
	return bpf_map_lookup_elem(&call_sockets, &id);
}

#define SOCK_TYPE_MASK 0xf
#define SOCK_DGRAM 2
#define SOCK_CLOEXEC 02000000

static __always_inline int transport_of(__u32 family, __u32 type, __u32 protocol)
{
	type &= SOCK_TYPE_MASK;
	if (is_inet(family) && type == SOCK_STREAM &&
	    (!protocol || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
		return TRANSPORT_TCP;
	if (follow_udp && is_inet(family) && type == SOCK_DGRAM && (!protocol || protocol == IPPROTO_UDP))
		return TRANSPORT_UDP;
	if (follow_unix && family == AF_UNIX && type == SOCK_STREAM)
		return TRANSPORT_UNIX;
	return -1;
}

static __noinline int on_socket(__u32 user, __u32 pid, const struct call *c, __u32 fd)
{
	int transport = transport_of(c->args[0], c->args[1], c->args[2]);
	struct call_socket *s;

	if (transport < 0) {
		lead_elsewhere(pid, fd);
		return 0;
	}
	s = create(user, pid, c->args[0], transport);
	if (!s)
		return 0;
	lead(pid, fd, s->flow.cookie, c->args[1] & SOCK_CLOEXEC);
	introduce(pid, shard_of(s->flow.cookie));
	return 0;
}

static __noinline int on_socketpair(__u32 user, __u32 pid, const struct call *c)
{
	int transport = transport_of(c->args[0], c->args[1], c->args[2]);
	struct call_socket *a, *b;
	__u32 fds[2];

	if (bpf_probe_read_user(fds, sizeof(fds), (void *)c->args[3]))
		return 0;
	if (transport != TRANSPORT_UNIX) {
		lead_elsewhere(pid, fds[0]);
		lead_elsewhere(pid, fds[1]);
		return 0;
	}
	a = create(user, pid, c->args[0], transport);
	if (!a)
		return 0;
	b = create(user, pid, c->args[0], transport);
	if (!b)
		return 0;
	a->peer = b->flow.cookie;
	b->peer = a->flow.cookie;
	a->stage = b->stage = STAGE_OPEN;
	lead(pid, fds[0], a->flow.cookie, c->args[1] & SOCK_CLOEXEC);
	lead(pid, fds[1], b->flow.cookie, c->args[1] & SOCK_CLOEXEC);
	return 0;
}

/* dup and its kin: the new descriptor leads to where the old one does. */
static __noinline int on_duplicate(__u32 pid, __u32 old, __u32 fd, __u32 cloexec)
{
	struct descriptor *d = descriptor_of(pid, old);

	if (old == fd)
		return 0;
	if (d && d->kind == DESCRIPTOR_SOCKET) {
		__u64 id = d->id;
		drop(pid, fd);
		share(pid, fd, id, cloexec);
	} else if (d) {
		lead_elsewhere(pid, fd);
	} else {
		struct descriptor_key key = {.pid = pid, .fd = fd};
		drop(pid, fd);
		bpf_map_delete_elem(&descriptors, &key); /* not known either */
	}
	return 0;
}

static __always_inline void set_cloexec(__u32 pid, __u32 fd, bool cloexec)
{
	struct table *t = bpf_map_lookup_elem(&tables, &pid);

	if (t && fd < TABLE_FDS && t->fds[fd])
		t->fds[fd] = TABLE_OPEN | (cloexec ? TABLE_CLOEXEC : 0);
}

/* ---- what concerns all descriptors of a process ---- */

enum sweep {
	SWEEP_INHERIT, /* the child has them, too */
	SWEEP_EXEC,    /* those with close-on-exec are closed */
	SWEEP_CLOSE,
	SWEEP_CLOEXEC, /* they become close-on-exec */
};

/* Not static: the verifier then looks at it once, and not again at each call. */
__noinline int sweep_one(__u32 pid, __u32 other, __u32 fd, __u32 what)
{
	struct table *t = bpf_map_lookup_elem(&tables, &pid);
	struct descriptor *d;
	__u8 marks;

	if (!t || fd >= TABLE_FDS)
		return 0;
	marks = t->fds[fd];
	switch (what) {
	case SWEEP_INHERIT:
		d = descriptor_of(pid, fd);
		if (d && d->kind == DESCRIPTOR_SOCKET)
			share(other, fd, d->id, marks & TABLE_CLOEXEC);
		break;
	case SWEEP_EXEC:
		if (!(marks & TABLE_CLOEXEC))
			break;
		/* fallthrough */
	case SWEEP_CLOSE:
		drop(pid, fd);
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

/* Lists the sockets among a process' descriptors. What it counts with is in memory, which keeps the verifier's states few. */
static __noinline int list_sockets(struct sweep_list *space, __u32 user, __u32 pid)
{
	struct table *t = bpf_map_lookup_elem(&tables, &pid);

	space->found = 0;
	if (!t)
		return 0;
	for (__u32 i = 0; i < TABLE_FDS / 8; i++) {
		if (t->eights[i])
			list_eight(user, pid, i * 8);
	}
	return 0;
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
