// The common part of the web server and the web client in C: ways to read a socket, HTTP/1.1 messages, and the account of a
// request. A program of a test ends at any unexpected result.
#ifndef COMMON_H
#define COMMON_H

#include <stddef.h>
#include <sys/types.h>

// receive takes up to size bytes from a socket, like read(2), by one way of the many there are.
typedef ssize_t receive(int fd, char *buffer, size_t size);

receive *receive_by_name(const char *name);

// stream reads a socket. Received bytes that have not been used yet are in buffer.
struct stream {
	int fd;
	receive *receive;
	char buffer[65536];
	size_t begin, end;
	char body; // what each byte of a body has to be; 0: anything
};

// message is the head of a request or of a response. The body has been read, and dropped.
struct message {
	char line[1024]; // the first line
	int length;      // Content-Length, -1 without it
	int chunked;
};

// read_message reads a whole message. head_only: no body follows, whatever the head says. It returns 0 at the end of the
// stream, -1 for an error, which errno has.
int read_message(struct stream *s, struct message *m, int head_only);

// end is one end of a connection.
struct end {
	char address[64];
	int port;
};

void local_end(int fd, struct end *e);
void peer_end(int fd, struct end *e);

// report writes the account of a request. error may be NULL.
void report(const char *role, const char *method, const char *target, int status, const struct end *local,
          const struct end *peer, const char *error);

// request is a line of a plan, and what is sent for it.
struct request {
	char method[16], target[512], head[1024];
	char *body; // allocated, with its framing around it
	size_t head_size, body_size, begin, size;
};

void parse_request(struct request *r, const char *line, const char *host);

// read_response reads the response to a request, and writes the account of that. It returns 0 if the connection has ended.
int read_response(struct stream *s, const struct request *r, const struct end *local, const struct end *peer);

// socket_for makes a socket for a numeric address, and the address to bind or connect it to.
struct sockaddr_storage;
int socket_for(const char *address, const char *port, struct sockaddr_storage *a, unsigned *length);

void check(int ok, const char *what);

#endif
