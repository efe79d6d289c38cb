/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * With TCP fast open, accept hands out a socket whose handshake has not ended, and which has no cookie yet. The exit of accept
 * cannot give it one, because it finds the socket through the fd table. It leaves a note, which is read once a hook has the socket.
 */
#pragma once

struct early_accept {
	__u64 start;
	__u64 cgroup;
	__u32 pid;
	__u16 remote_port; /* host order; the note is about another socket that was at the same address if it differs */
	__u16 out;         /* the rules leave it out */
};

/* By the address of the kernel's socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct early_accept);
} early_accepts SEC(".maps");

static __always_inline void note_early_accept(const struct sock *sk, struct owner *owner, struct process *known, __u16 remote_port,
					      bool out)
{
	struct early_accept note = {
		.start = owner->start, .cgroup = owner->cgroup, .pid = owner->pid, .remote_port = remote_port, .out = out,
	};
	__u64 key = (__u64)sk;

	if (out)
		count(COUNTER_IGNORED);
	else
		emit_process_everywhere(owner, known); /* the cookie decides on the shard */
	bpf_map_update_elem(&early_accepts, &key, &note, BPF_ANY);
}

/* Emits the accept of a connection if there is a note of it. That is so only if its first bytes came with the SYN. */
static __always_inline void take_early_accept(const struct socket_state *s, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct owner owner = {};
	struct early_accept *note;
	struct open_event *e;
	struct reservation r;
	__u64 key = (__u64)sk;
	__u8 observed;

	if (!tp || !tp->bytes_received)
		return;
	note = bpf_map_lookup_elem(&early_accepts, &key);
	if (!note || note->remote_port != s->conn.flow.remote_port)
		return;
	owner.pid = note->pid;
	owner.start = note->start;
	owner.cgroup = note->cgroup;
	observed = !note->out;
	bpf_map_delete_elem(&early_accepts, &key);
	if (rules_count)
		bpf_map_update_elem(&accepted, &s->conn.flow.cookie, &observed, BPF_ANY);
	if (!observed)
		return;
	e = begin_owned_open(&r, EVENT_ACCEPT, &s->conn.flow, &owner);
	if (e)
		submit(&r, e);
}
