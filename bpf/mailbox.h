/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What user space tells the programs of the syscall mode while they are attached, and asks them. */
#pragma once

/*
 * Shared memory for what user space and a program that it runs hand each other. User space could do the same with the
 * operations on maps of bpf(2), but in these the kernel skips every program of a perf event on that CPU
 * (bpf_disable_instrumentation in kernel/bpf/syscall.c, trace_call_bpf in kernel/trace/bpf_trace.c). Where a task can be
 * preempted in the kernel, those that run in its stead meanwhile make calls that nobody sees.
 */
struct mailbox {
	struct call_socket socket;
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
	__type(value, struct mailbox);
} mailboxes SEC(".maps");

static __always_inline struct mailbox *mailbox(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&mailboxes, &zero);
}

/*
 * User space has found where the descriptor leads to; 0: to nothing that is followed. It may answer a question, 0: nobody asked.
 * What calls have told meanwhile is right, and so is a later question.
 */
static __noinline int settle(__u32 pid, __u32 fd, __u64 question, __u64 id)
{
	struct descriptor *d = descriptor_of(pid, fd);

	if (d && d->kind != DESCRIPTOR_ASKED)
		return 0;
	if (question && (!d || d->id != question))
		return 0;
	if (id)
		lead(pid, fd, id, 0);
	else
		lead_elsewhere(pid, fd);
	return 0;
}

static __always_inline int on_adopted(__u32 pid, __u32 fd, __u64 question)
{
	struct mailbox *m = mailbox();
	long failed;
	__u64 id;

	if (!m)
		return 0;
	id = m->socket.flow.cookie;
	failed = bpf_map_update_elem(&call_sockets, &id, &m->socket, BPF_NOEXIST);
	if (failed && failed != -EEXIST)
		return failed;
	if (m->names.local_length) {
		failed = bpf_map_update_elem(&names, &id, &m->names, BPF_ANY);
		if (failed)
			return failed;
	}
	settle(pid, fd, question, id);
	return 0;
}

static __always_inline int on_look_up(__u32 pid, __u32 fd)
{
	struct descriptor *d = descriptor_of(pid, fd);
	struct mailbox *m = mailbox();

	if (!d || !m)
		return 0;
	m->descriptor = *d;
	return 1;
}

/* id: what was known of it. */
static __always_inline int on_vanished(__u32 pid, __u32 fd, __u64 id)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = bpf_map_lookup_elem(&descriptors, &key);

	if (!d || d->id != id)
		return 0; /* the number is another's already */
	if (d->kind == DESCRIPTOR_SOCKET)
		drop(pid, fd);
	else
		bpf_map_delete_elem(&descriptors, &key);
	return 0;
}

static __always_inline int on_blocked(__u32 tid)
{
	struct mailbox *m = mailbox();

	return m ? bpf_map_update_elem(&calls, &tid, &m->call, BPF_NOEXIST) : 0;
}

enum datagram_state {
	DATAGRAMS_UNKNOWN = 0, /* there is no such flow yet, or no more */
	DATAGRAMS_LIVE,
	DATAGRAMS_ENDED, /* and it is forgotten */
};

static __always_inline int on_datagrams_asked(void)
{
	struct mailbox *m = mailbox();
	struct datagram_key key;
	struct datagram_flow *d;
	__u64 now = bpf_ktime_get_ns();

	if (!m)
		return DATAGRAMS_UNKNOWN;
	key = m->datagram_key;
	d = bpf_map_lookup_elem(&datagrams, &key);
	if (!d || d->closed) /* closed: it is being made */
		return DATAGRAMS_UNKNOWN;
	m->datagram_flow = *d;
	if (d->last > now || now - d->last < datagram_idle)
		return DATAGRAMS_LIVE;
	bpf_map_delete_elem(&datagrams, &key);
	return DATAGRAMS_ENDED;
}
