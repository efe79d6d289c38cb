#define _GNU_SOURCE
#include "tls.h"
#include "common.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static SSL_CTX *context;
static int serves, filtered, strict, answered;

// connection is the TLS of a socket.
static struct connection {
	SSL *ssl;
	unsigned calls;
} connections[65536]; // by descriptor

static struct connection *of(int fd)
{
	errno = EBADF;
	check(fd >= 0 && fd < (int)(sizeof(connections) / sizeof(*connections)), "descriptor");
	return &connections[fd];
}

// keep_heap has malloc make no system call later.
static void keep_heap(void)
{
	check(mallopt(M_TOP_PAD, 64 << 20) && mallopt(M_TRIM_THRESHOLD, 1 << 30) && mallopt(M_MMAP_THRESHOLD, 1 << 25), "mallopt");
}

static void load(const char *certificate, const char *key)
{
	errno = EINVAL;
	check(SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) == 1, certificate);
	check(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1, key);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); // there may be a thousand connections
}

void tls_use(const char *name)
{
	static char lines[4096];
	struct rlimit files;
	check(!getrlimit(RLIMIT_NOFILE, &files), "getrlimit");
	files.rlim_cur = files.rlim_max;
	check(!setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	serves = !strcmp(name, "server");
	filtered = !strcmp(name, "filter");
	strict = !strcmp(name, "strict");
	if (strict)
		keep_heap();
	setvbuf(stdin, lines, _IOFBF, sizeof(lines)); // without a look at what it is
	context = SSL_CTX_new(TLS_method());
	check(context != NULL, "SSL_CTX_new");
	if (serves)
		load(getenv("TLS_CERTIFICATE"), getenv("TLS_KEY"));
	if (filtered)
		confine_by_filter();
}

SSL *tls_begin(int fd, BIO *bio)
{
	struct connection *c = of(fd);
	c->ssl = SSL_new(context);
	check(c->ssl != NULL, "SSL_new");
	if (bio)
		SSL_set_bio(c->ssl, bio, bio);
	else
		check(SSL_set_fd(c->ssl, fd) == 1, "SSL_set_fd");
	if ((serves ? SSL_accept : SSL_connect)(c->ssl) == 1)
		return c->ssl;
	SSL_free(c->ssl);
	return c->ssl = NULL;
}

ssize_t tls_receive(int fd, char *buffer, size_t size)
{
	struct connection *c = of(fd);
	char pieces[2][4096], *piece = pieces[c->calls++ & 1];
	int n = SSL_read(c->ssl, piece, size < sizeof(*pieces) ? size : sizeof(*pieces));
	if (n <= 0)
		return SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
	memcpy(buffer, piece, n);
	memset(pieces, '#', sizeof(pieces));
	return n;
}

void tls_send(int fd, const char *data, size_t size)
{
	struct connection *c = of(fd);
	char pieces[2][20000]; // one has two records
	while (size) {
		char *piece = pieces[c->calls++ & 1];
		size_t n = size < sizeof(*pieces) ? size : sizeof(*pieces);
		memcpy(piece, data, n);
		check(SSL_write(c->ssl, piece, n) == (int)n, "SSL_write");
		memset(piece, '#', n);
		data += n;
		size -= n;
	}
}

void tls_end(int fd)
{
	struct connection *c = of(fd);
	if (!c->ssl)
		return;
	SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	c->ssl = NULL;
}

int tls_goes_on(void)
{
	if (strict && !answered++)
		confine_strictly();
	return !filtered || ++answered % 16;
}

void tls_leave(void)
{
	if (strict)
		syscall(SYS_exit, 0);
}
