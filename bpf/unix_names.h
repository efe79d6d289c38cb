/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The names of Unix sockets: from the arguments of bind and connect. */
#pragma once

struct unix_names {
	__u8 local_length, remote_length;
	__u8 pad[6];
	char local[UNIX_PATH_LEN];
	char remote[UNIX_PATH_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct unix_names);
} names SEC(".maps");

static const struct unix_names no_names;

/* Stores the name that a Unix socket was bound or connected to. */
static __noinline int name_unix(__u64 id, __u64 address, __u32 length, __u32 remote)
{
	struct unix_names *n = bpf_map_lookup_elem(&names, &id);

	if (length <= 2)
		return 0;
	length -= 2;
	if (length > UNIX_PATH_LEN)
		length = UNIX_PATH_LEN;
	if (!n) {
		bpf_map_update_elem(&names, &id, &no_names, BPF_ANY);
		n = bpf_map_lookup_elem(&names, &id);
		if (!n)
			return 0;
	}
	if (remote) {
		if (!bpf_probe_read_user(n->remote, length, (void *)(address + 2)))
			n->remote_length = length;
	} else {
		if (!bpf_probe_read_user(n->local, length, (void *)(address + 2)))
			n->local_length = length;
	}
	return 0;
}

/* An accepted Unix socket has its listener's name. */
static __always_inline void inherit_name(__u64 id, __u64 listener)
{
	struct unix_names *to, *from = bpf_map_lookup_elem(&names, &listener);

	if (!from || bpf_map_update_elem(&names, &id, &no_names, BPF_ANY))
		return;
	to = bpf_map_lookup_elem(&names, &id);
	if (!to)
		return;
	__builtin_memcpy(to->local, from->local, UNIX_PATH_LEN);
	to->local_length = from->local_length;
}

/* The first bytes of a socket, or a description of it: see describe_socket. Then length is that of the last transfer, else 0. */
static __noinline int emit_unix_open(struct connection *c, __u32 pid, __u32 direction, __u32 length)
{
	__u64 id = c->flow.cookie;
	struct unix_names *n = bpf_map_lookup_elem(&names, &id);
	struct reservation r;
	struct unix_open_event *e = begin_event(&r, shard_of(id), EVENT_UNIX_OPEN, sizeof(*e));

	if (!e)
		return 0;
	e->header.pid = pid;
	e->header.start = start_of(pid);
	e->flow = c->flow;
	e->existing = c->existing || length;
	set_positions(e->position, c, direction, length);
	if (n) {
		__builtin_memcpy(e->local, n->local, UNIX_PATH_LEN);
		__builtin_memcpy(e->remote, n->remote, UNIX_PATH_LEN);
		e->local_length = n->local_length;
		e->remote_length = n->remote_length;
	}
	if (length || is_first_to_open(id))
		submit(&r, e);
	else
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
	return 0;
}
