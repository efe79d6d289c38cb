#define _GNU_SOURCE
#include "tls.h"
#include "common.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static SSL_CTX *context;
static BIO_METHOD *method; // of BIOs that have a transport
static int serves, filtered, strict, answered;

// connection is the TLS of a socket.
static struct connection {
	SSL *ssl;
	unsigned calls;
	const struct transport *transport;
	void *of;
} connections[65536]; // by descriptor

static struct connection *connection_of(int fd)
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

static int bio_read(BIO *bio, char *data, int size)
{
	const struct connection *c = BIO_get_data(bio);
	return c->transport->receive(c->of, data, size);
}

static int bio_write(BIO *bio, const char *data, int size)
{
	const struct connection *c = BIO_get_data(bio);
	return c->transport->send(c->of, data, size);
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transport");
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_control);
}

static BIO *new_bio(struct connection *c)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_method);
	BIO *bio = BIO_new(method);
	check(bio != NULL, "BIO_new");
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	return bio;
}

int tls_begin(int fd, const struct transport *t, void *of)
{
	struct connection *c = connection_of(fd);
	c->ssl = SSL_new(context);
	check(c->ssl != NULL, "SSL_new");
	c->transport = t;
	c->of = of;
	if (t) {
		BIO *bio = new_bio(c);
		SSL_set_bio(c->ssl, bio, bio);
	} else {
		check(SSL_set_fd(c->ssl, fd) == 1, "SSL_set_fd");
	}
	if ((serves ? SSL_accept : SSL_connect)(c->ssl) == 1)
		return 1;
	SSL_free(c->ssl);
	c->ssl = NULL;
	return 0;
}

ssize_t tls_receive(int fd, char *buffer, size_t size)
{
	struct connection *c = connection_of(fd);
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
	struct connection *c = connection_of(fd);
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
	struct connection *c = connection_of(fd);
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
