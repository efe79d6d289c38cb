// A way has three names: how requests are submitted (plain, async, sqpoll, defer, files), how is received (recv, read, readv, recvmsg,
// fixed, provided, multishot), and how is sent (send, send_zc, write, writev, sendmsg, fixed, linked).
//
// A thread has a ring for what it receives, and one for what it sends: receiving may wait while something is sent.
#define _GNU_SOURCE
#include "uring.h"

#include "common.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { RECEIVING, SENDING, BOUNCE = 4096, GROUP = 7, GIVEN = 8, GIVEN_SIZE = 512 };

// side is a ring of a thread.
struct side {
	struct io_uring ring;
	int ready, file; // file: the one that is registered
	char *bounce;    // a registered buffer
};

static _Thread_local struct side sides[2];

// The buffers that the kernel picks from, and what of them has been received and not been asked for.
static _Thread_local struct {
	struct io_uring_buf_ring *ring;
	char buffers[GIVEN][GIVEN_SIZE];
	int armed, id;
	const char *rest;
	size_t left;
} given;

static struct {
	char setup[16], receive[16], send[16];
} way;

void uring_use(const char *name)
{
	errno = EINVAL;
	check(sscanf(name, "%15[^/]/%15[^/]/%15s", way.setup, way.receive, way.send) == 3, name);
}

static int is(const char *value, const char *name)
{
	return !strcmp(value, name);
}

static void ok(int result, const char *what)
{
	if (result < 0) {
		errno = -result;
		check(0, what);
	}
}

static struct side *side_of(int which, int fd)
{
	struct side *s = &sides[which];
	if (!s->ready) {
		struct io_uring_params p = {0};
		if (is(way.setup, "sqpoll"))
			p.flags = IORING_SETUP_SQPOLL, p.sq_thread_idle = 20; // milliseconds
		if (is(way.setup, "defer"))
			p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
		ok(io_uring_queue_init_params(64, &s->ring, &p), "io_uring_setup");
		s->bounce = aligned_alloc(BOUNCE, BOUNCE);
		struct iovec v = {s->bounce, BOUNCE};
		ok(io_uring_register_buffers(&s->ring, &v, 1), "register buffers");
		s->file = -1;
		ok(io_uring_register_files(&s->ring, &s->file, 1), "register files");
		s->ready = 1;
	}
	if (is(way.setup, "files") && s->file != fd) {
		ok(io_uring_register_files_update(&s->ring, 0, &fd, 1), "register a file");
		s->file = fd;
	}
	return s;
}

static struct io_uring_sqe *next_request(struct side *s)
{
	struct io_uring_sqe *request = io_uring_get_sqe(&s->ring);
	errno = EBUSY;
	check(request != NULL, "io_uring_get_sqe");
	return request;
}

// target is what a request has in the place of the descriptor; finish_request is called once the request is prepared.
static int target(int fd)
{
	return is(way.setup, "files") ? 0 : fd;
}

static void finish_request(struct io_uring_sqe *request)
{
	if (is(way.setup, "files"))
		request->flags |= IOSQE_FIXED_FILE;
	if (is(way.setup, "async"))
		request->flags |= IOSQE_ASYNC;
}

// result waits for one result, and for the notification that may follow it.
static int result(struct side *s, unsigned *flags)
{
	struct io_uring_cqe *done;
	int value = 0, more;
	*flags = 0;
	do {
		int e;
		while ((e = io_uring_wait_cqe(&s->ring, &done)) == -EINTR) {
		}
		ok(e, "io_uring_wait_cqe");
		if (!(done->flags & IORING_CQE_F_NOTIF)) {
			value = done->res;
			*flags = done->flags;
		}
		more = s == &sides[SENDING] && done->flags & IORING_CQE_F_MORE;
		io_uring_cqe_seen(&s->ring, done);
	} while (more);
	return value;
}

static ssize_t as_call(int value)
{
	if (value >= 0)
		return value;
	errno = -value;
	return -1;
}

static void give(int id)
{
	io_uring_buf_ring_add(given.ring, given.buffers[id], GIVEN_SIZE, id, io_uring_buf_ring_mask(GIVEN), 0);
	io_uring_buf_ring_advance(given.ring, 1);
}

static void give_buffers(struct side *s)
{
	given.ring = aligned_alloc(4096, 4096);
	memset(given.ring, 0, 4096);
	struct io_uring_buf_reg r = {.ring_addr = (unsigned long)given.ring, .ring_entries = GIVEN, .bgid = GROUP};
	ok(io_uring_register_buf_ring(&s->ring, &r, 0), "register a buffer ring");
	io_uring_buf_ring_init(given.ring);
	for (int i = 0; i < GIVEN; i++)
		give(i);
}

// The kernel picks the buffer when there is something to be received.
static ssize_t receive_given(struct side *s, int fd, char *buffer, size_t size, int multishot)
{
	unsigned flags;
	if (!given.ring)
		give_buffers(s);
	while (!given.left) {
		if (!given.armed) {
			struct io_uring_sqe *request = next_request(s);
			if (multishot)
				io_uring_prep_recv_multishot(request, target(fd), NULL, 0, 0);
			else
				io_uring_prep_recv(request, target(fd), NULL, GIVEN_SIZE, 0);
			request->flags |= IOSQE_BUFFER_SELECT;
			request->buf_group = GROUP;
			finish_request(request);
			ok(io_uring_submit(&s->ring), "io_uring_submit");
			given.armed = 1;
		}
		int n = result(s, &flags);
		given.armed = !!(flags & IORING_CQE_F_MORE);
		if (n == -ENOBUFS)
			continue;
		if (n <= 0)
			return as_call(n);
		given.id = flags >> IORING_CQE_BUFFER_SHIFT;
		given.rest = given.buffers[given.id];
		given.left = n;
	}
	size_t n = given.left < size ? given.left : size;
	memcpy(buffer, given.rest, n);
	given.rest += n;
	given.left -= n;
	if (!given.left)
		give(given.id);
	return n;
}

ssize_t uring_receive(int fd, char *buffer, size_t size)
{
	struct side *s = side_of(RECEIVING, fd);
	if (is(way.receive, "provided") || is(way.receive, "multishot"))
		return receive_given(s, fd, buffer, size, is(way.receive, "multishot"));
	size_t first = size < 5 ? size : 5;
	struct iovec v[2] = {{buffer, first}, {buffer + first, size - first}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	struct io_uring_sqe *request = next_request(s);
	unsigned flags;
	if (is(way.receive, "recv"))
		io_uring_prep_recv(request, target(fd), buffer, size, 0);
	else if (is(way.receive, "read"))
		io_uring_prep_read(request, target(fd), buffer, size, 0);
	else if (is(way.receive, "readv"))
		io_uring_prep_readv(request, target(fd), v, 2, 0);
	else if (is(way.receive, "recvmsg"))
		io_uring_prep_recvmsg(request, target(fd), &m, 0);
	else if (is(way.receive, "fixed"))
		io_uring_prep_read_fixed(request, target(fd), s->bounce, size < BOUNCE ? size : BOUNCE, 0, 0);
	else
		check(0, way.receive);
	finish_request(request);
	ok(io_uring_submit(&s->ring), "io_uring_submit");
	if (!is(way.setup, "sqpoll"))
		memset(v, 0, sizeof(v)); // the kernel has its own copy: io_uring_prep_readv(3)
	int n = result(s, &flags);
	if (n > 0 && is(way.receive, "fixed"))
		memcpy(buffer, s->bounce, n);
	return as_call(n);
}

// One request for each buffer, each of which begins when the one before is done.
static void send_linked(struct side *s, int fd, const struct iovec *buffers, int count)
{
	unsigned flags;
	int requests = 0;
	struct io_uring_sqe *last = NULL;
	for (int i = 0; i < count; i++) {
		if (!buffers[i].iov_len)
			continue;
		last = next_request(s);
		io_uring_prep_send(last, target(fd), buffers[i].iov_base, buffers[i].iov_len, MSG_WAITALL | MSG_NOSIGNAL);
		finish_request(last);
		last->flags |= IOSQE_IO_LINK;
		requests++;
	}
	if (last)
		last->flags &= ~IOSQE_IO_LINK;
	ok(io_uring_submit(&s->ring), "io_uring_submit");
	for (int i = 0; i < requests; i++)
		ok(result(s, &flags), "linked send");
}

void uring_send(int fd, const struct iovec *buffers, int count)
{
	struct side *s = side_of(SENDING, fd);
	if (is(way.send, "linked")) {
		send_linked(s, fd, buffers, count);
		return;
	}
	struct iovec v[3];
	errno = EINVAL;
	check(count <= 3, "too many buffers");
	memcpy(v, buffers, count * sizeof(*v));
	for (struct iovec *p = v, *end = v + count;;) {
		while (p < end && !p->iov_len)
			p++;
		if (p == end)
			return;
		struct msghdr m = {.msg_iov = p, .msg_iovlen = end - p};
		struct io_uring_sqe *request = next_request(s);
		unsigned flags;
		size_t bounced = p->iov_len < BOUNCE ? p->iov_len : BOUNCE;
		if (is(way.send, "send"))
			io_uring_prep_send(request, target(fd), p->iov_base, p->iov_len, MSG_NOSIGNAL);
		else if (is(way.send, "send_zc"))
			io_uring_prep_send_zc(request, target(fd), p->iov_base, p->iov_len, MSG_NOSIGNAL, 0);
		else if (is(way.send, "write"))
			io_uring_prep_write(request, target(fd), p->iov_base, p->iov_len, 0);
		else if (is(way.send, "writev"))
			io_uring_prep_writev(request, target(fd), p, end - p, 0);
		else if (is(way.send, "sendmsg"))
			io_uring_prep_sendmsg(request, target(fd), &m, MSG_NOSIGNAL);
		else if (is(way.send, "fixed")) {
			memcpy(s->bounce, p->iov_base, bounced);
			io_uring_prep_write_fixed(request, target(fd), s->bounce, bounced, 0, 0);
		} else
			check(0, way.send);
		finish_request(request);
		ok(io_uring_submit(&s->ring), "io_uring_submit");
		int n = result(s, &flags);
		ok(n, way.send);
		for (; p < end && (size_t)n >= p->iov_len; p++)
			n -= p->iov_len;
		if (p < end) {
			p->iov_base = (char *)p->iov_base + n;
			p->iov_len -= n;
		}
	}
}

void uring_end(void)
{
	for (int i = RECEIVING; i <= SENDING; i++) {
		if (!sides[i].ready)
			continue;
		io_uring_queue_exit(&sides[i].ring);
		free(sides[i].bounce);
		sides[i].ready = 0;
	}
	free(given.ring);
	given.ring = NULL;
}
