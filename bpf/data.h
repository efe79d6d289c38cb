/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The bytes that system calls transfer. The hooks run in the calling task, behind the transfer, with the socket in hand;
 * where the bytes lie in the task's memory its own registers tell.
 */
#pragma once

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
	} else if (s->streams[0].eager || s->streams[1].eager) {
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
	key = bpf_get_smp_processor_id() * DIRECTIONS + direction + (is_backup() ? drafts_backup : 0);
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
	struct telling t = {.g = {.skip = skip, .draft = key}};
	if (want && !find_source(&t.g.from, task, regs, sk, length)) {
		missing |= MISSING_NO_BUFFER;
		count(COUNTER_PAYLOAD_NO_BUFFER);
		want = 0;
	}
	/* The sooner user space says how much of a long run it wants, the less of it is copied in vain. */
	urgent = s->run < URGENT_RUN && s->run + want >= URGENT_RUN;
	s->run += want;
	__u32 shard = shard_of(s->flow.cookie);
	/* In one piece, as most are: without the calls that gathering takes. */
	if (want && !t.g.from.iov && want <= PAYLOAD_MAX) {
		__u32 n = want;
		barrier_var(n); /* else the compiler drops the bound that it knows and the verifier (6.12) does not */
		n = ((n - 1) & (PAYLOAD_MAX - 1)) + 1;
		if (!bpf_probe_read_user(draft->payload, n, (void *)(t.g.from.base + skip))) {
			e->captured = n;
			e->missing = missing;
			tell_data(stream, key, shard, urgent);
			return;
		}
	}
	t.want = want;
	t.missing = missing;
	t.shard = shard;
	t.urgent = urgent;
	tell_call(&t, stream);
}

static __always_inline void on_send(struct sock *sk, int length)
{
	if (claimed_by_primary())
		return;
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
	if (claimed_by_primary() || (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)))
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
