/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What is known only at the exit of a system call: which task accepted a connection, and why a connect failed that
 * never reached SYN_SENT. The exit of a call that was blocked when the programs were attached is seen, too.
 */
#pragma once

/* What is behind a descriptor of the current task, or NULL. */
static __always_inline struct file *file_of(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* The socket behind it, or NULL. */
static __always_inline struct sock *any_socket_of(__u32 fd)
{
	struct file *file = file_of(fd);
	struct socket *socket;

	if (!file)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	/* Another thread may have closed the descriptor and put another file there: a socket points back at its file. */
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return NULL;
	return BPF_CORE_READ(socket, sk);
}

/* The TCP socket behind a descriptor of the current task, or NULL. */
static __always_inline struct sock *socket_of(__u32 fd)
{
	struct sock *sk = any_socket_of(fd);

	if (!sk || !is_inet(BPF_CORE_READ(sk, __sk_common.skc_family)))
		return NULL;
	__u16 protocol = BPF_CORE_READ(sk, sk_protocol);
	if (protocol == IPPROTO_MPTCP && bpf_core_type_exists(struct mptcp_sock)) {
		struct mptcp_sock *msk = (void *)sk;
		sk = BPF_CORE_READ(msk, first);
		protocol = sk ? BPF_CORE_READ(sk, sk_protocol) : 0;
	}
	return protocol == IPPROTO_TCP ? sk : NULL;
}

static __always_inline void emit_open(__u32 kind, const struct owner *owner, const struct flow *flow, int error)
{
	struct reservation r;
	struct open_event *e = begin_owned_open(&r, kind, flow, owner);

	if (!e)
		return;
	e->error = error;
	submit(&r, e);
}

static __always_inline void on_accept_exit(long fd)
{
	struct owner owner;
	struct process *known;
	struct flow flow = {};
	struct sock *sk;
	bool out;

	if (fd < 0)
		return;
	sk = socket_of(fd);
	if (!sk)
		return;
	known = current_owner(&owner);
	if (owner.pid == excluded_pid)
		return;
	if (probe_flow(&flow, sk))
		return;
	flow.role = ROLE_SERVER;
	flow.role_source = ROLE_SOURCE_ACCEPT;
	out = left_out(&owner, flow.local_port, flow.remote_port);
	if (!flow.cookie) {
		if (BPF_CORE_READ(sk, __sk_common.skc_state) == BPF_TCP_SYN_RECV)
			note_early_accept(sk, &owner, known, flow.remote_port, out);
		else /* its listener is not tracked */
			count(COUNTER_ACCEPT_UNKNOWN);
		return;
	}
	if (rules_count) {
		__u8 observed = !out;
		bpf_map_update_elem(&accepted, &flow.cookie, &observed, BPF_ANY);
	}
	if (out) {
		count(COUNTER_IGNORED);
		return;
	}
	probe_initial(&flow, sk);
	emit_process_once(&owner, known, shard_of(flow.cookie));
	emit_open(EVENT_ACCEPT, &owner, &flow, 0);
}

static __always_inline void on_connect_exit(long ret)
{
	struct owner owner;
	struct process *known;
	struct flow flow = {};
	struct sock *sk;

	if (!is_failure(-ret))
		return;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	sk = socket_of(SYSCALL_ARG1(regs));
	/* Established: the error is about a second connect. */
	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_state) != BPF_TCP_CLOSE)
		return;
	known = current_owner(&owner);
	if (owner.pid == excluded_pid)
		return;
	if (probe_flow(&flow, sk))
		return;
	flow.role = ROLE_CLIENT;
	flow.role_source = ROLE_SOURCE_CONNECT;
	if (!read_remote(&flow, SYSCALL_ARG2(regs)))
		return;
	if (flow.family == AF_INET)
		__builtin_memset(flow.local + 4, 0, 12);
	if (left_out(&owner, flow.local_port, flow.remote_port)) {
		count(COUNTER_IGNORED);
		return;
	}
	emit_process_once(&owner, known, shard_of(flow.cookie));
	emit_open(EVENT_CONNECT_ERROR, &owner, &flow, -ret);
}
