/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* An end of a socket, as a call names it. */
#pragma once

struct end {
	__u8 address[ADDRESS_LEN];
	__u16 port;
	__u16 family; /* 0: it could not be read, or is of no interest */
};

static __always_inline void read_end(struct end *end, __u64 address)
{
	struct sockaddr_any any = {};

	__builtin_memset(end, 0, sizeof(*end));
	if (!address ||
	    (bpf_probe_read_user(&any, sizeof(any), (void *)address) && bpf_probe_read_user(&any, 16, (void *)address)))
		return;
	end->family = any.family;
	end->port = bpf_ntohs(any.port);
	if (any.family == AF_INET6)
		__builtin_memcpy(end->address, any.v6.addr, ADDRESS_LEN);
	else
		__builtin_memcpy(end->address, any.v4, 4);
}

static __always_inline bool specified(const struct end *end)
{
	const __u32 *a = (const __u32 *)end->address;
	return end->port && (a[0] | a[1] | a[2] | a[3]);
}

static __always_inline void set_local(struct call_socket *s, const struct end *end)
{
	__builtin_memcpy(s->flow.local, end->address, ADDRESS_LEN);
	s->flow.local_port = end->port;
	if (specified(end))
		s->known |= KNOWN_LOCAL;
}

static __always_inline void set_remote(struct call_socket *s, const struct end *end)
{
	__builtin_memcpy(s->flow.remote, end->address, ADDRESS_LEN);
	s->flow.remote_port = end->port;
	if (specified(end))
		s->known |= KNOWN_REMOTE;
}
