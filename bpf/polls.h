/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Where event loops wait. What a thread does behind such a call need not be about what it has received before. Nor need it be once a timer may have
 * run, for which the loop has a timeout: loops run timers behind what they have received.
 */
#pragma once

#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_USEC 1000ULL
#define ROUNDING NSEC_PER_MSEC /* loops count whole milliseconds */
#define BRIEF (20 * NSEC_PER_MSEC)
#define MAX_SECONDS (1 << 30)

/* struct timespec, and of select: timeval */
struct user_time {
	__s64 seconds;
	__s64 rest; /* ns, or us */
};

/* For how long the call waits at the most, ns; 0: not at all; NO_TIMEOUT: for ever, or that is not known. */
static __always_inline __u64 timeout_in(__u64 address, __u64 unit)
{
	struct user_time time;

	if (!address || bpf_probe_read_user(&time, sizeof(time), (void *)address) || time.seconds < 0 || time.seconds > MAX_SECONDS)
		return NO_TIMEOUT;
	return time.seconds * NSEC_PER_SEC + time.rest * unit;
}

static __always_inline __u64 timeout_in_ms(__s32 timeout) { return timeout < 0 ? NO_TIMEOUT : timeout * NSEC_PER_MSEC; }

static __always_inline __u64 timeout_of(const struct pt_regs *regs)
{
	switch (SYSCALL_NR(regs)) {
#ifdef NR_POLL
	case NR_POLL:
		return timeout_in_ms(SYSCALL_ARG3(regs));
	case NR_EPOLL_WAIT:
		return timeout_in_ms(SYSCALL_ARG4(regs));
	case NR_SELECT:
		return timeout_in(SYSCALL_ARG5(regs), NSEC_PER_USEC);
#endif
	case NR_EPOLL_PWAIT:
		return timeout_in_ms(SYSCALL_ARG4(regs));
	case NR_EPOLL_PWAIT2:
		return timeout_in(SYSCALL_ARG4(regs), 1);
	case NR_PPOLL:
		return timeout_in(SYSCALL_ARG3(regs), 1);
	case NR_PSELECT6:
		return timeout_in(SYSCALL_ARG5(regs), 1);
	}
	return NO_TIMEOUT;
}

/* Threads that wait for their answers wait for one descriptor. */
static __always_inline bool waits_for_one(const struct pt_regs *regs)
{
	switch (SYSCALL_NR(regs)) {
#ifdef NR_POLL
	case NR_POLL:
#endif
	case NR_PPOLL:
		return SYSCALL_ARG2(regs) <= 1;
	}
	return false;
}

/*
 * The time of the first timer is not known, but how long the call waited for it at the most, and that it began after the one before had ended. A loop
 * that does not wait at all has something else to do. Its timers are as before, unless the program is one that has brief ones, or that lets requests lie: it may have set more.
 */
static __always_inline void on_poll_exit(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct thread_cause *t = cause_of(task->pid);
	__u64 timeout;

	if (!t || waits_for_one(regs))
		return;
	judge_request(t);
	t->polled = 1;
	timeout = timeout_of(regs);
	if (timeout == NO_TIMEOUT)
		t->timer = NO_TIMEOUT;
	else if (timeout)
		t->timer = t->looked + timeout - ROUNDING;
	if (timeout)
		t->brief = timeout <= BRIEF;
	t->unseen = !timeout && (t->brief || t->lying >= LYING_OFTEN);
	t->loop = 1;
	t->looked = bpf_ktime_get_ns();
}
