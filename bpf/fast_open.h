/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * TCP fast open (RFC 7413): bytes are transferred before the end of the handshake. Such a connection is reported when it carries
 * its first bytes, and again when it is established.
 */
#pragma once

static __noinline int report_early(struct sock *sk, struct socket_state *s)
{
	struct reservation r;
	struct open_event *e;

	s->early = 1;
	identify(s, sk);
	if (!s->conn.started)
		s->conn.started = bpf_ktime_get_ns();
	if (s->ignored)
		return 0;
	e = begin_connection_open(&r, s);
	if (!e)
		return 0;
	e->state = sk->__sk_common.skc_state;
	submit(&r, e);
	if (s->conn.flow.role == ROLE_SERVER)
		take_early_accept(s, sk);
	return 0;
}

/* The state of a socket that has transferred bytes and was not established when that was last looked at. */
static __always_inline struct socket_state *open_early(struct sock *sk, struct socket_state *s)
{
	int state = sk->__sk_common.skc_state;

	if (!s)
		s = track(sk);
	if (s && s->closed) /* the attempt has failed within this call */
		return NULL;
	if (s && !s->early && (state == BPF_TCP_SYN_RECV || (state == BPF_TCP_SYN_SENT && s->conn.flow.role == ROLE_CLIENT)))
		report_early(sk, s);
	return s;
}
