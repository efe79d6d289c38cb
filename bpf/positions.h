/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Where the streams of a TCP socket are. A position is a 64-bit count of bytes; the kernel has sequence numbers of 32 bits.
 */
#pragma once

/* Position 0 of both streams is the connection's first byte, which may have come with the SYN. */
static __always_inline void begin_streams(struct socket_state *s, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct flow *flow = &s->conn.flow;

	if (!tp)
		return;
	read_initial(flow, tp);
	s->conn.streams[DIRECTION_SENT].sequence = flow->initial[DIRECTION_SENT] + (flow->role == ROLE_CLIENT);
	s->conn.streams[DIRECTION_RECEIVED].sequence = flow->initial[DIRECTION_RECEIVED];
}

/* The position of a direction at a sequence number of the socket. It never goes back. */
static __always_inline __u64 position_at(const struct stream *stream, __u32 sequence)
{
	__s32 ahead = sequence - stream->sequence - (__u32)stream->position;

	return stream->position + (ahead > 0 ? ahead : 0);
}

static __always_inline bool fin_received(const struct sock *sk)
{
	return sk->__sk_common.skc_flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE) & 1;
}

/*
 * The position up to which a program has received. The call that receives the last bytes also consumes the FIN behind them,
 * which has a sequence number and is no byte (tcp_recvmsg_locked, found_fin_ok).
 */
static __always_inline __u32 received_sequence(const struct sock *sk, const struct tcp_sock *tp)
{
	__u32 sequence = tp->copied_seq;

	return sequence - (fin_received(sk) && sequence == tp->rcv_nxt);
}

/*
 * The stream is at a sequence number, and the kernel has counted about so many bytes of it. Position 0 is the initial sequence number, so that the end
 * that connected counts its SYN, too.
 */
static __always_inline void join_stream(struct stream *stream, __u32 initial, __u32 sequence, __u64 counted)
{
	stream->sequence = initial;
	stream->position = counted + (__s32)(sequence - initial - (__u32)counted);
}

/* Both directions of a connection are under way. */
static __always_inline void join_streams(struct socket_state *s, const struct sock *sk, const struct tcp_sock *tp, const struct flow *flow)
{
	join_stream(&s->conn.streams[DIRECTION_SENT], flow->initial[DIRECTION_SENT], tp->write_seq, tp->bytes_acked);
	join_stream(&s->conn.streams[DIRECTION_RECEIVED], flow->initial[DIRECTION_RECEIVED], received_sequence(sk, tp), tp->bytes_received);
}

/* Bytes that have arrived in order and that no program has received. */
static __always_inline __u32 unread(const struct sock *sk, const struct tcp_sock *tp)
{
	return tp->rcv_nxt - received_sequence(sk, tp) - fin_received(sk);
}

/* In these states a FIN has been sent. It takes a sequence number. */
static __always_inline bool is_fin_sent(int state)
{
	return state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 || state == BPF_TCP_CLOSING || state == BPF_TCP_LAST_ACK ||
	       state == BPF_TCP_TIME_WAIT;
}

/* Where both directions are at a change of state. */
static __always_inline void set_last_positions(__u64 *position, const struct socket_state *s, const struct sock *sk,
					       const struct tcp_sock *tp, int last_state)
{
	const struct stream *streams = s->conn.streams;

	position[DIRECTION_SENT] = position_at(&streams[DIRECTION_SENT], tp->write_seq - is_fin_sent(last_state));
	position[DIRECTION_RECEIVED] = position_at(&streams[DIRECTION_RECEIVED], received_sequence(sk, tp));
}
