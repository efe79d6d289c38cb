// TLS by OpenSSL, or GnuTLS (gnutls.c), for the web server and the web clients in C. Each call hands the library another buffer than the one before, which is overwritten
// when the call has ended: who reads it later, or takes the call for another one, gets wrong bytes.
#ifndef TLS_H
#define TLS_H

#include <stddef.h>
#include <sys/types.h>

// tls_use makes the program a "server", or a client that is "open" or confined: by a "filter" of system calls from its beginning on, which forbids all
// but its own, or to read and write only, which is "strict", after its first request (seccomp(2)).
void tls_use(const char *name);

// transport is a program's own way to transfer records, like read(2) and write(2). of is what tls_begin was given.
struct transport {
	ssize_t (*receive)(void *of, void *data, size_t size);
	ssize_t (*send)(void *of, const void *data, size_t size);
};

// tls_begin shakes hands on a socket, whose records a transport transfers; NULL: the library. It returns 0 if that fails.
int tls_begin(int fd, const struct transport *t, void *of);

// tls_receive is a receive of common.h.
ssize_t tls_receive(int fd, char *buffer, size_t size);

void tls_send(int fd, const char *data, size_t size);

// tls_end ends the TLS of a socket, if it has any.
void tls_end(int fd);

// tls_goes_on is for after a request. It returns 0 if the next one is to have a connection of its own.
int tls_goes_on(void);

// tls_leave ends the program, which may be confined.
void tls_leave(void);

// confine_by_filter has the kernel kill the process at any system call but those that a client makes.
void confine_by_filter(void);

// confine_strictly leaves read, write and exit.
void confine_strictly(void);

#endif
