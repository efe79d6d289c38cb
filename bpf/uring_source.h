/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Where the bytes are that io_uring has transferred. The request has what is needed; which one it is has to be certain, so that no
 * other memory is read. From Linux 6.10 on each request that is under way has an iterator, in async_data.
 */
#pragma once

#define URING_PIECES_MAX 64 /* of a vector that one transfer has filled or emptied */

/* Whether the task works for io_uring, and not on a system call that transfers bytes itself. */
static __always_inline bool is_uring_work(const struct task_struct *task, const struct pt_regs *regs)
{
	if (!follow_uring || (task->flags & PF_KTHREAD))
		return false;
	return (task->flags & (PF_IO_WORKER | PF_USER_WORKER)) || !SYSCALL_UNDER_WAY(regs) || SYSCALL_NR(regs) == NR_IO_URING_ENTER;
}

/* What is looked for: the request that has just transferred bytes over a socket. */
struct uring_search {
	__u64 file;  /* of the socket */
	__u64 owner; /* the requests of the task belong to it; 0: whosever */
	__u64 found; /* address of the struct io_kiocb; 0: none */
	__u32 length;
	__u32 direction;
	__u32 several; /* may be it */
	__u32 pad;
};

static __always_inline __u64 uring_owner(const struct io_kiocb *request)
{
	struct io_kiocb___v6_12 *before = (void *)request;

	if (bpf_core_field_exists(request->tctx))
		return (__u64)BPF_CORE_READ(request, tctx);
	return (__u64)BPF_CORE_READ(before, task);
}

/* The first piece of a message's vector. */
static __always_inline __u64 vector_of(struct io_async_msghdr *m)
{
	struct io_async_msghdr___v6_14 *before = (void *)m;
	__u64 vector;

	if (bpf_core_field_exists(before->free_iov))
		vector = (__u64)BPF_CORE_READ(before, free_iov);
	else
		vector = (__u64)BPF_CORE_READ(m, vec.iovec);
	return vector ? vector : (__u64)m + bpf_core_field_offset(struct io_async_msghdr, fast_iov);
}

static __always_inline bool is_iter(__u8 type, enum iter_type want)
{
	return want == ITER_UBUF    ? type == bpf_core_enum_value(enum iter_type, ITER_UBUF)
	       : want == ITER_IOVEC ? type == bpf_core_enum_value(enum iter_type, ITER_IOVEC)
				    : type == bpf_core_enum_value(enum iter_type, ITER_BVEC);
}

/* Whether the iterator of a message stands behind length bytes. That of a request that waits does not, unless it has transferred some before. */
static __always_inline bool has_passed(struct io_kiocb *request, struct io_async_msghdr *m, __u32 length)
{
	__u8 type = BPF_CORE_READ(m, msg.msg_iter.iter_type);
	__u64 offset = BPF_CORE_READ(m, msg.msg_iter.iov_offset);
	struct io_sr_msg *sr = (void *)request;

	if (is_iter(type, ITER_UBUF))
		return offset >= length;
	if (is_iter(type, ITER_IOVEC))
		return offset || (__u64)BPF_CORE_READ(m, msg.msg_iter.__iov) != vector_of(m);
	return BPF_CORE_READ(m, msg.msg_iter.count) + length == (__u32)BPF_CORE_READ(sr, len);
}

/* Looks whether the request at an address may be it. */
SUBPROGRAM int consider_request(struct uring_search *s, __u64 address)
{
	struct io_kiocb *request = (void *)address;
	__u8 operation;

	if (!follow_uring || !s || address == s->found || !is_under_way(address, s->file))
		return 0;
	operation = BPF_CORE_READ(request, opcode);
	if (uring_direction(operation) != s->direction || (s->owner && uring_owner(request) != s->owner))
		return 0;
	if (is_in_set(URING_OF_SOCKETS, operation) && !has_passed(request, BPF_CORE_READ(request, async_data), s->length))
		return 0;
	if (s->found)
		s->several = 1;
	s->found = address;
	return 0;
}

SUBPROGRAM int consider_list(struct uring_search *s, const struct uring_list *list)
{
	if (!follow_uring || !s || !list)
		return 0;
	for (int i = 0; i < URING_LIST; i++)
		consider_request(s, list->requests[i]);
	return 0;
}

/* Goes back from where the iterator of a vector stands. */
static __always_inline bool from_vector(struct source *from, struct io_async_msghdr *m, __u32 length)
{
	__u64 at = (__u64)BPF_CORE_READ(m, msg.msg_iter.__iov), passed = BPF_CORE_READ(m, msg.msg_iter.iov_offset);
	__u64 first = vector_of(m), end;
	struct user_iovec piece = {};

	end = passed ? at + sizeof(piece) : at;
	for (int i = 0; i < URING_PIECES_MAX; i++) {
		if (passed >= length)
			break;
		at -= sizeof(piece);
		if (at < first || bpf_probe_read_kernel(&piece, sizeof(piece), (void *)at))
			return false;
		passed += piece.length;
	}
	if (passed < length || bpf_probe_read_kernel(&piece, sizeof(piece), (void *)at))
		return false;
	passed -= length;
	from->base = piece.base + passed;
	from->length = piece.length - passed;
	at += sizeof(piece);
	if (at < end) {
		from->iov = at;
		from->count = (end - at) / sizeof(piece);
		from->copied = 1;
	}
	return true;
}

static __always_inline bool from_socket_request(struct source *from, struct io_kiocb *request, __u8 operation, __u32 length)
{
	struct io_async_msghdr *m = BPF_CORE_READ(request, async_data);
	struct io_sr_msg *sr = (void *)request;
	__u8 type = BPF_CORE_READ(m, msg.msg_iter.iter_type);

	if (is_in_set(URING_SENDS, operation) && (BPF_CORE_READ(sr, msg_flags) & MSG_OOB)) /* as in sends_urgent */
		return false;
	if (is_iter(type, ITER_IOVEC))
		return from_vector(from, m, length);
	if (is_iter(type, ITER_UBUF))
		from->base = (__u64)BPF_CORE_READ(m, msg.msg_iter.ubuf) + BPF_CORE_READ(m, msg.msg_iter.iov_offset) - length;
	else if (operation == IORING_OP_SEND || operation == IORING_OP_SEND_ZC) /* a registered buffer */
		from->base = (__u64)BPF_CORE_READ(sr, buf);
	from->length = length;
	return from->base;
}

/* The iterator is advanced when the request is done (sock_read_iter in net/socket.c works on a copy). */
static __always_inline bool from_file_request(struct source *from, struct io_kiocb *request, __u8 operation, __u32 length)
{
	struct io_async_rw *rw = BPF_CORE_READ(request, async_data);
	__u8 type = BPF_CORE_READ(rw, iter.iter_type);
	__u64 offset = BPF_CORE_READ(rw, iter.iov_offset);

	if (is_iter(type, ITER_IOVEC)) {
		from->iov = (__u64)BPF_CORE_READ(rw, iter.__iov);
		from->count = BPF_CORE_READ(rw, iter.nr_segs);
		from->copied = 1;
		return !offset;
	}
	if (is_iter(type, ITER_UBUF))
		from->base = (__u64)BPF_CORE_READ(rw, iter.ubuf) + offset;
	else if (operation == IORING_OP_READ_FIXED || operation == IORING_OP_WRITE_FIXED)
		from->base = BPF_CORE_READ((struct io_rw *)request, addr);
	from->length = length;
	return from->base;
}

/* from: zeros. */
SUBPROGRAM int from_request(struct source *from, __u64 address, __u32 length)
{
	struct io_kiocb *request = (void *)address;
	__u8 operation;

	if (!follow_uring || !from)
		return 0;
	operation = BPF_CORE_READ(request, opcode);
	return is_in_set(URING_OF_SOCKETS, operation) ? from_socket_request(from, request, operation, length)
						      : from_file_request(from, request, operation, length);
}

/* A worker has a member that says what it works on. */
static __always_inline void consider_work(struct uring_search *s, const struct task_struct *task)
{
	struct io_worker *worker = task->worker_private;
	__u64 work = (__u64)BPF_CORE_READ(worker, cur_work);

	s->owner = 0;
	if (work)
		consider_request(s, work - bpf_core_field_offset(struct io_kiocb, work));
}

/* Finds the bytes that io_uring has transferred in this task; false: which request it was is not certain. */
static __noinline bool find_in_request(struct source *from, struct task_struct *task, struct sock *sk, __u32 length, __u32 direction)
{
	struct uring_search s = {.file = (__u64)sk->sk_socket->file, .length = length, .direction = direction};
	struct uring_waiting *waiting;
	struct uring_thread *t;

	if (!s.file)
		return false;
	if ((task->flags & PF_IO_WORKER) && task->worker_private) {
		consider_work(&s, task);
	} else {
		s.owner = bpf_core_field_exists(struct io_kiocb, tctx) ? (__u64)task->io_uring : (__u64)task;
		t = uring_thread_of(task->pid);
		if (t && t->tid == task->pid)
			consider_list(&s, &t->last);
		waiting = bpf_map_lookup_elem(&uring_waits, &s.file);
		if (waiting) {
			s.several |= waiting->overflow[direction & 1];
			consider_list(&s, &waiting->lists[direction & 1]);
		}
	}
	return s.found && !s.several && from_request(from, s.found, length);
}
