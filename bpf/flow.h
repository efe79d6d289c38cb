/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Both addresses of a socket, read from the socket. */
#pragma once

/*
 * A native IPv6 socket holds garbage in the v4 members, so the family decides; a v4-mapped address is unmapped in user
 * space. These reads need a pointer that the verifier knows to be a socket.
 */
static __always_inline void read_flow(struct flow *flow, const struct sock *sk)
{
	const struct sock_common *skc = &sk->__sk_common;
	__u32 *local = (__u32 *)flow->local, *remote = (__u32 *)flow->remote;

	flow->family = skc->skc_family;
	flow->local_port = skc->skc_num;
	flow->remote_port = bpf_ntohs(skc->skc_dport);
	flow->netns = bpf_core_field_exists(skc->skc_net.net) ? skc->skc_net.net->ns.inum : 0;
	if (flow->family == AF_INET6 && bpf_core_field_exists(skc->skc_v6_daddr)) {
		for (int i = 0; i < 4; i++) {
			local[i] = skc->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			remote[i] = skc->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	} else {
		for (int i = 1; i < 4; i++)
			local[i] = remote[i] = 0;
		local[0] = skc->skc_rcv_saddr;
		remote[0] = skc->skc_daddr;
	}
}

/* Reads the pair of sequence numbers, and returns whether a second reading agrees. */
static __always_inline bool read_initial_once(struct flow *flow, const struct tcp_sock *tp)
{
	flow->initial[DIRECTION_SENT] = tp->snd_una - (__u32)tp->bytes_acked;
	flow->initial[DIRECTION_RECEIVED] = tp->rcv_nxt - (__u32)tp->bytes_received;
	barrier();
	return flow->initial[DIRECTION_SENT] == tp->snd_una - (__u32)tp->bytes_acked &&
	       flow->initial[DIRECTION_RECEIVED] == tp->rcv_nxt - (__u32)tp->bytes_received;
}

/*
 * Sets the sequence numbers at which both directions began. They stay the same for as long as the connection lives, and are
 * random (RFC 6528). Of the end that connected, the one of the sent direction is one less than the first byte's. The kernel
 * writes a pair of members one after the other, perhaps now on another CPU: two readings have to agree. This is no loop, because
 * 6.1 takes none that begins in its middle, as the compiler may lay it out.
 */
static __always_inline void read_initial(struct flow *flow, const struct tcp_sock *tp)
{
	(void)(read_initial_once(flow, tp) || read_initial_once(flow, tp) || read_initial_once(flow, tp));
}

/* Reads the pair for any kernel pointer, and returns whether it is the one that was read before. */
static __always_inline bool probe_initial_again(struct flow *flow, const struct tcp_sock *tp)
{
	__u32 sent = BPF_CORE_READ(tp, snd_una) - (__u32)BPF_CORE_READ(tp, bytes_acked);
	__u32 received = BPF_CORE_READ(tp, rcv_nxt) - (__u32)BPF_CORE_READ(tp, bytes_received);
	bool agree = sent == flow->initial[DIRECTION_SENT] && received == flow->initial[DIRECTION_RECEIVED];

	flow->initial[DIRECTION_SENT] = sent;
	flow->initial[DIRECTION_RECEIVED] = received;
	return agree;
}

/* The same as read_initial for any kernel pointer. */
static __always_inline void probe_initial(struct flow *flow, const struct sock *sk)
{
	const struct tcp_sock *tp = (const void *)sk;

	probe_initial_again(flow, tp);
	(void)(probe_initial_again(flow, tp) || probe_initial_again(flow, tp) || probe_initial_again(flow, tp));
}

#define SOCK_COMMON_READ 128 /* struct sock_common up to skc_cookie is shorter than that on 64 bits */
#define READ_FROM(copy, type, member) (*(type *)((copy) + bpf_core_field_offset(struct sock_common, member)))

/*
 * The same, and the cookie, for any kernel pointer. Such reads are checked at run time and take a helper call each. So one
 * call copies all members at once.
 */
static __always_inline int probe_flow(struct flow *flow, const struct sock *sk)
{
	char skc[SOCK_COMMON_READ] __attribute__((aligned(8)));
	struct net *net;

	if (bpf_core_field_offset(struct sock_common, skc_cookie) > SOCK_COMMON_READ - 8 ||
	    bpf_probe_read_kernel(skc, sizeof(skc), sk))
		return -1;
	flow->cookie = READ_FROM(skc, __u64, skc_cookie);
	flow->family = READ_FROM(skc, __u16, skc_family);
	flow->local_port = READ_FROM(skc, __u16, skc_num);
	flow->remote_port = bpf_ntohs(READ_FROM(skc, __u16, skc_dport));
	net = READ_FROM(skc, struct net *, skc_net);
	flow->netns = BPF_CORE_READ(net, ns.inum);
	if (flow->family == AF_INET6) {
		__builtin_memcpy(flow->local, &READ_FROM(skc, char, skc_v6_rcv_saddr), sizeof(flow->local));
		__builtin_memcpy(flow->remote, &READ_FROM(skc, char, skc_v6_daddr), sizeof(flow->remote));
	} else {
		__builtin_memset(flow->local, 0, sizeof(flow->local));
		__builtin_memset(flow->remote, 0, sizeof(flow->remote));
		*(__u32 *)flow->local = READ_FROM(skc, __u32, skc_rcv_saddr);
		*(__u32 *)flow->remote = READ_FROM(skc, __u32, skc_daddr);
	}
	return 0;
}

/* Reads the remote end that a call names; 0: it is not one of IPv4 or IPv6. Not static: verified once. */
__noinline int read_remote(struct flow *flow, __u64 address)
{
	struct endpoint remote;

	if (!flow)
		return 0;
	read_endpoint(&remote, address);
	if (!is_inet(remote.family))
		return 0;
	flow->family = remote.family;
	set_remote(flow, &remote);
	return 1;
}
