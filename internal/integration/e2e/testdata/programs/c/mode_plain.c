/*
 * A client and a server in C that never ask a socket for its addresses, as most programs in C do.
 *
 *   mode_plain server HOST PORT CONNECTIONS          serves so many connections, one after the other
 *   mode_plain client HOST PORT CONNECTIONS PREFIX   makes three requests on each, for /PREFIX/<connection>/<request>
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Reads up to the empty line that ends a head; returns how much there is then, or 0 at the end. */
static size_t read_head(int fd, char *buffer, size_t size)
{
	size_t length = 0;

	for (;;) {
		ssize_t n = read(fd, buffer + length, size - 1 - length);

		if (n < 0)
			die("read");
		if (n == 0)
			return 0;
		length += n;
		buffer[length] = 0;
		if (strstr(buffer, "\r\n\r\n"))
			return length;
	}
}

static void write_all(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("write");
}

static void serve(const struct sockaddr_in *on, int connections)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char buffer[4096];

	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(listener, (const struct sockaddr *)on, sizeof(*on)) || listen(listener, 64))
		die("listen");
	while (connections--) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		while (read_head(fd, buffer, sizeof(buffer)))
			write_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		close(fd);
	}
}

static void ask(const struct sockaddr_in *to, int connections, const char *prefix)
{
	char buffer[4096];

	for (int i = 0; i < connections; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
			die("connect");
		for (int request = 0; request < 3; request++) {
			snprintf(buffer, sizeof(buffer), "GET /%s/%d/%d HTTP/1.1\r\nHost: plain.test\r\n\r\n", prefix, i, request);
			write_all(fd, buffer);
			if (!read_head(fd, buffer, sizeof(buffer)))
				die("no answer");
		}
		close(fd);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};

	if (argc < 5 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)
		return 2;
	address.sin_port = htons(atoi(argv[3]));
	if (!strcmp(argv[1], "server"))
		serve(&address, atoi(argv[4]));
	else if (argc > 5)
		ask(&address, atoi(argv[4]), argv[5]);
	return 0;
}
