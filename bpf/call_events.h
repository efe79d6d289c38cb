/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The events of the syscall mode that tell of processes and sockets. */
#pragma once

/* What is remembered of a process; it begins when it is first heard of. */
static __always_inline struct process *process_of(__u32 pid)
{
	struct process *known = bpf_map_lookup_elem(&processes, &pid);
	if (known)
		return known;
	struct process fresh = {.start = bpf_ktime_get_boot_ns()};
	if (bpf_map_update_elem(&processes, &pid, &fresh, BPF_NOEXIST))
		count(COUNTER_PROCESS_MAP_FULL);
	return bpf_map_lookup_elem(&processes, &pid);
}

/* Nothing is begun here: the process may have ended, and nobody would take it away again. */
static __always_inline void head(struct event_header *h, __u32 kind, __u32 pid)
{
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	h->kind = kind;
	h->pid = pid;
	h->time = bpf_ktime_get_ns();
	h->start = p ? p->start : 0;
}

/* Makes sure that the shard has the description of the process that runs now. */
static __noinline int introduce(__u32 pid, __u32 shard)
{
	struct process *p = process_of(pid);
	__u32 bit = 1u << (shard & 31);
	struct process_event *e;
	struct image *image;

	if (!p || (p->told & bit))
		return 0;
	struct slot slot = reserve(shard, EVENT_PROCESS, sizeof(*e));
	e = slot.event;
	if (!e)
		return 0;
	head(&e->header, EVENT_PROCESS, pid);
	e->cgroup_id = bpf_get_current_cgroup_id();
	e->generation = p->generation;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->executable.used = e->cgroup.used = 0;
	e->args_len = e->environ_len = 0;
	e->args_cut = e->environ_cut = 0;
	e->executable_told = 1;
	e->netns = p->netns;
	image = bpf_map_lookup_elem(&images, &pid);
	if (image)
		describe_image(e, image);
	/* At once: what else there is to know of it is in /proc only, and it may be gone in a moment. */
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	count(COUNTER_EVENTS + EVENT_PROCESS);
	p->told |= bit;
	return 0;
}

static __always_inline void tell_descriptor(__u32 kind, __u32 pid, __u32 fd, __u64 id, __u32 shard)
{
	struct slot slot = reserve(shard, kind, sizeof(struct descriptor_event));
	struct descriptor_event *e = slot.event;

	if (!e)
		return;
	head(&e->header, kind, pid);
	e->cookie = id;
	e->fd = fd;
	e->pad = 0;
	submit(&slot, kind, sizeof(*e));
}

/* Tells of a socket's flow: that it was opened, has failed, or where it leads to. */
static __noinline int tell_flow(__u32 kind, struct call_socket *s, __u32 pid, __u32 fd, int error)
{
	__u32 shard = shard_of(s->flow.cookie);
	struct slot slot = reserve(shard, kind, sizeof(struct open_event));
	struct open_event *e = slot.event;

	if (!e)
		return 0;
	head(&e->header, kind, pid);
	e->flow = s->flow;
	e->cgroup = 0;
	e->started = s->started;
	e->state = 0;
	e->error = error;
	e->fd = fd;
	e->pad = 0;
	for (int i = 0; i < DIRECTIONS; i++)
		e->sequence[i] = 0;
	submit(&slot, kind, sizeof(*e));
	return 0;
}

/* The end of a socket, or of one of the descriptors that lead to it. */
static __noinline int tell_close(struct call_socket *s, __u32 pid)
{
	__u32 shard = shard_of(s->flow.cookie);
	struct slot slot = reserve(shard, EVENT_CLOSE, sizeof(struct close_event));
	struct close_event *e = slot.event;
	bool remote_first = s->finished == 1 + DIRECTION_RECEIVED;

	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e));
	head(&e->header, EVENT_CLOSE, pid);
	e->flow = s->flow;
	e->started = s->started;
	e->established = s->established;
	e->bytes_sent = s->streams[DIRECTION_SENT].position;
	e->bytes_received = s->streams[DIRECTION_RECEIVED].position;
	e->error = s->error;
	e->last_state = remote_first ? TCP_LAST_ACK : TCP_FIN_WAIT2;
	e->fin_received = remote_first;
	e->accepted_before = s->existing;
	e->uncounted = 1;
	for (int i = 0; i < DIRECTIONS; i++) {
		e->position[i] = s->streams[i].position;
		e->silent[i] = s->streams[i].silent;
	}
	submit(&slot, EVENT_CLOSE, sizeof(*e));
	return 0;
}
