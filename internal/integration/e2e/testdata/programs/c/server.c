// A web server that answers in the way that the query of a request asks for: server 127.0.0.1 8080 read
//
// The last argument is how requests are read: see receives in common.c; with URING it is a name for uring_use, with TLS for tls_use. The query may have status=, bytes= and answer=.
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
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static receive *way;
static int file; // enough of a body, for sendfile
static char body[1 << 20];

static void send_all(int fd, const char *data, size_t size, int flags)
{
	for (size_t sent = 0; sent < size;) {
		ssize_t n = send(fd, data + sent, size - sent, flags | MSG_NOSIGNAL);
		check(n > 0, "send");
		sent += n;
	}
}

static void answer_write(int fd, const char *head, size_t size)
{
	send_all(fd, head, strlen(head), 0);
	send_all(fd, body, size, 0);
}

#ifdef URING
static void answer_uring(int fd, const char *head, size_t size)
{
	struct iovec v[2] = {{(void *)head, strlen(head)}, {body, size}};
	uring_send(fd, v, 2);
}
#define ANSWER "uring"
#elif defined(TLS)
static void answer_tls(int fd, const char *head, size_t size)
{
	tls_send(fd, head, strlen(head));
	tls_send(fd, body, size);
}
#define ANSWER "tls"
#else
#define ANSWER "write"
#endif

static void answer_bytes(int fd, const char *head, size_t size)
{
	for (const char *c = head; *c; c++)
		send_all(fd, c, 1, 0);
	send_all(fd, body, size, 0);
}

static void answer_writev(int fd, const char *head, size_t size)
{
	size_t first = 9; // "HTTP/1.1 ": the status is in the second buffer
	struct iovec v[3] = {{(void *)head, first}, {(void *)(head + first), strlen(head) - first}, {body, size}};
	size_t left = strlen(head) + size;
	for (struct iovec *p = v; left;) {
		ssize_t n = writev(fd, p, v + 3 - p);
		check(n > 0, "writev");
		left -= n;
		for (; p < v + 3 && (size_t)n >= p->iov_len; p++)
			n -= p->iov_len;
		if (p < v + 3) {
			p->iov_base = (char *)p->iov_base + n;
			p->iov_len -= n;
		}
	}
}

static void answer_sendfile(int fd, const char *head, size_t size)
{
	off_t offset = 0;
	send_all(fd, head, strlen(head), MSG_MORE);
	while ((size_t)offset < size)
		check(sendfile(fd, file, &offset, size - offset) > 0, "sendfile");
}

// No answer: the connection is reset (socket(7), SO_LINGER).
static void answer_reset(int fd, const char *head, size_t size)
{
	struct linger at_once = {.l_onoff = 1};
	(void)head, (void)size;
	check(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), "SO_LINGER");
}

// No answer, and an end in good order.
static void answer_close(int fd, const char *head, size_t size)
{
	(void)fd, (void)head, (void)size;
}

static const struct {
	const char *name;
	void (*answer)(int fd, const char *head, size_t size);
} answers[] = {
#ifdef URING
    {"uring", answer_uring},
#endif
#ifdef TLS
    {"tls", answer_tls},
#endif
    {"write", answer_write},       {"bytes", answer_bytes}, {"writev", answer_writev},
    {"sendfile", answer_sendfile}, {"reset", answer_reset}, {"close", answer_close},
};

// asked is the value in the query of a target.
static const char *asked(const char *target, const char *key, const char *otherwise, char *value, size_t size)
{
	const char *found = strstr(target, key);
	if (!found)
		return otherwise;
	found += strlen(key);
	size_t length = strcspn(found, "&");
	check(length < size, "value too long");
	memcpy(value, found, length);
	value[length] = 0;
	return value;
}

static void *converse(void *argument)
{
	struct stream s = {.fd = (int)(long)argument, .receive = way};
	struct end local, peer;
	local_end(s.fd, &local);
	peer_end(s.fd, &peer);
#ifdef TLS
	s.body = '0';
	if (!tls_begin(s.fd, NULL, NULL)) {
		close(s.fd);
		return NULL;
	}
#endif
	struct message m;
	while (read_message(&s, &m, 0) == 1) {
		char method[16], target[512], value[64], head[256];
		check(sscanf(m.line, "%15s %511s", method, target) == 2, m.line);
		int status = atoi(asked(target, "status=", "200", value, sizeof(value)));
		size_t size = atoi(asked(target, "bytes=", "6", value, sizeof(value)));
		check(size <= sizeof(body), "bytes");
		// RFC 9110 section 8.6: a response to HEAD has the length that the body would have, one with 204 has none.
		int length = snprintf(head, sizeof(head), "HTTP/1.1 %d Sent\r\n", status);
		if (status != 204)
			length += snprintf(head + length, sizeof(head) - length, "Content-Length: %zu\r\n", size);
		snprintf(head + length, sizeof(head) - length, "\r\n");
		if (status == 204 || !strcmp(method, "HEAD"))
			size = 0;
		const char *name = asked(target, "answer=", ANSWER, value, sizeof(value));
		int last = !strcmp(name, "reset") || !strcmp(name, "close");
		report("server", method, target, last ? 0 : status, &local, &peer, last ? "no answer" : NULL);
		for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++)
			if (!strcmp(answers[i].name, name))
				answers[i].answer(s.fd, head, size);
		if (last)
			break;
	}
#ifdef URING
	uring_end();
#endif
#ifdef TLS
	tls_end(s.fd);
#endif
	close(s.fd);
	return NULL;
}

int main(int argc, char **argv)
{
	errno = EINVAL;
	check(argc == 4, "server address port way");
	way = receive_by_name(argv[3]);
	memset(body, 'x', sizeof(body));
	file = memfd_create("body", MFD_CLOEXEC);
	check(write(file, body, sizeof(body)) == sizeof(body), "memfd");
	signal(SIGPIPE, SIG_IGN);

	struct sockaddr_storage a;
	socklen_t length;
	int listener = socket_for(argv[1], argv[2], &a, &length), on = 1;
	check(!setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	check(!bind(listener, (void *)&a, length) && !listen(listener, 1024), "listen");
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;
		check(fd >= 0, "accept");
		// Without it an answer in several pieces waits for the acknowledgement of the first.
		check(!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
		check(!pthread_create(&thread, NULL, converse, (void *)(long)fd), "pthread_create");
		pthread_detach(thread);
	}
}
