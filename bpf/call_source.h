/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Where the bytes are that a task has transferred: socket mode. */
#pragma once

/* The last byte that the call sends is urgent (MSG_OOB): it is not among those that the other end reads in order. */
static __always_inline bool sends_urgent(const struct call_args *c)
{
	__u64 flags = 0;

	if (c->nr == NR_SENDTO || c->nr == NR_SENDMMSG)
		flags = c->fourth;
	else if (c->nr == NR_SENDMSG)
		flags = c->third;
	return flags & MSG_OOB;
}

/*
 * Finds the bytes that the call under way has transferred: the source of the event_buf, all of which is zero. Its payload is used meanwhile.
 * The kernel's own threads transfer without a call, and io_uring without one or during an unrelated one. A function of its own: on 6.1 the
 * stack of the program that it is in has to leave room for those it calls.
 */
static __noinline bool find_source(struct event_buf *event_buf, struct task_struct *task, struct pt_regs *regs, struct sock *sk,
				   __u32 length)
{
	struct source *from = &event_buf->emission.g.from;
	struct user_message *m = (struct user_message *)event_buf->payload;
	struct call_args c = {};
	int done;

	if ((task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER)) || !SYSCALL_UNDER_WAY(regs))
		return false;
	read_args(&c, task, regs);
	if (sends_urgent(&c))
		return false;
	from->compat = c.compat;
	if (c.nr == NR_SENDMMSG || c.nr == NR_RECVMMSG) {
		done = c.compat ? -1 : messages_done(task); /* no hook sees the exit of a 32-bit program's call */
		if (done < 0 || !from_message(from, m, c.second + done * sizeof(struct user_batch_message)))
			return false;
	} else if (!find_bytes(from, m, c.nr, c.second, c.third, length)) {
		return false;
	}
	return fd_is_sock(task, c.fd, sk);
}

/* Finds the bytes that the task has transferred. */
static __always_inline bool find_transfer(struct event_buf *event_buf, struct task_struct *task, struct pt_regs *regs, struct sock *sk,
					  __u32 length, __u32 direction)
{
	return is_uring_work(task, regs) ? find_in_request(&event_buf->emission.g.from, task, sk, length, direction)
					 : find_source(event_buf, task, regs, sk, length);
}
