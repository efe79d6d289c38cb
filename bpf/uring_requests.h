/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The requests of io_uring that may transfer bytes over a socket next. Nothing in a task says which of them it is working on, so they are
 * remembered when they are submitted, and when they begin to wait for their socket.
 */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 uring_threads_mask = 0; /* slots of uring_threads - 1 */

#define URING_LIST 8 /* a power of two */

/* include/uapi/linux/io_uring.h, enum io_uring_op; bits of the sets below. */
enum uring_operation {
	IORING_OP_READV = 1,
	IORING_OP_WRITEV = 2,
	IORING_OP_READ_FIXED = 4,
	IORING_OP_WRITE_FIXED = 5,
	IORING_OP_SENDMSG = 9,
	IORING_OP_RECVMSG = 10,
	IORING_OP_READ = 22,
	IORING_OP_WRITE = 23,
	IORING_OP_SEND = 26,
	IORING_OP_RECV = 27,
	IORING_OP_SEND_ZC = 47,
	IORING_OP_SENDMSG_ZC = 48,
	IORING_OP_READ_MULTISHOT = 49,
	IORING_OP_READV_FIXED = 60,
	IORING_OP_WRITEV_FIXED = 61,
};

#define URING_SET(operation) (1ull << (operation))
#define URING_RECEIVES \
	(URING_SET(IORING_OP_READV) | URING_SET(IORING_OP_READ_FIXED) | URING_SET(IORING_OP_RECVMSG) | URING_SET(IORING_OP_READ) | \
	 URING_SET(IORING_OP_RECV) | URING_SET(IORING_OP_READ_MULTISHOT) | URING_SET(IORING_OP_READV_FIXED))
#define URING_SENDS \
	(URING_SET(IORING_OP_WRITEV) | URING_SET(IORING_OP_WRITE_FIXED) | URING_SET(IORING_OP_SENDMSG) | URING_SET(IORING_OP_WRITE) | \
	 URING_SET(IORING_OP_SEND) | URING_SET(IORING_OP_SEND_ZC) | URING_SET(IORING_OP_SENDMSG_ZC) | URING_SET(IORING_OP_WRITEV_FIXED))
/* Those that only sockets take. The others are also about files. */
#define URING_OF_SOCKETS \
	(URING_SET(IORING_OP_SENDMSG) | URING_SET(IORING_OP_RECVMSG) | URING_SET(IORING_OP_SEND) | URING_SET(IORING_OP_RECV) | \
	 URING_SET(IORING_OP_SEND_ZC) | URING_SET(IORING_OP_SENDMSG_ZC))

static __always_inline bool is_in_set(__u64 set, __u8 operation)
{
	return operation < 64 && set >> operation & 1;
}

/* enum direction; DIRECTIONS: it transfers nothing. */
static __always_inline __u32 uring_direction(__u8 operation)
{
	if (is_in_set(URING_SENDS, operation))
		return DIRECTION_SENT;
	return is_in_set(URING_RECEIVES, operation) ? DIRECTION_RECEIVED : DIRECTIONS;
}

/* Addresses of struct io_kiocb, which may be done meanwhile. */
struct uring_list {
	__u64 requests[URING_LIST];
};

/* What a thread has submitted last. A request that can be done at once is done by that thread. */
struct uring_thread {
	__u32 tid;
	__u32 next; /* in the list, modulo its length */
	struct uring_list last;
};

/* By thread. Of threads that take each other's slot less is known. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, struct uring_thread);
} uring_threads SEC(".maps");

#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* What has been found to have to wait for a socket. */
struct uring_waiting {
	struct uring_list lists[DIRECTIONS];
	__u32 overflow[DIRECTIONS]; /* there were more than there is room for: not all are known */
};

/* By the address of the socket's file. What has given way is seen again when it goes on. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u64);
	__type(value, struct uring_waiting);
} uring_waits SEC(".maps");

static const struct uring_waiting nothing_waits = {};

static __always_inline struct uring_thread *uring_thread_of(__u32 tid)
{
	__u32 key = tid & uring_threads_mask;

	return bpf_map_lookup_elem(&uring_threads, &key);
}

static __always_inline void on_uring_submit(struct io_kiocb *request)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct uring_thread *t;

	if (uring_direction(request->opcode) == DIRECTIONS)
		return;
	t = uring_thread_of(tid);
	if (!t)
		return;
	if (t->tid != tid) {
		__builtin_memset(t, 0, sizeof(*t));
		t->tid = tid;
	}
	t->last.requests[t->next++ & (URING_LIST - 1)] = (__u64)request;
}

/* Whether the request at an address is under way, and about the file. What was there may be another request now, or none. */
static __always_inline bool is_under_way(__u64 address, __u64 file)
{
	struct io_kiocb *request = (void *)address;

	return address && (__u64)BPF_CORE_READ(request, file) == file && BPF_CORE_READ(request, async_data);
}

/* A request that waits. */
struct uring_waiter {
	__u64 request; /* address of the struct io_kiocb */
	__u64 file;
	__u64 direction;
};

/* Takes the place of one that is done. */
SUBPROGRAM int note_waiting(struct uring_waiting *w, const struct uring_waiter *waiter)
{
	struct uring_list *list;
	__u32 direction;

	if (!follow_uring || !w || !waiter)
		return 0;
	direction = waiter->direction & 1;
	list = &w->lists[direction];
	for (int i = 0; i < URING_LIST; i++) {
		if (list->requests[i] == waiter->request)
			return 0;
	}
	for (int i = 0; i < URING_LIST; i++) {
		if (!is_under_way(list->requests[i], waiter->file)) {
			list->requests[i] = waiter->request;
			return 0;
		}
	}
	w->overflow[direction] = 1;
	return 0;
}

/* A request waits for its socket, or has waited and goes on: of one that is older than the programs only that is seen. */
static __always_inline void on_uring_wait(struct io_kiocb *request)
{
	struct file *file = request->file;
	struct uring_waiter waiter = {
		.request = (__u64)request, .file = (__u64)file, .direction = uring_direction(request->opcode),
	};
	struct uring_waiting *w;

	if (waiter.direction == DIRECTIONS || !file || (file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return;
	w = bpf_map_lookup_elem(&uring_waits, &waiter.file);
	if (!w) {
		bpf_map_update_elem(&uring_waits, &waiter.file, &nothing_waits, BPF_NOEXIST);
		w = bpf_map_lookup_elem(&uring_waits, &waiter.file);
	}
	if (w)
		note_waiting(w, &waiter);
}
