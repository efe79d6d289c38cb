/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Calls of C libraries that are under way. A call is found at its end by its frame: the stack pointer at its first instruction. No two calls of a process
 * that are under way have the same, whichever thread it is: where threads take turns with stacks (fibers), a call may end on another one than it began on.
 */
#pragma once

#define TLS_CALLS_MAX 4     /* of a thread, within each other: a callback may use another connection */
#define TLS_STACK_MAX 32768 /* bytes of stack between a call and what is written within it: a call that is further away is on another stack */
#define TLS_LEFT_MAX 8192   /* bytes of stack below a call that begins where an older one was on the same stack: those of fibers that use TLS are larger */

enum tls_call_state {
	TLS_ENDED = 0,
	TLS_UNDER_WAY,
	TLS_FAILED, /* it has ended, or goes on and ends at another place */
};

struct tls_call {
	__u64 object;
	__u64 bytes; /* where they are */
	__u64 count; /* where their number will be; 0: it is returned. GnuTLS: not 0 if a call within it has transferred them */
	__u64 began; /* CLOCK_MONOTONIC, ns */
	__u32 kind;  /* TLS_CALL of its probes */
	__u32 state;
};

/* By the frame. Calls that have ended stay here until another one has this frame, or they give way. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct tls_object);
	__type(value, struct tls_call);
} tls_calls SEC(".maps");

/* The frames of calls that a thread has begun; 0: none. */
struct tls_thread {
	__u64 next; /* whose place is taken if all are */
	__u64 frames[TLS_CALLS_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u32);
	__type(value, struct tls_thread);
} tls_threads SEC(".maps");

static const struct tls_call no_tls_call = {};
static const struct tls_thread no_tls_thread = {};

static __always_inline struct tls_call *call_in(__u64 frame, bool make)
{
	struct tls_object key = {.address = frame, .pid = current_process()};
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &key);

	if (call || !make)
		return call;
	bpf_map_update_elem(&tls_calls, &key, &no_tls_call, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tls_calls, &key);
}

static __always_inline struct tls_thread *this_thread(bool make)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct tls_thread *thread = bpf_map_lookup_elem(&tls_threads, &tid);

	if (thread || !make)
		return thread;
	bpf_map_update_elem(&tls_threads, &tid, &no_tls_thread, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tls_threads, &tid);
}

/*
 * The thread begins a call. Those below it were left without an end, as by longjmp: what is written from there now is not theirs. This and the next
 * ones are global to the verifier, which else followed each of their ways on.
 */
__noinline int note_frame(__u64 frame)
{
	struct tls_thread *thread = this_thread(true);
	__u64 at;

	if (!thread)
		return 0;
	at = thread->next;
	for (__u32 i = 0; i < TLS_CALLS_MAX; i++) {
		if (frame - thread->frames[i] < TLS_LEFT_MAX)
			thread->frames[i] = 0;
		if (!thread->frames[i])
			at = i;
	}
	barrier_var(at);
	thread->frames[at & (TLS_CALLS_MAX - 1)] = frame;
	thread->next = at + 1;
	return 0;
}

/* The thread ends a call. Returns whether it has begun it. */
__noinline int forget_frame(__u64 frame)
{
	struct tls_thread *thread = this_thread(false);
	int found = 0;

	for (__u32 i = 0; thread && i < TLS_CALLS_MAX; i++) {
		if (thread->frames[i] == frame) {
			thread->frames[i] = 0;
			found = 1;
		}
	}
	return found;
}

/* How far above the stack pointer the nearest frame of the thread's calls is. 0: there is none on this stack. */
__noinline int distance_of_frame(__u64 stack)
{
	struct tls_thread *thread = this_thread(false);
	__u64 distance = TLS_STACK_MAX;

	for (__u32 i = 0; thread && i < TLS_CALLS_MAX; i++) {
		__u64 above = thread->frames[i] - stack;

		if (above && above < distance)
			distance = above;
	}
	return distance == TLS_STACK_MAX ? 0 : distance;
}

/* The innermost call that the thread is in where the stack pointer is here. Those that wait on other stacks are left out. */
static __always_inline struct tls_call *call_around(__u64 stack)
{
	int distance = distance_of_frame(stack);
	struct tls_call *call = distance > 0 ? call_in(stack + distance, false) : NULL;

	return call && call->state == TLS_UNDER_WAY ? call : NULL;
}

/* Calls of this process end on other threads than they began on. */
static __always_inline void note_moved(void)
{
	__u32 pid = current_process();
	__u8 moves = TLS_MOVES;

	bpf_map_update_elem(&tls_processes, &pid, &moves, BPF_ANY);
}

static __always_inline bool moves_calls(void)
{
	__u32 pid = current_process();
	__u8 *is = bpf_map_lookup_elem(&tls_processes, &pid);

	return is && *is == TLS_MOVES;
}

/* What is known of the frame of a call that ends; NULL: that is another call, which has the same exit or the same frame. */
static __always_inline struct tls_call *take_call(struct tls_call *call, __u64 frame, __u64 probe)
{
	int began_here = forget_frame(frame);

	if (!call || call->kind != (probe & TLS_CALL) || call->state == TLS_ENDED || (call->state == TLS_FAILED && probe & TLS_GOES_ON))
		return NULL;
	if (!began_here && call->state == TLS_UNDER_WAY)
		note_moved();
	call->state = TLS_ENDED;
	return call;
}
