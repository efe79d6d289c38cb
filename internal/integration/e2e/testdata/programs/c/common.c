#define _GNU_SOURCE
#include "common.h"
#ifdef URING
#include "uring.h"
#endif
#ifdef TLS
#include "tls.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(1);
}

static ssize_t receive_read(int fd, char *buffer, size_t size)
{
	return read(fd, buffer, size);
}

static ssize_t receive_pieces(int fd, char *buffer, size_t size)
{
	return read(fd, buffer, size < 7 ? size : 7);
}

static ssize_t receive_bytes(int fd, char *buffer, size_t size)
{
	(void)size;
	return read(fd, buffer, 1);
}

// Three buffers that lie one after the other: the first two are small, so that heads are in several.
static int pieces_of(struct iovec v[3], char *buffer, size_t size)
{
	size_t first = size < 5 ? size : 5, second = size - first < 11 ? size - first : 11;
	v[0] = (struct iovec){buffer, first};
	v[1] = (struct iovec){buffer + first, second};
	v[2] = (struct iovec){buffer + first + second, size - first - second};
	return 3;
}

static ssize_t receive_readv(int fd, char *buffer, size_t size)
{
	struct iovec v[3];
	return readv(fd, v, pieces_of(v, buffer, size));
}

static ssize_t receive_recvmsg(int fd, char *buffer, size_t size)
{
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = pieces_of(v, buffer, size)};
	return recvmsg(fd, &m, 0);
}

static ssize_t receive_recvmmsg(int fd, char *buffer, size_t size)
{
	struct iovec v[3];
	struct mmsghdr m = {.msg_hdr = {.msg_iov = v, .msg_iovlen = pieces_of(v, buffer, size)}};
	return recvmmsg(fd, &m, 1, 0, NULL) == 1 ? (ssize_t)m.msg_len : -1;
}

// Peeks before it reads: peeked bytes stay in the socket.
static ssize_t receive_peek(int fd, char *buffer, size_t size)
{
	for (int i = 0; i < 2; i++) {
		ssize_t n = recv(fd, buffer, size, MSG_PEEK);
		if (n <= 0)
			return n;
	}
	return recv(fd, buffer, size < 100 ? size : 100, 0);
}

static const struct {
	const char *name;
	receive *receive;
} receives[] = {
    {"read", receive_read},       {"pieces", receive_pieces},     {"bytes", receive_bytes}, {"readv", receive_readv},
    {"recvmsg", receive_recvmsg}, {"recvmmsg", receive_recvmmsg}, {"peek", receive_peek},
};

receive *receive_by_name(const char *name)
{
#ifdef URING
	uring_use(name);
	return uring_receive;
#endif
#ifdef TLS
	tls_use(name);
	return tls_receive;
#endif
	for (size_t i = 0; i < sizeof(receives) / sizeof(*receives); i++)
		if (!strcmp(receives[i].name, name))
			return receives[i].receive;
	errno = EINVAL;
	check(0, name);
	return NULL;
}

// fill receives more. It returns what receive did.
static ssize_t fill(struct stream *s)
{
	memmove(s->buffer, s->buffer + s->begin, s->end - s->begin);
	s->end -= s->begin;
	s->begin = 0;
	errno = EMSGSIZE; // a line longer than the buffer
	check(s->end < sizeof(s->buffer), "fill");
	ssize_t n = s->receive(s->fd, s->buffer + s->end, sizeof(s->buffer) - s->end);
	if (n > 0)
		s->end += n;
	return n;
}

static ssize_t read_line(struct stream *s, char *line, size_t size)
{
	for (;;) {
		char *begin = s->buffer + s->begin, *newline = memchr(begin, '\n', s->end - s->begin);
		if (newline) {
			size_t length = newline - begin;
			check(length < size, "line too long");
			memcpy(line, begin, length);
			line[length] = 0;
			if (length && line[length - 1] == '\r')
				line[length - 1] = 0;
			s->begin += length + 1;
			return 1;
		}
		ssize_t n = fill(s);
		if (n <= 0)
			return n;
	}
}

// skip reads length bytes. Each has to be this one, unless that is 0.
static ssize_t skip(struct stream *s, size_t length, char each)
{
	for (;;) {
		size_t n = s->end - s->begin < length ? s->end - s->begin : length;
		errno = EBADMSG;
		for (size_t i = 0; each && i < n; i++)
			check(s->buffer[s->begin + i] == each, "body");
		s->begin += n;
		length -= n;
		if (!length)
			return 1;
		ssize_t got = fill(s);
		if (got <= 0)
			return got;
	}
}

int read_message(struct stream *s, struct message *m, int head_only)
{
	char line[1024];
	ssize_t n = read_line(s, m->line, sizeof(m->line));
	if (n <= 0)
		return n;
	m->length = -1;
	m->chunked = 0;
	do {
		if ((n = read_line(s, line, sizeof(line))) <= 0)
			return n;
		if (!strncasecmp(line, "content-length:", 15))
			m->length = atoi(line + 15);
		if (!strcasecmp(line, "transfer-encoding: chunked"))
			m->chunked = 1;
	} while (*line);
	if (head_only)
		return 1;
	if (!m->chunked)
		return m->length > 0 ? skip(s, m->length, s->body) : 1;
	for (;;) {
		if ((n = read_line(s, line, sizeof(line))) <= 0)
			return n;
		size_t size = strtoul(line, NULL, 16);
		if ((n = skip(s, size, s->body)) <= 0 || (n = skip(s, 2, 0)) <= 0 || !size)
			return n;
	}
}

static void end_of(const struct sockaddr_storage *a, struct end *e)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;
	const void *address = a->ss_family == AF_INET6 ? (const void *)&v6->sin6_addr : &v4->sin_addr;
	check(inet_ntop(a->ss_family, address, e->address, sizeof(e->address)) != NULL, "inet_ntop");
	e->port = ntohs(v4->sin_port); // at the same place in both
}

void local_end(int fd, struct end *e)
{
	struct sockaddr_storage a;
	socklen_t length = sizeof(a);
	check(!getsockname(fd, (void *)&a, &length), "getsockname");
	end_of(&a, e);
}

void peer_end(int fd, struct end *e)
{
	struct sockaddr_storage a;
	socklen_t length = sizeof(a);
	check(!getpeername(fd, (void *)&a, &length), "getpeername");
	end_of(&a, e);
}

void report(const char *role, const char *method, const char *target, int status, const struct end *local,
          const struct end *peer, const char *error)
{
	static int pid; // a program that is confined may not ask for it later
	char line[4096];
	if (!pid)
		pid = getpid();
	int n = snprintf(line, sizeof(line),
	                 "{\"pid\":%d,\"role\":\"%s\",\"method\":\"%s\",\"target\":\"%s\",\"status\":%d,\"version\":\"1.1\","
	                 "\"local\":{\"address\":\"%s\",\"port\":%d},\"peer\":{\"address\":\"%s\",\"port\":%d},\"error\":\"%s\"}\n",
	                 pid, role, method, target, status, local->address, local->port, peer->address, peer->port,
	                 error ? error : "");
	check(n < (int)sizeof(line) && write(1, line, n) == n, "account");
}

int socket_for(const char *address, const char *port, struct sockaddr_storage *a, unsigned *length)
{
	struct sockaddr_in *v4 = (void *)a;
	struct sockaddr_in6 *v6 = (void *)a;
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		a->ss_family = AF_INET6;
		*length = sizeof(*v6);
	} else {
		check(inet_pton(AF_INET, address, &v4->sin_addr) == 1, address);
		a->ss_family = AF_INET;
		*length = sizeof(*v4);
	}
	v4->sin_port = htons(atoi(port));
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0, "socket");
	return fd;
}

void parse_request(struct request *r, const char *line, const char *host)
{
	char framing[16], traceparent[128], field[192] = "";
	size_t size;
	check(sscanf(line, "%15s %511s %zu %15s %127s", r->method, r->target, &size, framing, traceparent) == 5, line);
	if (strcmp(traceparent, "-"))
		snprintf(field, sizeof(field), "traceparent: %s\r\n", traceparent);
	int chunked = !strcmp(framing, "chunked") && size;
	if (chunked)
		strcat(field, "Transfer-Encoding: chunked\r\n");
	else if (size)
		snprintf(field + strlen(field), 48, "Content-Length: %zu\r\n", size);
	r->head_size = snprintf(r->head, sizeof(r->head), "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", r->method, r->target, host, field);
	r->body = malloc(size + 64);
	char *end = r->body;
	if (chunked)
		end += sprintf(end, "%zx\r\n", size);
	r->begin = end - r->body;
	r->size = size;
	memset(end, '0', size);
	end += size;
	if (chunked)
		end += sprintf(end, "\r\n0\r\n\r\n");
	r->body_size = end - r->body;
}

int read_response(struct stream *s, const struct request *r, const struct end *local, const struct end *peer)
{
	struct message m;
	int status = 0, head = !strcmp(r->method, "HEAD");
	do {
		int n = read_message(s, &m, head);
		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			report("client", r->method, r->target, 0, local, peer, n ? "ECONNRESET" : "connection_closed");
			return 0;
		}
		check(n == 1 && sscanf(m.line, "HTTP/1.1 %d", &status) == 1, "response");
	} while (status / 100 == 1);
	report("client", r->method, r->target, status, local, peer, NULL);
	return 1;
}
