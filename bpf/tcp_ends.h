/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Both ends of TCP sockets, from tracepoints that show them. No call shows the port that connect has chosen, nor both ends of a socket that
 * was accepted without asking for an address.
 */
#pragma once

#define KNOWN_BOTH (KNOWN_LOCAL | KNOWN_REMOTE)

/* include/trace/events/sock.h. User space compares it with the running kernel's before it attaches the program. */
struct tcp_state_args {
	__u64 common;
	__u64 socket; /* the kernel's address of it: its identity while it connects */
	__u32 last_state;
	__u32 state;
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 protocol;
	__u32 local4;
	__u32 remote4;
	__u32 local[4]; /* v4-mapped where the socket's family is AF_INET */
	__u32 remote[4];
};

/* include/trace/events/tcp.h. The addresses do not lie at the same place in all kernels. */
struct tcp_receive_args {
	__u64 common;
	__u64 socket;
	__u16 local_port;
	__u16 remote_port;
};

const volatile __u32 tcp_receive_local_offset = 0; /* of its local and its remote address, one behind the other, v4-mapped */

/* Sockets in SYN_SENT, by the kernel's address of them: their identity. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u64);
	__type(value, __u64);
} connecting SEC(".maps");

/* An address as it is in the flow of a socket. */
static __always_inline void set_end(struct endpoint *end, const __u32 *mapped, __u16 port)
{
	__u32 *address = (__u32 *)end->address;

	end->port = port;
	end->family = AF_INET6;
	for (int i = 0; i < 4; i++)
		address[i] = mapped[i];
	unmap(end);
}

/* The tracepoint has shown both ends of an open or connecting socket. */
static __noinline int learn_both(struct socket_state *s, const struct endpoint *local, const struct endpoint *remote)
{
	learn_local(s, local);
	learn_remote(s, remote);
	s->conn.flow.source = ADDRESS_SOURCE_SOCK;
	if (s->emitted)
		emit_flow(EVENT_ADDRESS, &s->conn, s->conn.owner_pid, 0, 0);
	return 0;
}

/* The thread that connects a socket is in the call that does it: connect, or with fast open the first one that sends. */
static __always_inline void on_connecting(const struct tcp_state_args *args)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *c = bpf_map_lookup_elem(&calls, &tid);
	struct socket_state *s;
	__u64 socket = args->socket, id;

	if (!c || (c->nr != NR_CONNECT && !is_sending(c->nr)))
		return;
	id = c->id;
	s = socket_by_id(id);
	if (s && s->conn.flow.transport == TRANSPORT_TCP && s->stage != STAGE_LISTENING)
		bpf_map_update_elem(&connecting, &socket, &id, BPF_ANY);
}

/* A socket has left SYN_SENT. In which task that happens says nothing. */
static __always_inline void on_connected(const struct tcp_state_args *args)
{
	__u64 socket = args->socket;
	__u64 *id = bpf_map_lookup_elem(&connecting, &socket);
	struct socket_state *s = id ? socket_by_id(*id) : NULL;
	struct endpoint local, remote;
	__u32 addresses[8];

	if (id)
		bpf_map_delete_elem(&connecting, &socket);
	if (!s)
		return;
	if (bpf_probe_read_kernel(addresses, sizeof(addresses), (void *)args + __builtin_offsetof(struct tcp_state_args, local)))
		return;
	set_end(&local, addresses, args->local_port);
	set_end(&remote, addresses + 4, args->remote_port);
	if (args->state == BPF_TCP_ESTABLISHED)
		learn_both(s, &local, &remote);
	else if (specified(&local)) /* the attempt has failed */
		learn_local(s, &local);
}

static __always_inline int on_tcp_state(const struct tcp_state_args *args)
{
	if (args->protocol != IPPROTO_TCP)
		return 0;
	if (args->state == BPF_TCP_SYN_SENT)
		on_connecting(args);
	else if (args->last_state == BPF_TCP_SYN_SENT)
		on_connected(args);
	return 0;
}

/* Whether the ends can be those of the socket, as far as it is known: a softirq may receive for another one meanwhile. */
static __always_inline bool can_be(const struct socket_state *s, const struct endpoint *local, const struct endpoint *remote)
{
	const struct flow *f = &s->conn.flow;

	if (f->local_port && f->local_port != local->port)
		return false;
	return !(s->known & KNOWN_REMOTE) ||
	       (f->remote_port == remote->port && !__builtin_memcmp(f->remote, remote->address, ADDRESS_LEN));
}

/* The thread takes received bytes from a TCP socket, in the call that receives them. */
static __always_inline int on_tcp_receive(struct tcp_receive_args *args)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *c = bpf_map_lookup_elem(&calls, &tid);
	struct socket_state *s = c ? socket_by_id(c->id) : NULL;
	struct endpoint local, remote;
	__u32 addresses[8];

	if (!s || s->conn.flow.transport != TRANSPORT_TCP || (s->known & KNOWN_BOTH) == KNOWN_BOTH || is_sending(c->nr))
		return 0;
	if (bpf_probe_read_kernel(addresses, sizeof(addresses), (void *)args + tcp_receive_local_offset))
		return 0;
	set_end(&local, addresses, args->local_port);
	set_end(&remote, addresses + 4, args->remote_port);
	if (!can_be(s, &local, &remote))
		return 0;
	learn_both(s, &local, &remote);
	return 0;
}
