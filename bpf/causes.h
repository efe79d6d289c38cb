/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What may be the cause of what a thread sends: what it has received last. Whether it is the cause, user space judges, see struct cause.
 */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 causes_mask = 0; /* slots of causes - 1; 0: causes are not observed */

/* What a thread has received last. */
struct thread_cause {
	__u64 cookie;   /* from which socket; 0: nothing */
	__u64 position; /* behind the last byte */
	__u64 waits;    /* how often it had waited in its life */
	__u32 length;   /* of the call */
	__u32 tid;      /* whose; 0: nobody's */
	__u32 pending;  /* sockets that asked something which only this thread has read, and that have got nothing yet */
	__u32 pad;
};

/* By thread. Of threads that take each other's slot the causes are not known. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, struct thread_cause);
} causes SEC(".maps");

static __always_inline struct thread_cause *cause_slot(__u32 tid)
{
	__u32 key = tid & causes_mask;

	return causes_mask ? bpf_map_lookup_elem(&causes, &key) : NULL;
}

/* The slot of a thread, which another one may have at present. */
static __always_inline struct thread_cause *cause_of(__u32 tid)
{
	struct thread_cause *t = cause_slot(tid);

	return t && t->tid == tid ? t : NULL;
}

/* What was asked over a socket is answered, or will not be. */
static __always_inline void end_pending(struct socket_state *s)
{
	struct thread_cause *t;

	if (!s->pending_tid)
		return;
	t = cause_of(s->pending_tid);
	if (t && t->pending)
		__sync_fetch_and_add(&t->pending, -1);
	s->pending_tid = 0;
}

/* A thread has received bytes, which end at a position; length 0: nobody knows where. */
static __always_inline void note_received(struct socket_state *s, const struct task_struct *task, __u64 position, __u32 length)
{
	struct thread_cause *t = cause_slot(task->pid);

	if (!t)
		return;
	if (t->tid != task->pid) {
		t->tid = task->pid;
		t->pending = 0;
	}
	t->cookie = s->conn.flow.cookie;
	t->position = position;
	t->length = length;
	t->waits = task->nvcsw;
	if (s->conn.flow.role == ROLE_SERVER && s->pending_tid != task->pid) {
		end_pending(s);
		s->pending_tid = task->pid;
		__sync_fetch_and_add(&t->pending, 1);
	}
}

/* The cause of what a thread does now. */
static __always_inline void read_cause(struct cause *c, const struct task_struct *task)
{
	struct thread_cause *t = cause_of(task->pid);

	__builtin_memset(c, 0, sizeof(*c));
	if (!t || !t->length)
		return;
	c->cookie = t->cookie;
	c->position = t->position;
	c->length = t->length;
	c->pending = t->pending > 255 ? 255 : t->pending;
	c->waited = t->waits != task->nvcsw;
}

/* The cause of bytes that a thread has sent: of the first ones of a connection it is that of its connect. */
static __always_inline void cause_of_sent(struct cause *c, struct socket_state *s, const struct task_struct *task)
{
	if (s->connect_cause.cookie) {
		*c = s->connect_cause;
		c->connect = 1;
		s->connect_cause.cookie = 0;
		return;
	}
	read_cause(c, task);
}

/* A thread has ended. Another one may get its number. */
static __always_inline void forget_causes(const struct task_struct *task)
{
	struct thread_cause *t = cause_of(task->pid);

	if (t)
		t->tid = 0;
}
