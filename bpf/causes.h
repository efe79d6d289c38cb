/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What may be the cause of what a thread sends: what it has received last. Whether it is the cause, user space judges, see struct cause.
 */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 causes_mask = 0; /* slots of causes - 1; 0: causes are not observed */

/* Set once the programs are attached: the exits of the calls are hooked in which event loops wait. */
volatile __u32 sees_polls = 0;

/* What a thread has received last. */
struct thread_cause {
	__u64 cookie;   /* from which socket; 0: nothing */
	__u64 position; /* behind the last byte */
	__u64 waits;    /* how often it had waited in its life */
	__u32 length;   /* of the call */
	__u32 tid;      /* whose; 0: nobody's */
	__s32 pending;  /* sockets that asked something which only this thread has read, and that have got nothing yet */
	__u32 no_go;    /* how often it did not look like a thread of a Go program */
	__u32 row;      /* sockets from which the thread has received since it looked for events or sent something */
	__u8 polled;    /* the thread has looked for events since it received */
	__u8 sent;      /* it has sent something since */
	__u8 carrier;   /* it runs virtual threads */
	__u8 go;        /* it has looked like a thread of a Go program */
	__u8 request;   /* this was a request: it was received from a socket that was accepted */
	__u8 deferred;  /* since it looked for events it has received a request, and then something else before it sent anything */
	__u8 brief;     /* when it last waited for a timer, that was for a short time only */
	__u8 answered;  /* it has sent something to who asked since it received */
	__u8 lying;     /* how often it has let a request lie, as far as that matters still */
	__u8 unseen;    /* timers may be due, whatever timer says */
	__u8 loop;      /* it has looked for events */
	__u8 pad;
	__u64 looked;   /* CLOCK_MONOTONIC, ns: when it last looked for events; when it got this slot if it has not since */
	__u64 timer;    /* CLOCK_MONOTONIC, ns: before that it runs no timer; 0: it has not looked for events */
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

#define NO_TIMEOUT (~0ULL)

#define GO_TRIES 8 /* a thread of a Go program may run foreign code, too */

/* The goroutine that has transferred the bytes of an event. What answers a request need not be described. */
static __always_inline void note_goroutine(struct event_buf *event_buf, const struct task_struct *task, const struct pt_regs *regs,
					   __u32 direction, __u32 role)
{
	bool asks = direction == DIRECTION_SENT && role == ROLE_CLIENT, asked = direction == DIRECTION_RECEIVED && role == ROLE_SERVER;
	struct go_memory *m = (struct go_memory *)event_buf->payload;
	struct goroutine *d = &event_buf->event.goroutine;
	struct thread_cause *t = cause_of(task->pid);
	__u64 g = GOROUTINE(regs);

	__builtin_memset(d, 0, sizeof(*d));
	if (!t || t->no_go >= GO_TRIES)
		return;
	if (t->go && !asks && !asked) {
		d->number = g;
		return;
	}
	d->number = calling_goroutine(m, g);
	if (!d->number) {
		t->no_go++;
		return;
	}
	t->no_go = 0;
	t->go = 1;
	if (d->number != g)
		describe_goroutine(event_buf, m, g, USER_PLACE(regs), asks);
}

/* What was asked over a socket is answered, or will not be. */
static __always_inline void end_pending(struct socket_state *s)
{
	struct thread_cause *t;

	if (!s->pending_tid)
		return;
	t = cause_of(s->pending_tid);
	if (t && t->pending > 0)
		__sync_fetch_and_add(&t->pending, -1);
	s->pending_tid = 0;
}

/* Whether the Java virtual machine has named the thread as one that runs virtual threads (jdk.internal.vm: ForkJoinPool-1-worker-N). */
static __always_inline bool is_carrier(void)
{
	char comm[COMM_LEN] __attribute__((aligned(8))), name[COMM_LEN] __attribute__((aligned(8))) = "ForkJoinPool-1-";
	__u64 *a = (__u64 *)comm, *b = (__u64 *)name;

	return !bpf_get_current_comm(comm, sizeof(comm)) && a[0] == b[0] && a[1] == b[1];
}

/* The slot of a thread, which takes it if another one has it. */
static __always_inline struct thread_cause *claim_slot(const struct task_struct *task)
{
	struct thread_cause *t = cause_slot(task->pid);

	if (t && t->tid != task->pid) {
		__builtin_memset(t, 0, sizeof(*t));
		t->tid = task->pid;
		t->looked = bpf_ktime_get_ns();
		t->carrier = is_carrier();
	}
	return t;
}

#define LYING_STEP 32 /* requests that do not lie, until one that did is forgotten */
#define LYING_OFTEN (3 * LYING_STEP)
#define LYING_MAX 255

/*
 * Notes whether a thread that receives, or looks for events, has sent something for the request that it had received before. If not, it acts on requests
 * later: by a timer, say.
 */
static __always_inline void judge_request(struct thread_cause *t)
{
	if (t->polled || !t->request)
		return;
	if (!t->sent)
		t->lying = t->lying < LYING_MAX - LYING_STEP ? t->lying + LYING_STEP : LYING_MAX;
	else if (t->lying)
		t->lying--;
}

/* A thread has received something. */
static __always_inline void note_row(struct thread_cause *t, __u64 cookie, bool request)
{
	bool same = !((t->cookie ^ cookie) & ~LAYER_MASK);

	if (!same)
		judge_request(t);
	if (t->polled)
		t->deferred = 0;
	else if (t->request && !t->sent && !same)
		t->deferred = 1;
	if (t->polled || t->sent)
		t->row = 1;
	else if (!same)
		t->row++;
	t->polled = t->sent = t->answered = 0;
	t->cookie = cookie;
	t->request = request;
}

/* A thread has received bytes, which end at a position; length 0: nobody knows where. NULL: causes are not observed. */
static __always_inline struct thread_cause *note_received(const struct task_struct *task, __u64 cookie, __u64 position, __u32 length,
							  bool request)
{
	struct thread_cause *t = claim_slot(task);

	if (!t)
		return NULL;
	note_row(t, cookie, request);
	t->position = position;
	t->length = length;
	t->waits = task->nvcsw;
	return t;
}

/* A thread has transferred something over a socket that is not followed. */
static __always_inline void note_unfollowed(__u32 direction)
{
	struct thread_cause *t = cause_of((__u32)bpf_get_current_pid_tgid());

	if (!t)
		return;
	if (direction == DIRECTION_SENT) {
		t->sent = 1;
		return;
	}
	note_row(t, 0, false);
	t->position = t->length = 0;
}

/* The same of a connection. */
static __always_inline void note_received_from(struct socket_state *s, const struct task_struct *task, __u64 position, __u32 length)
{
	bool request = s->conn.flow.role == ROLE_SERVER;
	struct thread_cause *t = note_received(task, s->conn.flow.cookie, position, length, request);

	if (t && request && s->pending_tid != task->pid) {
		end_pending(s);
		s->pending_tid = task->pid;
		if (t->pending < 0) /* two CPUs have taken back the last one */
			t->pending = 0;
		__sync_fetch_and_add(&t->pending, 1);
	}
}

/* Whether a thread may do something that is not about what it has received last: it has looked for more, or runs its timers. */
static __always_inline bool has_looked(const struct thread_cause *t)
{
	return t->polled || !sees_polls || t->unseen || (t->timer && t->timer != NO_TIMEOUT && bpf_ktime_get_ns() >= t->timer);
}

/* The cause of what a thread does now. */
static __always_inline void read_cause(struct cause *c, const struct task_struct *task)
{
	struct thread_cause *t = claim_slot(task);

	__builtin_memset(c, 0, sizeof(*c));
	if (!t)
		return;
	c->cookie = t->cookie;
	c->position = t->position;
	c->length = t->length;
	c->pending = t->pending > 255 ? 255 : t->pending < 0 ? 0 : t->pending;
	c->row = t->row > 255 ? 255 : t->row;
	c->flags = (t->waits != task->nvcsw ? CAUSE_WAITED : 0) | (has_looked(t) ? CAUSE_POLLED : 0) |
		   (t->carrier ? CAUSE_CARRIER : 0) | (t->deferred ? CAUSE_DEFERRED : 0) |
		   (t->answered ? CAUSE_ANSWERED : 0) | (t->loop ? CAUSE_LOOP : 0);
}

/* The cause of a connection that a thread opens. */
static __always_inline void cause_of_connect(struct cause *c, const struct task_struct *task)
{
	struct thread_cause *t;

	read_cause(c, task);
	c->flags |= CAUSE_CONNECT;
	t = cause_of(task->pid);
	if (t)
		t->sent = 1;
}

/* A thread has sent something over a connection. */
static __always_inline void note_sent(const struct socket_state *s)
{
	struct thread_cause *t = cause_of((__u32)bpf_get_current_pid_tgid());

	if (!t)
		return;
	t->sent = 1;
	if (s->conn.flow.role == ROLE_SERVER) /* what began with a request has come to its end */
		t->answered = 1;
}

/* The cause of bytes that a thread has sent: of the first ones of a connection it is that of its connect. */
static __always_inline void cause_of_sent(struct cause *c, struct socket_state *s, const struct task_struct *task)
{
	read_cause(c, task);
	if (s->connect_cause.flags & CAUSE_CONNECT)
		*c = s->connect_cause;
	s->connect_cause.flags = 0;
	note_sent(s);
}

/* A thread has ended. Another one may get its number. */
static __always_inline void forget_causes(const struct task_struct *task)
{
	struct thread_cause *t = cause_of(task->pid);

	if (t)
		t->tid = 0;
}
