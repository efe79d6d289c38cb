/* A proxy with one thread and epoll: it passes each request on over a connection to the backend that is idle, or a new one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MESSAGE = 8192, BACKLOG = 2048 };

/* A connection. A client's other is the backend's that answers it, and the other way round; a backend's is idle without one. */
struct conn {
	int fd;
	bool backend, connecting;
	struct conn *other, *next; /* next: of the idle ones */
	size_t used;
	char text[MESSAGE];
};

static int events, backend_port;
static bool pooled;
static struct conn *idle;
static struct conn listener;

static int port_of(const char *name) {
	const char *text = getenv(name);
	return text ? atoi(text) : 0;
}

static struct sockaddr_in loopback(int port) {
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return at;
}

static void want(struct conn *c, uint32_t what, int how) {
	struct epoll_event event = {.events = what, .data.ptr = c};
	if (epoll_ctl(events, how, c->fd, &event) < 0)
		err(1, "epoll_ctl");
}

static struct conn *new_conn(int fd, bool backend) {
	struct conn *c = calloc(1, sizeof(*c));
	int one = 1;
	if (!c)
		err(1, "calloc");
	c->fd = fd;
	c->backend = backend;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return c;
}

/* Messages are small: they fit into the socket's buffer. */
static void put(struct conn *c, const char *text, size_t length) {
	if (send(c->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length)
		warn("send");
}

static void forward(struct conn *client) {
	struct conn *b = idle;
	if (b) {
		idle = b->next;
	} else {
		struct sockaddr_in at = loopback(backend_port);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			err(1, "socket");
		b = new_conn(fd, true);
		b->connecting = connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0;
		if (b->connecting && errno != EINPROGRESS)
			err(1, "connect");
		want(b, b->connecting ? EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
	}
	b->other = client;
	client->other = b;
	if (!b->connecting) {
		put(b, client->text, client->used);
		client->used = 0;
	}
}

/* The length of the message, with its head; 0: it is not whole. */
static size_t whole(struct conn *c, size_t *body) {
	char *end, *field;
	c->text[c->used] = 0;
	end = strstr(c->text, "\r\n\r\n");
	if (!end)
		return 0;
	field = strcasestr(c->text, "\r\ncontent-length:");
	*body = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
	return c->used < (size_t)(end + 4 - c->text) + *body ? 0 : (size_t)(end + 4 - c->text) + *body;
}

static void drop(struct conn *c) {
	struct conn **at = &idle;
	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		*at = c->next;
	if (c->other)
		c->other->other = NULL;
	close(c->fd);
	free(c);
}

static void answer(struct conn *b, size_t length, size_t body) {
	char text[MESSAGE + 100];
	struct conn *client = b->other;
	int n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%.*s", body, (int)body, b->text + length - body);
	b->used = 0;
	b->other = NULL;
	if (client) {
		client->other = NULL;
		put(client, text, n);
	}
	if (!pooled) {
		drop(b);
		return;
	}
	b->next = idle;
	idle = b;
}

static void receive(struct conn *c) {
	size_t length, body = 0;
	ssize_t n = recv(c->fd, c->text + c->used, MESSAGE - 1 - c->used, 0);
	if (n <= 0) {
		drop(c);
		return;
	}
	c->used += n;
	length = whole(c, &body);
	if (!length)
		return;
	if (c->backend)
		answer(c, length, body);
	else
		forward(c);
}

static void connected(struct conn *b) {
	b->connecting = false;
	want(b, EPOLLIN, EPOLL_CTL_MOD);
	if (b->other) {
		put(b, b->other->text, b->other->used);
		b->other->used = 0;
	}
}

static void handle(struct conn *c) {
	if (c == &listener) {
		int fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			want(new_conn(fd, false), EPOLLIN, EPOLL_CTL_ADD);
	} else if (c->connecting) {
		connected(c);
	} else {
		receive(c);
	}
}

int main(void) {
	struct sockaddr_in at = loopback(port_of("LISTEN"));
	struct epoll_event ready; /* one at a time: handling one may free another */
	const char *style = getenv("STYLE");
	int one = 1;
	pooled = style && !strcmp(style, "pooled");
	backend_port = port_of("BACKEND");
	events = epoll_create1(EPOLL_CLOEXEC);
	listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener.fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener.fd, BACKLOG) < 0)
		err(1, "listen");
	want(&listener, EPOLLIN, EPOLL_CTL_ADD);
	for (;;) {
		if (epoll_wait(events, &ready, 1, -1) == 1)
			handle(ready.data.ptr);
	}
}
