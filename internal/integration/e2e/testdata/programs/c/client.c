// A web client on raw sockets: client 127.0.0.1 8080 writev readv < plan
//
// The arguments after the address are how requests are sent (see sends) and how responses are read (see receives in
// common.c). With URING they are "uring" and a name for uring_use, with TLS "tls" and one for tls_use. The plan has a request
// a line: its method, target, size of the body, how that is framed, and the traceparent, or "-".
#define _GNU_SOURCE
#include "common.h"
#ifdef URING
#include "uring.h"
#endif
#ifdef TLS
#include "tls.h"
#endif

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void write_all(int fd, const char *data, size_t size)
{
	for (size_t sent = 0; sent < size;) {
		ssize_t n = write(fd, data + sent, size - sent);
		check(n > 0, "write");
		sent += n;
	}
}

static void send_write(int fd, const struct request *r)
{
	write_all(fd, r->head, r->head_size);
	write_all(fd, r->body, r->body_size);
}

static void send_bytes(int fd, const struct request *r)
{
	for (size_t i = 0; i < r->head_size; i++)
		write_all(fd, r->head + i, 1);
	write_all(fd, r->body, r->body_size);
}

// The head in two buffers, cut in the target, and the body. write sends the rest.
static int pieces_of(struct iovec v[3], const struct request *r)
{
	size_t first = strlen(r->method) + 3;
	v[0] = (struct iovec){(void *)r->head, first};
	v[1] = (struct iovec){(void *)(r->head + first), r->head_size - first};
	v[2] = (struct iovec){r->body, r->body_size};
	return 3;
}

static void send_rest(int fd, const struct request *r, ssize_t sent)
{
	check(sent >= (ssize_t)r->head_size, "the head was not sent at once");
	write_all(fd, r->body + (sent - r->head_size), r->body_size - (sent - r->head_size));
}

static void send_writev(int fd, const struct request *r)
{
	struct iovec v[3];
	send_rest(fd, r, writev(fd, v, pieces_of(v, r)));
}

static void send_sendmsg(int fd, const struct request *r)
{
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = pieces_of(v, r)};
	send_rest(fd, r, sendmsg(fd, &m, 0));
}

// Two messages: the head in two buffers, and the body.
static void send_sendmmsg(int fd, const struct request *r)
{
	struct iovec v[3];
	pieces_of(v, r);
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 2}}, {.msg_hdr = {.msg_iov = v + 2, .msg_iovlen = 1}}};
	int messages = r->body_size ? 2 : 1;
	check(sendmmsg(fd, m, messages, 0) == messages, "sendmmsg");
	send_rest(fd, r, m[0].msg_len + (messages == 2 ? m[1].msg_len : 0));
}

// The framing of the body is sent from memory, the body itself is not.
static void send_sendfile(int fd, const struct request *r)
{
	size_t last = r->body_size - r->begin - r->size;
	check(send(fd, r->head, r->head_size, r->body_size ? MSG_MORE : 0) == (ssize_t)r->head_size, "send");
	if (!r->body_size)
		return;
	if (r->begin)
		check(send(fd, r->body, r->begin, MSG_MORE) == (ssize_t)r->begin, "send");
	int file = memfd_create("body", MFD_CLOEXEC);
	write_all(file, r->body + r->begin, r->size);
	for (off_t offset = 0; (size_t)offset < r->size;)
		check(sendfile(fd, file, &offset, r->size - offset) > 0, "sendfile");
	close(file);
	write_all(fd, r->body + r->begin + r->size, last);
}

// Sent on a descriptor that is closed when the response is read.
static void send_dup(int fd, const struct request *r)
{
	int other = dup(fd);
	check(other >= 0, "dup");
	send_write(other, r);
	close(other);
}

#ifdef URING
static void send_uring(int fd, const struct request *r)
{
	struct iovec v[3];
	uring_send(fd, v, pieces_of(v, r));
}
#endif

#ifdef TLS
static void send_tls(int fd, const struct request *r)
{
	tls_send(fd, r->head, r->head_size);
	tls_send(fd, r->body, r->body_size);
}
#endif

static const struct {
	const char *name;
	void (*send)(int fd, const struct request *r);
} sends[] = {
#ifdef URING
    {"uring", send_uring},
#endif
#ifdef TLS
    {"tls", send_tls},
#endif
    {"write", send_write},       {"bytes", send_bytes},       {"writev", send_writev}, {"sendmsg", send_sendmsg},
    {"sendmmsg", send_sendmmsg}, {"sendfile", send_sendfile}, {"dup", send_dup},
};

// next reads a line of the plan. It returns 0 at its end.
static int next(struct request *r, const char *host)
{
	char line[1024];
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	parse_request(r, line, host);
	return 1;
}

static struct stream s;
static struct end local, peer;

static void reconnect(char **argv)
{
	struct sockaddr_storage a;
	socklen_t length;
	int on = 1;
#ifdef TLS
	tls_end(s.fd);
#endif
	if (s.fd > 0)
		close(s.fd);
	s.fd = socket_for(argv[1], argv[2], &a, &length);
	s.begin = s.end = 0;
	check(!connect(s.fd, (void *)&a, length), "connect");
	check(!setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	local_end(s.fd, &local);
	peer_end(s.fd, &peer);
#ifdef TLS
	check(tls_begin(s.fd, NULL, NULL), "handshake");
	s.body = 'x';
#endif
}

// finish reads the response. It returns whether the connection can be used again.
static int finish(const struct request *r)
{
	return read_response(&s, r, &local, &peer);
}

// All requests in one write, then all responses.
static void pipeline(const char *host)
{
	static struct request requests[128];
	static char all[128 * 1024];
	size_t size = 0;
	int n = 0;
	for (; n < 128 && next(&requests[n], host); n++) {
		check(size + requests[n].head_size + requests[n].body_size < sizeof(all), "too much at a time");
		memcpy(all + size, requests[n].head, requests[n].head_size);
		size += requests[n].head_size;
		memcpy(all + size, requests[n].body, requests[n].body_size);
		size += requests[n].body_size;
	}
	check(write(s.fd, all, size) == (ssize_t)size, "write");
	for (int i = 0; i < n; i++)
		check(finish(&requests[i]), "pipeline");
}

int main(int argc, char **argv)
{
	errno = EINVAL;
	check(argc == 5, "client address port how-to-send how-to-receive");
	s.receive = receive_by_name(argv[4]);
	char host[80];
	snprintf(host, sizeof(host), strchr(argv[1], ':') ? "[%s]:%s" : "%s:%s", argv[1], argv[2]);
	reconnect(argv);
	if (!strcmp(argv[3], "pipeline")) {
		pipeline(host);
		return 0;
	}
	size_t way = 0;
	while (way < sizeof(sends) / sizeof(*sends) && strcmp(sends[way].name, argv[3]))
		way++;
	check(way < sizeof(sends) / sizeof(*sends), argv[3]);
	int usable = 1;
	for (struct request r; next(&r, host); free(r.body)) {
		if (!usable)
			reconnect(argv);
		sends[way].send(s.fd, &r);
		usable = finish(&r);
#ifdef TLS
		usable = usable && tls_goes_on();
#endif
	}
#ifdef TLS
	tls_leave();
#endif
	return 0;
}
