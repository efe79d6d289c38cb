/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The members of io_uring's structs that these programs read: see kernel.h. */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct iovec {
	void *iov_base;
};

enum iter_type {
	ITER_UBUF = 0,  /* relocated; one piece of user memory */
	ITER_IOVEC = 1, /* relocated; several */
	ITER_BVEC = 2,  /* relocated; pages */
};

struct iov_iter {
	__u8 iter_type;
	unsigned long iov_offset;  /* in its present piece */
	const struct iovec *__iov; /* the present piece */
	void *ubuf;                /* the only piece */
	unsigned long count;       /* bytes that are left */
	unsigned long nr_segs;     /* pieces that are left */
};

struct msghdr {
	struct iov_iter msg_iter;
};

/* What a request of io_uring needs until it is done. */

struct iou_vec {
	struct iovec *iovec;
};

struct io_async_msghdr { /* to send or receive a message */
	struct iou_vec vec; /* the vector; empty: it is fast_iov */
	struct iovec fast_iov;
	struct msghdr msg;
};

/* Before 6.15. */
struct io_async_msghdr___v6_14 {
	struct iovec *free_iov;
};

struct io_async_rw { /* to read or write a file */
	struct iov_iter iter;
};

struct io_wq_work {};

struct io_kiocb { /* a request */
	struct file *file; /* NULL: it has not begun */
	__u8 opcode;
	struct io_uring_task *tctx; /* of the task that has submitted it */
	void *async_data; /* NULL: it is done */
	struct io_wq_work work;
};

/* Before 6.13. */
struct io_kiocb___v6_12 {
	struct task_struct *task;
};

/* These are where struct io_kiocb begins. */

struct io_sr_msg {
	void *buf;
	int len;
	unsigned int msg_flags;
};

struct io_rw {
	__u64 addr;
};

struct io_worker { /* a thread that does what would block */
	struct io_wq_work *cur_work;
};

#pragma clang attribute pop
