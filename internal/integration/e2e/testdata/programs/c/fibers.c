// A web client whose fibers take turns on a few threads: fibers 127.0.0.1 8080 16 3 < plan, which are 16 fibers on 3 threads. A fiber that would have to
// wait for its socket gives its thread to others, in the midst of a call of its TLS library, and goes on with that on another thread. So does each that is about
// to send. The plan, that of client.c, is dealt out to the fibers in turn.
#define _GNU_SOURCE
#include "common.h"
#include "tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK (256 << 10)

static char **arguments, host[80];
static atomic_int running;

struct fiber {
	ucontext_t context, *worker; // of the thread that it is on
	int plan[2];                 // a pipe of lines
	int waits_for;               // this descriptor
	uint32_t events;
	int ended;
	struct stream s;
	struct end local, peer;
};

// worker is a thread.
static struct worker {
	int epoll;
	struct worker *next;
} workers[16];

static void wait_for(struct fiber *f, int fd, uint32_t events)
{
	f->waits_for = fd;
	f->events = events;
	swapcontext(&f->context, f->worker);
}

// errno has another address when a fiber is on another thread, and compilers do not know that.
static __attribute__((noinline)) ssize_t try_receive(int fd, void *data, size_t size)
{
	ssize_t n = recv(fd, data, size, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

static __attribute__((noinline)) ssize_t try_send(int fd, const void *data, size_t size)
{
	ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

static ssize_t transport_receive(void *of, void *data, size_t size)
{
	struct fiber *f = of;
	ssize_t n;
	while ((n = try_receive(f->s.fd, data, size)) == -EAGAIN)
		wait_for(f, f->s.fd, EPOLLIN);
	return n;
}

static ssize_t transport_send(void *of, const void *data, size_t size)
{
	struct fiber *f = of;
	ssize_t n;
	do
		wait_for(f, f->s.fd, EPOLLOUT);
	while ((n = try_send(f->s.fd, data, size)) == -EAGAIN);
	return n;
}

static const struct transport transport = {transport_receive, transport_send};

static void connect_fiber(struct fiber *f)
{
	struct sockaddr_storage a;
	socklen_t length;
	int on = 1;
	f->s.fd = socket_for(arguments[1], arguments[2], &a, &length);
	f->s.receive = tls_receive;
	f->s.body = 'x';
	check(!connect(f->s.fd, (void *)&a, length), "connect");
	check(!setsockopt(f->s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	local_end(f->s.fd, &f->local);
	peer_end(f->s.fd, &f->peer);
	check(tls_begin(f->s.fd, &transport, f), "handshake");
}

static void run(unsigned low, unsigned high)
{
	struct fiber *f = (void *)((uintptr_t)high << 32 | low);
	for (char *line; read(f->plan[0], &line, sizeof(line)) == sizeof(line); wait_for(f, f->plan[0], EPOLLIN)) {
		struct request r;
		if (!f->s.fd)
			connect_fiber(f);
		parse_request(&r, line, host);
		tls_send(f->s.fd, r.head, r.head_size);
		tls_send(f->s.fd, r.body, r.body_size);
		check(read_response(&f->s, &r, &f->local, &f->peer), "the connection has ended");
		free(r.body);
		free(line);
	}
	if (f->s.fd) {
		tls_end(f->s.fd);
		close(f->s.fd);
	}
	f->ended = 1;
	swapcontext(&f->context, f->worker);
}

static void *work(void *argument)
{
	struct worker *w = argument;
	ucontext_t here;
	for (;;) {
		struct epoll_event e;
		if (epoll_wait(w->epoll, &e, 1, -1) != 1)
			continue;
		struct fiber *f = e.data.ptr;
		check(!epoll_ctl(w->epoll, EPOLL_CTL_DEL, f->waits_for, NULL), "EPOLL_CTL_DEL");
		f->worker = &here;
		swapcontext(&here, &f->context);
		if (f->ended) {
			if (atomic_fetch_sub(&running, 1) == 1)
				exit(0);
			continue;
		}
		e.events = f->events;
		check(!epoll_ctl(w->next->epoll, EPOLL_CTL_ADD, f->waits_for, &e), "EPOLL_CTL_ADD");
	}
	return NULL;
}

static struct fiber *new_fiber(struct worker *w)
{
	struct fiber *f = calloc(1, sizeof(*f));
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = f};
	check(!pipe(f->plan), "pipe");
	f->waits_for = f->plan[0];
	check(!getcontext(&f->context), "getcontext");
	f->context.uc_stack.ss_sp = malloc(STACK);
	f->context.uc_stack.ss_size = STACK;
	makecontext(&f->context, (void (*)(void))run, 2, (unsigned)(uintptr_t)f, (unsigned)((uintptr_t)f >> 32));
	check(!epoll_ctl(w->epoll, EPOLL_CTL_ADD, f->plan[0], &e), "EPOLL_CTL_ADD");
	return f;
}

int main(int argc, char **argv)
{
	errno = EINVAL;
	check(argc == 5, "fibers address port fibers threads");
	int fibers = atoi(argv[3]), threads = atoi(argv[4]);
	check(fibers > 0 && threads > 0 && threads <= (int)(sizeof(workers) / sizeof(*workers)), "fibers, threads");
	arguments = argv;
	snprintf(host, sizeof(host), strchr(argv[1], ':') ? "[%s]:%s" : "%s:%s", argv[1], argv[2]);
	receive_by_name("open");
	pthread_t thread;
	for (int i = 0; i < threads; i++)
		workers[i] = (struct worker){epoll_create1(EPOLL_CLOEXEC), &workers[(i + 1) % threads]};
	struct fiber *all[fibers];
	atomic_store(&running, fibers);
	for (int i = 0; i < fibers; i++)
		all[i] = new_fiber(&workers[i % threads]);
	for (int i = 0; i < threads; i++)
		check(!pthread_create(&thread, NULL, work, &workers[i]), "pthread_create");
	char line[1024];
	for (int i = 0; fgets(line, sizeof(line), stdin); i++) {
		char *copy = strdup(line);
		check(write(all[i % fibers]->plan[1], &copy, sizeof(copy)) == sizeof(copy), "plan");
	}
	for (int i = 0; i < fibers; i++)
		close(all[i]->plan[1]);
	pthread_join(thread, NULL); // a thread ends the program
	return 1;
}
