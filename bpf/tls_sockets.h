/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What is known of processes and sockets where TLS libraries are looked into: socket mode. That of the syscall mode is in tls_processes.h. */
#pragma once

static __always_inline __u32 current_process(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* When the process that runs now began: CLOCK_BOOTTIME, ns; 0: not known. */
static __always_inline __u64 process_start(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->group_leader->start_boottime;
}

/* The process that the one that runs now was forked from. */
static __always_inline void read_parent(struct parent *parent)
{
	struct task_struct *task = bpf_get_current_task_btf();

	parent->pid = task->real_parent->tgid;
	parent->start = 0;
	parent->forked = task->group_leader->start_boottime;
}

/* The rules leave the socket out. */
static __always_inline bool socket_left_out(const struct socket_state *s)
{
	return s->ignored;
}

/* Nobody has asked anything over a layer that begins. */
static __always_inline void begin_causes(struct socket_state *layer)
{
	layer->pending_tid = 0;
}

/* Plaintext was received, which ends at a position. */
static __always_inline void note_plaintext(struct socket_state *s, __u64 position, __u32 length)
{
	note_received_from(s, bpf_get_current_task_btf(), position, length);
}

/* Who has transferred the plaintext of an event, and why. */
static __always_inline void describe_plaintext(struct event_buf *event_buf, struct socket_state *s, __u32 direction, __u32 length)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (direction == DIRECTION_SENT) {
		cause_of_sent(&event_buf->event.cause, s, task);
	} else {
		note_received_from(s, task, s->conn.streams[direction].position, length);
		event_buf->event.cause.length = 0;
	}
	note_goroutine(event_buf, task, (struct pt_regs *)bpf_task_pt_regs(task), direction, s->conn.flow.role);
}
