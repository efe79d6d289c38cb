/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The bytes that system calls transfer. The hooks run in the calling task, behind the transfer, with the socket in hand;
 * where the bytes lie in the task's memory its own registers tell.
 */
#pragma once

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

#define HEAD_MAX 2048      /* bytes of a call that are captured even when the ring buffer is crowded */
#define URGENT_RUN 65536   /* bytes of a run that wake user space */
#define IOV_PARTS_MAX 128 /* pieces of memory that the bytes of a call are gathered from */

/* Where the bytes of a call are. */
struct source {
	__u64 iov;    /* of the rest; 0: there is none */
	__u64 count;  /* of iovecs there */
	__u64 base;   /* of the present piece */
	__u64 length; /* of the present piece */
};

/* Whether the descriptor names the socket, and not what the call was made for led to another one (a network file system). */
static __always_inline bool names(struct task_struct *task, __u32 fd, struct sock *sk)
{
	struct fdtable *table = task->files->fdt;
	struct file *file = NULL;

	if (fd >= table->max_fds)
		return false;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file && file == sk->sk_socket->file;
}

static __always_inline bool from_message(struct source *from, __u64 address)
{
	struct user_message message;

	if (bpf_probe_read_user(&message, sizeof(message), (void *)address))
		return false;
	from->iov = message.iov;
	from->count = message.iov_length;
	from->base = 0;
	from->length = 0;
	return true;
}

/*
 * Finds the bytes that the call under way has transferred. io_uring and the kernel's own threads transfer without a call,
 * or on top of one that is about something else.
 */
static __always_inline bool find_source(struct source *from, struct task_struct *task, struct pt_regs *regs, struct sock *sk,
					__u32 length)
{
	int done;

	if ((task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER)) || !SYSCALL_UNDER_WAY(regs))
		return false;
	switch (SYSCALL_NR(regs)) {
	case NR_READ:
	case NR_WRITE:
	case NR_SENDTO:
	case NR_RECVFROM:
		from->iov = 0;
		from->count = 0;
		from->base = SYSCALL_ARG2(regs);
		from->length = length;
		break;
	case NR_READV:
	case NR_WRITEV:
	case NR_PREADV2:
	case NR_PWRITEV2:
		from->iov = SYSCALL_ARG2(regs);
		from->count = SYSCALL_ARG3(regs);
		from->base = 0;
		from->length = 0;
		break;
	case NR_SENDMSG:
	case NR_RECVMSG:
		if (!from_message(from, SYSCALL_ARG2(regs)))
			return false;
		break;
	case NR_SENDMMSG:
	case NR_RECVMMSG:
		done = messages_done(task);
		if (done < 0 || !from_message(from, SYSCALL_ARG2(regs) + done * sizeof(struct user_batch_message)))
			return false;
		break;
	default:
		return false;
	}
	return names(task, SYSCALL_ARG1(regs), sk);
}

struct gathering {
	struct source from;
	__u64 skip; /* bytes at the beginning that are not wanted */
	__u32 want;
	__u32 used;
	__u32 draft; /* which one */
	__u32 fault;
};

/* One more piece; 0: there is nothing more to do. */
__noinline int gather(struct gathering *g)
{
	struct user_iovec iovec;
	struct draft *draft;
	__u32 key, used, n;

	if (!g)
		return 0;
	key = g->draft;
	used = g->used;
	if (used >= g->want || used >= PAYLOAD_MAX)
		return 0;
	if (!g->from.length) {
		if (!g->from.count)
			return 0;
		if (bpf_probe_read_user(&iovec, sizeof(iovec), (void *)g->from.iov)) {
			g->fault = 1;
			return 0;
		}
		g->from.iov += sizeof(iovec);
		g->from.count--;
		g->from.base = iovec.base;
		g->from.length = iovec.length;
	}
	if (g->skip) {
		__u64 skip = g->skip < g->from.length ? g->skip : g->from.length;
		g->skip -= skip;
		g->from.base += skip;
		g->from.length -= skip;
	}
	n = g->want - used;
	if (n > g->from.length)
		n = g->from.length;
	if (!n)
		return 1;
	if (n > PART_MAX)
		n = PART_MAX;
	draft = bpf_map_lookup_elem(&drafts, &key);
	if (!draft)
		return 0;
	if (bpf_probe_read_user(draft->payload + used, n, (void *)g->from.base)) {
		g->fault = 1;
		return 0;
	}
	g->from.base += n;
	g->from.length -= n;
	g->used = used + n;
	return 1;
}

/* Copies what is wanted of the call's next bytes into the draft. */
__noinline int fill(struct gathering *g)
{
	for (int i = 0; i < IOV_PARTS_MAX; i++) {
		if (!gather(g))
			break;
	}
	return 0;
}

/*
 * Advances a TCP direction to where the socket says that it is, and returns where the call's bytes began. That finds
 * bytes that were transferred behind our back (a splice from the socket). Two threads that use one direction at the
 * same time and without a lock of their own may both see the end of the later transfer.
 */
static __always_inline __u64 advance(struct stream *stream, __u32 sequence, __u32 length)
{
	stream->position = position_at(stream, sequence);
	return stream->position - length;
}

/* The task is another one than before: its shard is to know it, and it may be left out. */
static __always_inline bool enters(struct socket_state *s, struct task_struct *task)
{
	struct owner owner;
	struct process *known = current_owner(&owner);

	s->task_pid = owner.pid;
	if (excluded_pid && owner.pid == excluded_pid)
		return false;
	if (left_out(&owner, s->flow.local_port, s->flow.remote_port))
		return false;
	introduce(&owner, known, shard_of(s->flow.cookie));
	return true;
}

/*
 * Writes the draft into its ring buffer. Global to the verifier, like gather and fill: verified once, not once for each piece
 * of a call and whatever led to it.
 */
__noinline int tell_data(struct stream *stream, __u32 key, __u32 shard, __u32 urgent)
{
	struct draft *draft = bpf_map_lookup_elem(&drafts, &key);
	void *ring = bpf_map_lookup_elem(&rings, &shard);

	if (!draft || !ring || !stream)
		return 0;
	__u64 size = sizeof(draft->event) + draft->event.captured;
	__u64 before = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	draft->event.silent = stream->silent;
	draft->event.missed = stream->missed;
	/* A part of the ring buffer is for events and heads: bulk must not cost others theirs. */
	if (draft->event.captured > HEAD_MAX && before > crowded_bytes) {
		count(COUNTER_PAYLOAD_RING_FULL);
		draft->event.captured = HEAD_MAX;
		draft->event.missing |= MISSING_RING_FULL;
		size = sizeof(draft->event) + HEAD_MAX;
	}
	if (size > sizeof(struct draft))
		return 0;
	if (bpf_ringbuf_output(ring, draft, size, urgent ? BPF_RB_FORCE_WAKEUP : wake_up(before, size))) {
		/* That bytes passed may still be told. */
		if (draft->event.captured)
			count(COUNTER_PAYLOAD_RING_FULL);
		draft->event.captured = 0;
		draft->event.missing |= MISSING_RING_FULL;
		if (bpf_ringbuf_output(ring, draft, sizeof(draft->event), BPF_RB_FORCE_WAKEUP)) {
			count(COUNTER_RING_FULL + EVENT_DATA);
			stream->missed |= MISSING_RING_FULL;
			return 0;
		}
	}
	count(COUNTER_EVENTS + EVENT_DATA);
	stream->missed = 0;
	stream->silent = 0;
	return 0;
}

/* Tells of a call's bytes in as many events as it takes. */
static __always_inline void tell_call(struct draft *draft, struct gathering *g, __u32 want, __u8 missing, __u32 shard,
				      struct stream *stream, bool urgent)
{
	struct data_event *e = &draft->event;
	__u32 key = g->draft;

	for (int i = 0; i < PIECES_MAX; i++) {
		__u32 left = e->length - e->skipped;

		g->used = 0;
		g->want = want < PAYLOAD_MAX ? want : PAYLOAD_MAX;
		if (g->want)
			fill(g);
		if (g->fault) {
			count(COUNTER_PAYLOAD_FAULT);
			missing |= MISSING_FAULT;
		}
		want -= g->used;
		e->captured = g->used;
		if (!g->used || !want || g->fault || i == PIECES_MAX - 1) {
			e->missing = g->used < left ? missing ? missing : MISSING_LIMIT : 0;
			tell_data(stream, key, shard, urgent);
			return;
		}
		e->missing = 0;
		e->length = e->skipped + g->used;
		tell_data(stream, key, shard, urgent);
		e->position += e->length;
		e->length = left - g->used;
		e->skipped = 0;
	}
}

static __always_inline bool begins_eagerly(const struct draft *draft)
{
	const __u64 *begin = (const __u64 *)draft->payload;

	for (int i = 0; i < PREFIXES_MAX; i++) {
		__u64 first = eager_prefixes[i].bytes[0];
		if (first && begin[0] == first && begin[1] == eager_prefixes[i].bytes[1])
			return true;
	}
	return false;
}

static __always_inline void on_transfer(struct sock *sk, int length, __u32 direction)
{
	__u32 limit = payload_limit, run = payload_run, key, want, skip = 0;
	struct socket_state *s;
	struct stream *stream;
	struct policy *policy;
	struct tcp_sock *tp;
	__u64 begin, now;
	bool is_unix = false, urgent = false;

	if (length <= 0)
		return;
	if (sk->sk_protocol == IPPROTO_TCP) {
		if (!follow_data)
			return;
		s = bpf_sk_storage_get(&sockets, sk, 0, 0);
		if (!s || !s->flow.role_source)
			return;
	} else if (follow_unix && sk->__sk_common.skc_family == AF_UNIX && sk->sk_type == SOCK_STREAM) {
		is_unix = true;
		s = unix_state(sk);
		if (!s)
			return;
	} else {
		return;
	}
	if (s->ignored)
		return;
	stream = &s->streams[direction];
	if (is_unix)
		stream->position += length;
	if (stream->until == UNTIL_NEVER || !follow_data)
		return;
	key = (__u32)s->flow.cookie & policy_mask;
	policy = bpf_map_lookup_elem(&policies, &key);
	if (policy && policy->cookie == s->flow.cookie) {
		if (policy->until[direction] > stream->until)
			stream->until = policy->until[direction];
		if (stream->until == UNTIL_NEVER)
			return;
		limit = policy->limit[direction];
		run = policy->run;
	} else if (s->eager) {
		run = payload_run_eager;
	}
	if (is_unix) {
		begin = stream->position - length;
	} else {
		tp = bpf_skc_to_tcp_sock(sk);
		if (!tp)
			return;
		begin = advance(stream, direction == DIRECTION_SENT ? tp->write_seq : received_sequence(sk, tp), length);
	}
	now = bpf_ktime_get_ns();
	if (stream->position < stream->until) {
		stream->silent = now;
		return;
	}

	struct task_struct *task = bpf_get_current_task_btf();
	if (s->task_pid != task->tgid && !enters(s, task)) {
		s->ignored = 1;
		count(COUNTER_IGNORED);
		return;
	}
	if (s->direction != direction) {
		s->direction = direction;
		s->run = 0;
	}
	if (begin < stream->until)
		skip = stream->until - begin;
	key = bpf_get_smp_processor_id() * DIRECTIONS + direction;
	struct draft *draft = bpf_map_lookup_elem(&drafts, &key);
	if (!draft)
		return;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct data_event *e = &draft->event;
	e->header.kind = EVENT_DATA;
	e->header.pid = task->tgid;
	e->header.time = now;
	e->header.start = task->group_leader->start_boottime;
	e->cookie = s->flow.cookie;
	e->position = begin;
	e->word = GO_WORD(regs);
	e->tid = task->pid;
	e->length = length;
	e->skipped = skip;
	e->captured = 0;
	e->direction = direction;

	__u8 missing = 0;
	want = length - skip;
	if (want > limit)
		want = limit;
	if (s->run >= run)
		want = 0;
	else if (want > run - s->run)
		want = run - s->run;
	if (want < length - skip)
		missing = MISSING_LIMIT;
	struct gathering g = {.skip = skip, .draft = key};
	if (want && !find_source(&g.from, task, regs, sk, length)) {
		missing |= MISSING_NO_BUFFER;
		count(COUNTER_PAYLOAD_NO_BUFFER);
		want = 0;
	}
	/* The sooner user space says how much of a long run it wants, the less of it is copied in vain. */
	urgent = s->run < URGENT_RUN && s->run + want >= URGENT_RUN;
	s->run += want;
	__u32 shard = shard_of(s->flow.cookie);
	/* In one piece, as most are: without the calls that gathering takes. */
	if (want && !g.from.iov && want <= PAYLOAD_MAX) {
		__u32 n = want;
		barrier_var(n); /* else the compiler drops the bound that it knows and the verifier (6.12) does not */
		n = ((n - 1) & (PAYLOAD_MAX - 1)) + 1;
		if (!bpf_probe_read_user(draft->payload, n, (void *)(g.from.base + skip))) {
			e->captured = n;
			e->missing = missing;
			if (!begin && n >= PREFIX_LEN)
				s->eager = begins_eagerly(draft);
			tell_data(stream, key, shard, urgent);
			return;
		}
	}
	tell_call(draft, &g, want, missing, shard, stream, urgent);
	if (!begin && g.used >= PREFIX_LEN)
		s->eager = begins_eagerly(draft);
}

static __always_inline void on_send(struct sock *sk, int length)
{
	if (sk->sk_protocol == IPPROTO_UDP) {
		if (follow_udp && length > 0)
			on_datagram(sk, length, DIRECTION_SENT);
		return;
	}
	on_transfer(sk, length, DIRECTION_SENT);
}

/* Looking is not receiving; errors and urgent bytes are no part of the stream; what TCP drops for MSG_TRUNC is in no buffer. */
static __always_inline void on_receive(struct sock *sk, int length, int flags)
{
	if (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return;
	if (sk->sk_protocol == IPPROTO_UDP) {
		if (follow_udp && length > 0)
			on_datagram(sk, length, DIRECTION_RECEIVED);
		return;
	}
	if ((flags & MSG_TRUNC) && sk->sk_protocol == IPPROTO_TCP)
		return;
	if (!length && follow_unix && sk->__sk_common.skc_family == AF_UNIX) {
		on_unix_end(sk);
		return;
	}
	on_transfer(sk, length, DIRECTION_RECEIVED);
}
