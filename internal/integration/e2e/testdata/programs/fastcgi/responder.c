// A FastCGI responder without a library: one request at a time, on the Unix socket or the TCP port of 127.0.0.1 that is its argument. A path
// with "busy" in it is answered 503, and one with "overloaded" is refused.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, KEEP = 1, OVERLOADED = 2 };

static int all(int fd, unsigned char *to, size_t n)
{
	for (size_t have = 0; have < n;) {
		ssize_t got = read(fd, to + have, n - have);
		if (got <= 0)
			return 0;
		have += got;
	}
	return 1;
}

static size_t record(unsigned char *to, int type, const unsigned char *id, const void *body, size_t n)
{
	const unsigned char header[8] = {1, type, id[0], id[1], n >> 8, n & 0xff, 0, 0};
	memcpy(to, header, 8);
	memcpy(to + 8, body, n);
	return 8 + n;
}

static int contains(const unsigned char *bytes, size_t n, const char *word)
{
	return memmem(bytes, n, word, strlen(word)) != NULL;
}

static void answer(int fd, const unsigned char *id, const unsigned char *params, size_t n)
{
	unsigned char out[1024], end[8] = {0};
	const char *text = contains(params, n, "busy") ? "Status: 503 Busy\r\n\r\n" : "Content-Type: text/plain\r\n\r\nhello";
	size_t length = 0;
	if (contains(params, n, "overloaded"))
		end[4] = OVERLOADED;
	else
		length = record(out, STDOUT, id, text, strlen(text)), length += record(out + length, STDOUT, id, "", 0);
	length += record(out + length, END, id, end, sizeof end);
	if (write(fd, out, length) < 0)
		perror("write");
}

static void serve(int fd)
{
	static unsigned char params[1 << 20], body[1 << 17];
	unsigned char header[8];
	size_t have = 0;
	int keep = 0;
	while (all(fd, header, 8)) {
		size_t n = header[4] << 8 | header[5];
		if (!all(fd, body, n + header[6]))
			break;
		if (header[1] == BEGIN) {
			keep = body[2] & KEEP;
			have = 0;
		} else if (header[1] == PARAMS && have + n <= sizeof params) {
			memcpy(params + have, body, n);
			have += n;
		} else if (header[1] == STDIN && n == 0) {
			answer(fd, header + 2, params, have);
			if (!keep)
				break;
		}
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_un path = {.sun_family = AF_UNIX};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *at = (struct sockaddr *)&address;
	socklen_t size = sizeof address;
	if (argc != 2)
		return 2;
	if (argv[1][0] == '/') {
		snprintf(path.sun_path, sizeof path.sun_path, "%s", argv[1]);
		at = (struct sockaddr *)&path;
		size = sizeof path;
	}
	address.sin_port = htons(atoi(argv[1]));
	int fd = socket(at->sa_family, SOCK_STREAM, 0), one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (fd < 0 || bind(fd, at, size) || listen(fd, 16)) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		int accepted = accept(fd, NULL, NULL);
		if (accepted >= 0)
			serve(accepted);
	}
}
