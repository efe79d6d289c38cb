/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What a socket sends shows whose records it carries: socket mode. */
#pragma once

/* Ties the socket that has sent length bytes to the object that wrote them, if one did. */
static __noinline int tie(struct sock *sk, struct socket_state *s, __u32 length)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 key = transfer_buf(DIRECTION_SENT);
	struct event_buf *event_buf;

	if (!may_tie(s))
		return 0;
	event_buf = bpf_map_lookup_elem(&event_bufs, &key);
	if (!event_buf)
		return 0;
	__builtin_memset(&event_buf->emission.g.from, 0, sizeof(event_buf->emission.g.from));
	if (!find_transfer(event_buf, task, (struct pt_regs *)bpf_task_pt_regs(task), sk, length, DIRECTION_SENT))
		return 0;
	return tie_sent(event_buf, s, length, key);
}

/* The state of a socket that is left out: its plaintext is to wait for nothing. */
static __always_inline struct socket_state *state_left_out(struct sock *sk)
{
	struct socket_state *s = sk->sk_protocol == IPPROTO_TCP ? bpf_sk_storage_get(&sockets, sk, 0, 0) : NULL;

	return s && s->ignored ? s : NULL;
}

/* Whether what a socket has transferred is what a TLS object has, which shows in what it sends. s NULL: it is not followed. */
static __always_inline bool ties(struct sock *sk, struct socket_state *s, __u32 length, __u32 direction)
{
	if (!s && direction == DIRECTION_SENT)
		s = state_left_out(sk);
	return s && ((direction == DIRECTION_SENT && tie(sk, s, length)) || is_tied(s));
}
