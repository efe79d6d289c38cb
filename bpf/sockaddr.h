/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Addresses of sockets in the memory of the task that runs now. */
#pragma once

struct endpoint {
	__u8 address[ADDRESS_LEN];
	__u16 port;
	__u16 family; /* 0: it could not be read */
};

static __always_inline void read_endpoint(struct endpoint *end, __u64 address)
{
	struct sockaddr_any any = {};

	__builtin_memset(end, 0, sizeof(*end));
	/* That of IPv4 is shorter, and may be the last in its page. */
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

static __always_inline void set_local(struct flow *flow, const struct endpoint *end)
{
	__builtin_memcpy(flow->local, end->address, ADDRESS_LEN);
	flow->local_port = end->port;
}

static __always_inline void set_remote(struct flow *flow, const struct endpoint *end)
{
	__builtin_memcpy(flow->remote, end->address, ADDRESS_LEN);
	flow->remote_port = end->port;
}
