/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Both addresses of a socket, read from the socket. */
#pragma once

/*
 * sk may be any kernel pointer: the reads are checked. A native IPv6 socket holds garbage in the v4 members, so
 * the family decides; a v4-mapped address is unmapped in user space.
 */
static __always_inline void read_flow(struct flow *flow, const struct sock *sk)
{
	flow->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	flow->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	flow->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	flow->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (flow->family == AF_INET6) {
		BPF_CORE_READ_INTO(&flow->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&flow->remote, sk, __sk_common.skc_v6_daddr);
	} else {
		__builtin_memset(flow->local, 0, sizeof(flow->local));
		__builtin_memset(flow->remote, 0, sizeof(flow->remote));
		BPF_CORE_READ_INTO((__u32 *)flow->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)flow->remote, sk, __sk_common.skc_daddr);
	}
}

static __always_inline bool is_inet(__u16 family)
{
	return family == AF_INET || family == AF_INET6;
}
