/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The bytes that calls transfer, in the syscall mode: where they lie the arguments tell, and how many the result. */
#pragma once

static __always_inline bool is_sending(__u32 nr)
{
	return nr == NR_WRITE || nr == NR_WRITEV || nr == NR_SENDTO || nr == NR_SENDMSG || nr == NR_SENDMMSG ||
	       nr == NR_PWRITEV2 || nr == NR_SENDFILE;
}

/* Whether only sockets take the call. */
static __always_inline bool is_of_sockets(__u32 nr)
{
	return nr == NR_SENDTO || nr == NR_SENDMSG || nr == NR_SENDMMSG || nr == NR_RECVFROM || nr == NR_RECVMSG ||
	       nr == NR_RECVMMSG;
}

static __always_inline bool is_vector(__u32 nr)
{
	return nr == NR_READV || nr == NR_WRITEV || nr == NR_PREADV2 || nr == NR_PWRITEV2;
}

/* Keeps the call for its exit if it is about a socket that is followed. A descriptor that is not costs one lookup. */
static __always_inline bool about_socket(struct call *c, __u32 pid, __u32 fd)
{
	struct descriptor *d = descriptor_of(pid, fd);

	if (!d) {
		/* What reads files and has no socket that is known is not asked about: its sockets would be known, by calls or from
		 * before, and there are too many of its kind. */
		if (is_of_sockets(c->nr) || bpf_map_lookup_elem(&tables, &pid))
			ask(pid, fd);
		return false;
	}
	if (d->kind != DESCRIPTOR_SOCKET)
		return false;
	c->id = d->id;
	c->fd = fd;
	return true;
}

static __always_inline void keep(struct call *c)
{
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&calls, &tid, c, BPF_ANY);
}

/* Not static: the verifier then looks at it once, and not again at each call. */
__noinline int fill_of(__u32 draft)
{
	struct scratch *space = scratch(draft / cpus);

	return space ? fill(&space->telling.g) : 0;
}

/* A connection has carried bytes. */
static __noinline int on_stream(struct transfer *t, struct call_socket *s)
{
	__u32 limit = payload_limit, run = payload_run, key, want, skip = 0, direction = t->direction & 1;
	struct stream *stream = &s->streams[direction];
	struct policy *policy;
	__u64 begin, now;
	__u8 missing = 0;

	begin = stream->position;
	stream->position = begin + t->length;
	if (stream->until == UNTIL_NEVER || !follow_data)
		return 0;
	key = (__u32)t->id & policy_mask;
	policy = bpf_map_lookup_elem(&policies, &key);
	if (policy && policy->cookie == t->id) {
		if (policy->until[direction] > stream->until)
			stream->until = policy->until[direction];
		if (stream->until == UNTIL_NEVER)
			return 0;
		limit = policy->limit[direction];
		run = policy->run;
	} else if (s->streams[0].eager || s->streams[1].eager) {
		run = payload_run_eager;
	}
	now = bpf_ktime_get_ns();
	if (stream->position < stream->until) {
		stream->silent = now;
		return 0;
	}
	if (s->task_pid != t->pid) {
		s->task_pid = t->pid;
		introduce(t->pid, shard_of(t->id));
	}
	if (s->direction != direction) {
		s->direction = direction;
		s->run = 0;
	}
	if (begin < stream->until)
		skip = stream->until - begin;
	key = t->user * cpus + bpf_get_smp_processor_id();
	struct draft *draft = bpf_map_lookup_elem(&drafts, &key);
	if (!draft)
		return 0;
	struct data_event *e = &draft->event;
	head(&e->header, EVENT_DATA, t->pid);
	e->header.time = now;
	e->cookie = t->id;
	e->position = begin;
	e->word = 0;
	e->tid = bpf_get_current_pid_tgid();
	e->length = t->length;
	e->skipped = skip;
	e->captured = 0;
	e->direction = direction;
	want = t->length - skip;
	if (want > limit)
		want = limit;
	if (s->run >= run)
		want = 0;
	else if (want > run - s->run)
		want = run - s->run;
	if (want < t->length - skip)
		missing = MISSING_LIMIT;
	if (want && t->unknown) {
		missing |= MISSING_NO_BUFFER;
		count(COUNTER_PAYLOAD_NO_BUFFER);
		want = 0;
	}
	/* Not on the stack: what is there the verifier follows, through every combination of lengths. */
	struct telling *telling = &((struct scratch *)((void *)t - offsetof(struct scratch, transfer)))->telling;
	__builtin_memset(telling, 0, sizeof(*telling));
	telling->g.skip = skip;
	telling->g.draft = key;
	telling->g.from = t->from;
	telling->want = want;
	telling->missing = missing;
	telling->shard = shard_of(t->id);
	telling->urgent = s->run < URGENT_RUN && s->run + want >= URGENT_RUN;
	s->run += want;
	tell_call(telling, stream);
	return 0;
}

/* Not on the stack, where there is little room. */
static const struct datagram_flow no_datagrams = {.closed = 1};

/* A datagram to or from the remote end. */
static __noinline int on_datagram(struct transfer *t, struct call_socket *s, const struct end *remote)
{
	__u32 direction = t->direction & 1;
	struct datagram_key key = {.cookie = t->id, .remote_port = remote->port};
	struct datagram_flow *d;
	struct scratch *space;
	__u64 now = bpf_ktime_get_ns();

	__builtin_memcpy(key.remote, remote->address, ADDRESS_LEN);
	d = bpf_map_lookup_elem(&datagrams, &key);
	if (!d) {
		if (bpf_map_update_elem(&datagrams, &key, &no_datagrams, BPF_ANY))
			return 0;
		d = bpf_map_lookup_elem(&datagrams, &key);
		if (!d)
			return 0;
	}
	if (d->closed) {
		space = scratch(t->user);
		if (!space)
			return 0;
		__builtin_memset(&space->socket, 0, sizeof(space->socket));
		space->socket.flow = s->flow;
		space->socket.flow.cookie = next_id(space, t->user);
		if (!space->socket.flow.family)
			space->socket.flow.family = remote->family;
		__builtin_memcpy(space->socket.flow.remote, remote->address, ADDRESS_LEN);
		space->socket.flow.remote_port = remote->port;
		space->socket.flow.role = direction == DIRECTION_SENT ? ROLE_CLIENT : ROLE_SERVER;
		space->socket.flow.role_source = ROLE_SOURCE_FIRST;
		space->socket.started = now;
		d->flow = space->socket.flow;
		d->owner_pid = t->pid;
		d->started = now;
		d->closed = 0;
		for (int i = 0; i < DIRECTIONS; i++) {
			d->bytes[i] = 0;
			d->datagrams[i] = 0;
		}
		introduce(t->pid, shard_of(d->flow.cookie));
		struct process *owner = process_of(t->pid);
		d->owner_start = owner ? owner->start : 0;
		tell_flow(EVENT_OPEN, &space->socket, t->pid, t->fd, 0);
	}
	d->last = now;
	__sync_fetch_and_add(&d->bytes[direction], t->length);
	d->datagrams[direction]++;
	return 0;
}

/* Who is at the other end of a datagram; name: where that is told, 0: nowhere. */
static __always_inline bool find_remote(struct end *remote, const struct call_socket *s, __u64 name)
{
	read_end(remote, name);
	if (is_inet(remote->family))
		return true;
	if (!(s->known & KNOWN_REMOTE))
		return false; /* nobody wanted to know from whom */
	remote->family = s->flow.family;
	remote->port = s->flow.remote_port;
	__builtin_memcpy(remote->address, s->flow.remote, ADDRESS_LEN);
	return true;
}

/* Bytes were transferred over a socket; name: where its remote end is told, 0: nowhere. Not static, for the verifier. */
__noinline int on_transfer(__u32 user, __u64 name)
{
	struct scratch *space = scratch(user);
	struct call_socket *s = space ? socket_by_id(space->transfer.id) : NULL;
	struct transfer *t;
	struct end remote;

	if (!space || !s)
		return 0;
	t = &space->transfer;
	if (s->flow.transport == TRANSPORT_UDP) {
		if (find_remote(&remote, s, name))
			on_datagram(t, s, &remote);
		return 0;
	}
	if (!s->told)
		open_socket(s, t->pid, t->fd);
	on_stream(t, s);
	return 0;
}

/* What a failed or empty transfer says of the connection. */
static __noinline int on_no_transfer(const struct call *c, __u32 pid, long ret)
{
	struct call_socket *s = socket_by_id(c->id);
	bool sending = is_sending(c->nr);

	if (!s || s->flow.transport == TRANSPORT_UDP)
		return 0;
	if (!ret) {
		/* Nothing was read, though there was room: the other side has finished. */
		if (!sending && (is_vector(c->nr) || c->nr == NR_RECVMSG || c->args[2]) && !s->finished && s->told)
			s->finished = 1 + DIRECTION_RECEIVED;
		return 0;
	}
	if (s->stage == STAGE_CONNECTING) {
		if (s->flow.transport == TRANSPORT_TCP && is_failure(-ret))
			fail_socket(s, pid, c->fd, -ret);
		return 0;
	}
	switch (-ret) {
	case EPIPE:
		if (s->finished == 1 + DIRECTION_SENT)
			break; /* its own doing */
		/* fallthrough */
	case ECONNRESET:
	case ETIMEDOUT:
	case ECONNABORTED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ECONNREFUSED:
		s->error = -ret;
		break;
	}
	return 0;
}

struct control_head {
	__u64 length;
	__s32 level;
	__s32 type;
};

#define SCM_RIGHTS 1

/* How many descriptors a message carries. */
static __always_inline __u32 carried(const struct user_message *m)
{
	struct control_head control;

	if (m->control_length < sizeof(control) + 4 ||
	    bpf_probe_read_user(&control, sizeof(control), (void *)m->control) || control.level != SOL_SOCKET ||
	    control.type != SCM_RIGHTS || control.length < sizeof(control))
		return 0;
	control.length = (control.length - sizeof(control)) / 4;
	return control.length < PASSED_MAX ? control.length : PASSED_MAX;
}

/* Descriptors that are about to be sent: sockets among them are held by the message until somebody takes it. */
static __noinline int on_passed(const struct user_message *m, __u64 socket, __u32 pid)
{
	struct call_socket *s = socket_by_id(socket);
	struct passed *queue;
	__u64 peer = s ? s->peer : 0, now = bpf_ktime_get_ns();
	__u32 n = carried(m);
	__s32 fd;

	if (!n)
		return 0;
	queue = bpf_map_lookup_elem(&passing, &peer);
	if (!queue) {
		struct passed none = {};
		bpf_map_update_elem(&passing, &peer, &none, BPF_NOEXIST);
		queue = bpf_map_lookup_elem(&passing, &peer);
	}
	if (queue && !peer && queue->until < now) /* nobody was seen to take them: they say nothing any more */
		queue->first = queue->count = 0;
	if (queue)
		queue->until = now + PASSED_NS;
	for (__u32 i = 0; i < PASSED_MAX; i++) {
		struct descriptor *d;
		__u64 id = 0;
		if (i >= n || bpf_probe_read_user(&fd, 4, (void *)(m->control + sizeof(struct control_head) + i * 4)))
			break;
		d = descriptor_of(pid, fd);
		if (d && d->kind == DESCRIPTOR_SOCKET)
			id = d->id;
		if (id)
			share(pid, DESCRIPTOR_IN_FLIGHT, id, 0);
		if (queue && queue->count < PASSED_MAX) {
			queue->ids[(queue->first + queue->count) & (PASSED_MAX - 1)] = id;
			queue->count++;
		}
	}
	return 0;
}

/* They were not sent. */
static __noinline int on_not_passed(const struct call *c, __u32 pid)
{
	struct call_socket *s = socket_by_id(c->id);
	struct user_message m;
	struct passed *queue;
	__u64 peer = s ? s->peer : 0;
	__u32 n;
	__s32 fd;

	if (bpf_probe_read_user(&m, sizeof(m), (void *)c->args[1]) || !m.control)
		return 0;
	n = carried(&m);
	queue = bpf_map_lookup_elem(&passing, &peer);
	if (queue)
		queue->count = queue->count > n ? queue->count - n : 0;
	for (__u32 i = 0; i < PASSED_MAX; i++) {
		struct descriptor *d;
		if (i >= n || bpf_probe_read_user(&fd, 4, (void *)(m.control + sizeof(struct control_head) + i * 4)))
			break;
		d = descriptor_of(pid, fd);
		s = d && d->kind == DESCRIPTOR_SOCKET ? socket_by_id(d->id) : NULL;
		if (s && (s->told || s->stage != STAGE_LISTENING))
			tell_close(s, s->owner_pid); /* of the hold */
	}
	return 0;
}

/* Descriptors received: either it is known which sockets were sent, or user space looks. */
static __noinline int on_taken(const struct user_message *m, const struct call *c, __u32 pid)
{
	struct passed *queue;
	__u64 key = c->id;
	__u32 n = carried(m);

	if (!n)
		return 0;
	queue = key ? bpf_map_lookup_elem(&passing, &key) : NULL;
	if (!queue) {
		/* By whom it was sent is not known. If there is but one message under way, it is that. */
		key = 0;
		queue = bpf_map_lookup_elem(&passing, &key);
		if (queue && (queue->count != n || queue->until < bpf_ktime_get_ns()))
			queue = NULL;
	}
	for (__u32 i = 0; i < PASSED_MAX; i++) {
		__s32 fd;
		if (i >= n || bpf_probe_read_user(&fd, 4, (void *)(m->control + sizeof(struct control_head) + i * 4)))
			break;
		if (!queue || !queue->count) {
			drop(pid, fd);
			ask(pid, fd);
			continue;
		}
		__u64 id = queue->ids[queue->first & (PASSED_MAX - 1)];
		queue->first++;
		queue->count--;
		if (id)
			lead(pid, fd, id, 0); /* the message's hold becomes the descriptor's */
		else
			lead_elsewhere(pid, fd);
	}
	return 0;
}

/* Not static, for the verifier: what was put into the scratch has been transferred over a connection. */
__noinline int on_stream_of(__u32 user)
{
	struct scratch *space = scratch(user);
	struct call_socket *s = space ? socket_by_id(space->transfer.id) : NULL;

	return space && s ? on_stream(&space->transfer, s) : 0;
}

/* A message of sendmmsg or recvmmsg. Not static, for the verifier. */
__noinline int on_batch_message(__u32 user, __u64 address)
{
	struct scratch *space = scratch(user);
	struct call_socket *s = space ? socket_by_id(space->transfer.id) : NULL;
	struct user_batch_message b;
	struct transfer *t;
	struct end remote;

	if (!space || !s || bpf_probe_read_user(&b, sizeof(b), (void *)address) || !b.length)
		return 0;
	t = &space->transfer;
	t->length = b.length;
	t->from.iov = b.message.iov;
	t->from.count = b.message.iov_length;
	t->from.base = t->from.length = 0;
	if (s->flow.transport != TRANSPORT_UDP)
		on_stream(t, s);
	else if (find_remote(&remote, s, b.message.name))
		on_datagram(t, s, &remote);
	return 0;
}

/* Looking is not receiving; errors and urgent bytes are no part of the stream. */
static __always_inline bool is_looking(const struct call *c)
{
	__u64 flags = 0;

	if (c->nr == NR_RECVFROM || c->nr == NR_RECVMMSG)
		flags = c->args[3];
	else if (c->nr == NR_RECVMSG)
		flags = c->args[2];
	return flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE);
}

static __always_inline struct transfer *begin_transfer(struct scratch *space, __u32 user, const struct call *c, __u32 pid,
						       __u32 length)
{
	struct transfer *t = &space->transfer;

	__builtin_memset(t, 0, sizeof(*t));
	t->user = user;
	t->id = c->id;
	t->length = length;
	t->pid = pid;
	t->fd = c->fd;
	return t;
}

static __noinline int on_transfer_exit(__u32 user, const struct call *c, __u32 pid, long ret)
{
	struct scratch *space = scratch(user);
	struct transfer *t;
	struct user_message m = {};
	__u64 name = 0;

	if (!space || is_looking(c))
		return 0;
	t = begin_transfer(space, user, c, pid, ret);
	if (ret <= 0) {
		on_no_transfer(c, pid, ret);
		if (c->nr == NR_SENDMSG)
			on_not_passed(c, pid);
		return 0;
	}
	t->direction = is_sending(c->nr) ? DIRECTION_SENT : DIRECTION_RECEIVED;
	switch (c->nr) {
	case NR_SENDMSG:
	case NR_RECVMSG:
		if (bpf_probe_read_user(&m, sizeof(m), (void *)c->args[1]))
			t->unknown = 1;
		t->from.iov = m.iov;
		t->from.count = m.iov_length;
		name = m.name;
		break;
	case NR_SENDFILE:
	case NR_SPLICE:
		t->unknown = 1;
		if (c->nr == NR_SPLICE && c->fd == (__u32)c->args[2])
			t->direction = DIRECTION_SENT;
		break;
	case NR_SENDTO:
	case NR_RECVFROM:
		name = c->args[4];
		/* fallthrough */
	case NR_READ:
	case NR_WRITE:
		t->from.base = c->args[1];
		t->from.length = ret;
		break;
	default:
		t->from.iov = c->args[1];
		t->from.count = c->args[2];
	}
	on_transfer(user, name);
	if (m.control && c->nr == NR_RECVMSG)
		on_taken(&m, c, pid);
	return 0;
}

/* sendmmsg and recvmmsg return the number of messages. Inline: a chain of calls has eight links at the most. */
static __always_inline int on_batch_exit(__u32 user, const struct call *c, __u32 pid, long ret)
{
	struct scratch *space = scratch(user);
	struct transfer *t;
	struct call_socket *s;

	if (!space || is_looking(c))
		return 0;
	t = begin_transfer(space, user, c, pid, 0);
	if (ret <= 0) {
		on_no_transfer(c, pid, ret);
		return 0;
	}
	s = socket_by_id(t->id);
	if (!s)
		return 0;
	t->direction = is_sending(c->nr) ? DIRECTION_SENT : DIRECTION_RECEIVED;
	if (s->flow.transport == TRANSPORT_UDP) {
		for (__u32 i = 0; i < BATCH_MAX && i < ret; i++)
			on_batch_message(user, c->args[1] + i * sizeof(struct user_batch_message));
		return 0;
	}
	if (!s->told)
		open_socket(s, pid, t->fd);
	for (__u32 i = 0; i < BATCH_STREAM_MAX && i < ret; i++)
		on_batch_message(user, c->args[1] + i * sizeof(struct user_batch_message));
	t->length = 0;
	for (__u32 i = BATCH_STREAM_MAX; i < BATCH_REST_MAX && i < ret; i++) {
		__u32 length = 0;
		bpf_probe_read_user(&length, sizeof(length), (void *)(c->args[1] + i * sizeof(struct user_batch_message) +
								      sizeof(struct user_message)));
		t->length += length;
	}
	t->unknown = 1;
	if (t->length)
		on_stream_of(user);
	return 0;
}
