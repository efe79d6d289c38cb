/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which of event_bufs a program of the socket mode uses: each has its own, because one may run on top of another. */
#pragma once

/* Set before the programs are loaded. */
const volatile __u32 event_bufs_exit = 0;    /* where those of the exits of calls begin */
const volatile __u32 event_bufs_per_exit = 0; /* 1: tasks are preempted in programs at exits, so that each program needs its own */

/* The programs at the exits of calls that emit payload. Where one program sees the exits of all calls, it is at most in one of them. */
enum exit_user {
	EXIT_RECVFROM = 0,
	EXIT_RECVMSG,
	EXIT_RECVMMSG,
	EXIT_USERS,
};

/* Of a program at a transfer. */
static __always_inline __u32 transfer_buf(__u32 direction)
{
	return bpf_get_smp_processor_id() * DIRECTIONS + direction + (is_backup() ? event_bufs_backup : 0);
}

/* Of a program at the exit of a call. */
static __always_inline __u32 exit_buf(enum exit_user user)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return event_bufs_exit + (event_bufs_per_exit ? cpu * EXIT_USERS + user : cpu);
}
