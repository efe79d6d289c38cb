/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* How user space controls and queries the programs of the syscall mode while they are attached. */
#pragma once

/*
 * Memory that user space shares with a program that it runs. The map operations of bpf(2) could do the same. But during
 * these the kernel skips every program of a perf event on that CPU (bpf_disable_instrumentation in kernel/bpf/syscall.c,
 * trace_call_bpf in kernel/trace/bpf_trace.c). If a task can be preempted in the kernel, other tasks run on the CPU
 * meanwhile, and their calls are missed.
 */
struct control {
	struct socket_state socket;
	struct unix_names names;
	struct call call;
	struct descriptor descriptor;
	struct datagram_key datagram_key;
	struct datagram_flow datagram_flow;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

static __always_inline struct control *control(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&controls, &zero);
}

/* Stores an answer, if the question is still the last one. */
static __noinline int answer(__u32 pid, __u32 fd, __u64 question, __u64 id)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = bpf_map_lookup_elem(&descriptors, &key);
	struct answer a = {.question = question, .id = id};

	if (!d || d->kind != DESCRIPTOR_ASKED || d->id != question)
		return 0;
	bpf_map_update_elem(&answers, &key, &a, BPF_ANY);
	if (id)
		mark(pid, fd, TABLE_OPEN);
	return 0;
}

/* User space has found a socket. question: 0: nobody asked. */
static __always_inline int on_adopted(__u32 pid, __u32 fd, __u64 question)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct control *m = control();
	struct descriptor *d, found = {.kind = DESCRIPTOR_SOCKET};
	int failed; /* see is_first_to_open */

	if (!m)
		return 0;
	found.id = m->socket.conn.flow.cookie;
	failed = bpf_map_update_elem(&call_sockets, &found.id, &m->socket, BPF_NOEXIST);
	if (failed && failed != -EEXIST)
		return failed;
	if (m->names.local_length) {
		failed = bpf_map_update_elem(&names, &found.id, &m->names, BPF_ANY);
		if (failed)
			return failed;
	}
	if (question) {
		answer(pid, fd, question, found.id);
		return 0;
	}
	/* A call may have bound the descriptor meanwhile: then the call is right. Or it may have asked: then this is the answer. */
	if (!bpf_map_update_elem(&descriptors, &key, &found, BPF_NOEXIST)) {
		mark(pid, fd, TABLE_OPEN);
		return 0;
	}
	d = bpf_map_lookup_elem(&descriptors, &key);
	if (d && d->kind == DESCRIPTOR_ASKED)
		answer(pid, fd, d->id, found.id);
	return 0;
}

static __always_inline int on_look_up(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = bpf_map_lookup_elem(&descriptors, &key);
	struct control *m = control();

	if (!d || !m)
		return 0;
	resolve(&key, d, &m->descriptor);
	return 1;
}

/* id: of the socket, as on_look_up has returned it. */
static __always_inline int on_vanished(__u32 pid, __u32 fd, __u64 id)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = bpf_map_lookup_elem(&descriptors, &key);
	struct descriptor resolved;

	if (!d)
		return 0;
	resolve(&key, d, &resolved);
	if (resolved.id != id)
		return 0; /* the number is another's already */
	bpf_map_delete_elem(&descriptors, &key);
	if (resolved.kind == DESCRIPTOR_SOCKET)
		sock_put(pid, fd, id);
	return 0;
}

static __always_inline int on_blocked(__u32 tid)
{
	struct control *m = control();

	return m ? bpf_map_update_elem(&calls, &tid, &m->call, BPF_NOEXIST) : 0;
}

static __always_inline int on_left(__u32 tid)
{
	return bpf_map_delete_elem(&calls, &tid);
}

enum datagram_state {
	DATAGRAMS_UNKNOWN = 0, /* there is no such flow yet, or no more */
	DATAGRAMS_LIVE,
	DATAGRAMS_ENDED, /* and it is forgotten */
};

static __always_inline int on_datagrams_asked(void)
{
	struct control *m = control();
	struct datagram_key key;
	struct datagram_flow *d;
	__u64 now = bpf_ktime_get_ns();

	if (!m)
		return DATAGRAMS_UNKNOWN;
	key = m->datagram_key;
	d = bpf_map_lookup_elem(&datagrams, &key);
	if (!d)
		return DATAGRAMS_UNKNOWN;
	m->datagram_flow = *d;
	if (d->last > now || now - d->last < datagram_idle)
		return DATAGRAMS_LIVE;
	note_end(&key);
	bpf_map_delete_elem(&datagrams, &key);
	return DATAGRAMS_ENDED;
}
