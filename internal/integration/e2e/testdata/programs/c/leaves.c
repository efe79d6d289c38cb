// A web client that leaves calls of its TLS library by longjmp: leaves 127.0.0.1 8080 < plan. The plan is that of client.c. Of each two requests the first one
// has been sent when the next call on its connection is left, further down the stack than the second request is sent from, on a connection of its own.
// Then the first response is read. One time of three, the second connection begins after that call, by a handshake that is further down the stack than it;
// one time, that one is used before, and ends there.
#define _GNU_SOURCE
#include "common.h"
#include "tls.h"

#include <alloca.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char **arguments, host[80];
static jmp_buf left;
static int leaves;

static struct exchange {
	struct stream s;
	struct end local, peer;
	struct request r;
} first, second;

static ssize_t transport_receive(void *of, void *data, size_t size)
{
	return read(((struct exchange *)of)->s.fd, data, size);
}

static ssize_t transport_send(void *of, const void *data, size_t size)
{
	if (leaves)
		longjmp(left, 1);
	return send(((struct exchange *)of)->s.fd, data, size, MSG_NOSIGNAL);
}

static const struct transport transport = {transport_receive, transport_send};

static int begin(struct exchange *x)
{
	char line[1024];
	struct sockaddr_storage a;
	socklen_t length;
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	parse_request(&x->r, line, host);
	x->s = (struct stream){.fd = socket_for(arguments[1], arguments[2], &a, &length), .receive = tls_receive, .body = 'x'};
	check(!connect(x->s.fd, (void *)&a, length), "connect");
	local_end(x->s.fd, &x->local);
	peer_end(x->s.fd, &x->peer);
	check(tls_begin(x->s.fd, &transport, x), "handshake");
	return 1;
}

static void ask(const struct exchange *x)
{
	tls_send(x->s.fd, x->r.head, x->r.head_size);
	tls_send(x->s.fd, x->r.body, x->r.body_size);
}

static int end(struct exchange *x)
{
	read_response(&x->s, &x->r, &x->local, &x->peer);
	free(x->r.body);
	tls_end(x->s.fd);
	return close(x->s.fd);
}

// below calls a function further down the stack than the call began that was left: tls_send has 40,000 bytes there, and 32 KiB are looked through.
static __attribute__((noinline)) int below(int (*function)(struct exchange *), struct exchange *x)
{
	volatile char *above = alloca(44000);
	above[0] = 0;
	return function(x);
}

// leave begins a call with other bytes at a depth, and does not end it.
static __attribute__((noinline)) void leave(const struct exchange *x, size_t depth)
{
	volatile char *above = alloca(depth);
	above[0] = 0;
	if (setjmp(left))
		return;
	leaves = 1;
	tls_send(x->s.fd, "left", 4);
}

int main(int argc, char **argv)
{
	errno = EINVAL;
	check(argc == 3, "leaves address port");
	arguments = argv;
	snprintf(host, sizeof(host), strchr(argv[1], ':') ? "[%s]:%s" : "%s:%s", argv[1], argv[2]);
	tls_use("open");
	for (size_t i = 0; begin(&first); i++) {
		int way = i % 3;
		check(way == 1 || begin(&second), "the plan is odd");
		ask(&first);
		if (way == 2)
			ask(&second);
		leave(&first, 64 + i % 16 * 16);
		leaves = 0;
		if (way == 1)
			check(below(begin, &second), "the plan is odd");
		if (way == 2)
			below(end, &second);
		else
			ask(&second);
		end(&first);
		if (way != 2)
			end(&second);
	}
	return 0;
}
