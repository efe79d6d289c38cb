/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Backup programs. The kernel skips a program that already runs on this CPU (prog->active, __bpf_trace_run): in a softirq on
 * top of it and, on kernels where a task can be preempted within a program, in another task. A backup is attached behind such
 * a program, its primary. It does the work whenever the kernel has skipped its primary.
 */
#pragma once

/* User space looks for this in a program (internal/kernel/backup.go), and writes 1 in its place in the copy that is the backup. */
enum marker {
	MARKER_BACKUP = 0x6261636b,
};

/* Whether this program is a backup. The verifier knows the answer, and drops the code that the program does not need. */
static __always_inline bool is_backup(void)
{
	__u64 marker;

	asm volatile("%0 = %1 ll" : "=r"(marker) : "i"(MARKER_BACKUP));
	return marker == 1;
}
