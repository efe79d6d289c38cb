// Ways to read and to write a socket through io_uring.
#ifndef URING_H
#define URING_H

#include <sys/types.h>
#include <sys/uio.h>

// uring_use sets the way of all threads by its name, SETUP/RECEIVE/SEND: see uring.c.
void uring_use(const char *name);

// uring_receive is like read(2).
ssize_t uring_receive(int fd, char *buffer, size_t size);

// uring_send sends all of these buffers.
void uring_send(int fd, const struct iovec *buffers, int count);

// uring_end releases what the thread has.
void uring_end(void);

#endif
