#define _GNU_SOURCE
#include "tls.h"
#include "common.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>

static gnutls_certificate_credentials_t credentials;

// connection is the TLS of a socket.
static struct connection {
	gnutls_session_t session;
	unsigned calls;
	int sends; // a call that sends has begun, and not ended
	const struct transport *transport;
	void *of;
} connections[65536]; // by descriptor

static struct connection *connection_of(int fd)
{
	errno = EBADF;
	check(fd >= 0 && fd < (int)(sizeof(connections) / sizeof(*connections)), "descriptor");
	return &connections[fd];
}

void tls_use(const char *name)
{
	errno = EINVAL;
	check(!strcmp(name, "open"), "tls_use"); // this is for clients, which are not confined
	check(!gnutls_certificate_allocate_credentials(&credentials), "credentials");
}

static ssize_t pull(gnutls_transport_ptr_t argument, void *data, size_t size)
{
	const struct connection *c = argument;
	return c->transport->receive(c->of, data, size);
}

static ssize_t push(gnutls_transport_ptr_t argument, const void *data, size_t size)
{
	const struct connection *c = argument;
	return c->transport->send(c->of, data, size);
}

int tls_begin(int fd, const struct transport *t, void *of)
{
	struct connection *c = connection_of(fd);
	check(!gnutls_init(&c->session, GNUTLS_CLIENT), "gnutls_init");
	check(!gnutls_set_default_priority(c->session), "priority");
	check(!gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, credentials), "credentials");
	c->sends = 0;
	c->transport = t;
	c->of = of;
	if (t) {
		gnutls_transport_set_ptr(c->session, c);
		gnutls_transport_set_pull_function(c->session, pull);
		gnutls_transport_set_push_function(c->session, push);
	} else {
		gnutls_transport_set_int(c->session, fd);
	}
	if (!gnutls_handshake(c->session))
		return 1;
	gnutls_deinit(c->session);
	c->session = NULL;
	return 0;
}

ssize_t tls_receive(int fd, char *buffer, size_t size)
{
	struct connection *c = connection_of(fd);
	char pieces[2][4096], *piece = pieces[c->calls++ & 1];
	ssize_t n;
	do
		n = gnutls_record_recv(c->session, piece, size < sizeof(*pieces) ? size : sizeof(*pieces));
	while (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED); // it was a ticket
	if (n <= 0)
		return n ? -1 : 0;
	memcpy(buffer, piece, n);
	memset(pieces, '#', sizeof(pieces));
	return n;
}

void tls_send(int fd, const char *data, size_t size)
{
	struct connection *c = connection_of(fd);
	char pieces[2][20000]; // it has two records, but a call sends one
	c->sends = 1;
	while (size) {
		char *piece = pieces[c->calls++ & 1];
		size_t n = size < sizeof(*pieces) ? size : sizeof(*pieces);
		memcpy(piece, data, n);
		ssize_t sent = gnutls_record_send(c->session, piece, n);
		check(sent > 0, "gnutls_record_send");
		memset(piece, '#', n);
		data += sent;
		size -= sent;
	}
	c->sends = 0;
}

void tls_end(int fd)
{
	struct connection *c = connection_of(fd);
	if (!c->session)
		return;
	if (!c->sends) // else it would send the record of a call that was left
		gnutls_bye(c->session, GNUTLS_SHUT_WR);
	gnutls_deinit(c->session);
	c->session = NULL;
}

int tls_goes_on(void) { return 1; }

void tls_leave(void) {}
