/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The events of the syscall mode about processes, descriptors and sockets. */
#pragma once

/* Returns the entry of a process, and creates it if there is none. Its start is the time when the process was first seen. */
static __always_inline struct process *process_of(__u32 pid)
{
	struct process *known = bpf_map_lookup_elem(&processes, &pid);
	if (known)
		return known;
	struct process fresh = {.start = bpf_ktime_get_boot_ns()};
	return remember_process(pid, &fresh, BPF_NOEXIST);
}

/* This creates no entry: the process may have ended, and then nothing would delete the entry. */
static __always_inline __u64 start_of(__u32 pid)
{
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	return p ? p->start : 0;
}

/* Emits the description of the process that runs now, unless the shard has it. */
__noinline int emit_process_once(__u32 pid, __u32 shard)
{
	struct process *p = process_of(pid);
	__u32 bit = 1u << (shard & 31);
	struct process_event *e;
	struct reservation r;
	struct image *image;

	if (!p || (p->emitted & bit))
		return 0;
	e = begin_process(&r, shard, pid, p->start);
	if (!e)
		return 0;
	e->generation = p->generation;
	e->executable_from_call = 1;
	e->netns = p->netns;
	image = bpf_map_lookup_elem(&images, &pid);
	if (image)
		describe_image(e, image);
	submit_urgently(&r, e); /* the rest of the description is in /proc, and may be gone in a moment */
	p->emitted |= bit;
	return 0;
}

static __always_inline struct descriptor_event *begin_descriptor(struct reservation *r, __u32 kind, __u32 pid, __u32 fd, __u64 id,
								 __u32 shard)
{
	struct descriptor_event *e = begin_event(r, shard, kind, sizeof(*e));

	if (!e)
		return NULL;
	e->header.pid = pid;
	e->header.start = start_of(pid);
	e->cookie = id;
	e->fd = fd;
	return e;
}

/*
 * The socket was opened, has failed, or has another address. The event of an open is reserved before other threads can know of it, so
 * that none of theirs comes before it in the ring buffer.
 */
static __noinline int emit_flow(__u32 kind, struct connection *c, __u32 pid, __u32 fd, int error)
{
	struct reservation r;
	struct open_event *e = begin_open(&r, kind, &c->flow);

	if (!e)
		return 0;
	e->header.pid = pid;
	e->header.start = start_of(pid);
	e->started = c->started;
	e->error = error;
	e->fd = fd;
	if (kind != EVENT_OPEN || is_first_to_open(c->flow.cookie))
		submit(&r, e);
	else
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The socket has ended, or one of the descriptors that lead to it. */
static __noinline int emit_close(struct socket_state *s)
{
	struct reservation r;
	struct close_event *e = begin_close(&r, EVENT_CLOSE, &s->conn, s->conn.flow.cookie, DIRECTION_SENT);

	if (!e)
		return 0;
	e->header.start = start_of(s->conn.owner_pid);
	e->error = s->error;
	e->fin_received = s->at_end;
	e->last_state = s->finished == 1 + DIRECTION_RECEIVED ? BPF_TCP_LAST_ACK : BPF_TCP_FIN_WAIT2;
	e->uncounted = 1;
	submit(&r, e);
	return 0;
}
