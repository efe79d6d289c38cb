/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What is known of processes and sockets where TLS libraries are looked into: syscall mode. That of the socket mode is in tls_sockets.h. */
#pragma once

/* The parents of processes, by pid: of those whose parent had looked like one that uses TLS. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, struct parent);
} parents SEC(".maps");

static __always_inline __u32 current_process(void)
{
	return current_pid();
}

/* When the process that runs now was first seen, which is before anything else was seen of it: CLOCK_BOOTTIME, ns; 0: there was no room. */
static __always_inline __u64 process_start(void)
{
	return start_of(current_pid());
}

/* The process that the one that runs now was forked from; pid 0: it is not known. */
static __always_inline void read_parent(struct parent *parent)
{
	__u32 pid = current_pid();
	struct parent *known = bpf_map_lookup_elem(&parents, &pid);

	if (known)
		*parent = *known;
	else
		__builtin_memset(parent, 0, sizeof(*parent));
}

/* User space judges. */
static __always_inline bool socket_left_out(const struct socket_state *s)
{
	return false;
}

/* Causes are not observed. */
static __always_inline void begin_causes(struct socket_state *layer)
{
}

static __always_inline void end_pending(struct socket_state *s)
{
}

static __always_inline void note_sent(const struct socket_state *s)
{
}

static __always_inline void note_plaintext(struct socket_state *s, __u64 position, __u32 length)
{
}

/* The shard needs the description of who transfers the plaintext: a process may go on with the connection of the one that it was forked from. */
static __always_inline void describe_plaintext(struct event_buf *event_buf, struct socket_state *s, __u32 direction, __u32 length)
{
	__u32 pid = current_pid();

	if (s->conn.task_pid != pid) {
		s->conn.task_pid = pid;
		emit_process_once(pid, shard_of(s->conn.flow.cookie));
	}
	event_buf->event.goroutine.number = 0;
}
