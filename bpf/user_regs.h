/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the kernel saves of a program's registers, in the layout of ptrace, which never changes: arch/x86/include/uapi/asm/ptrace.h and arm64's. */
#pragma once

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};

struct pt_regs {
	struct user_pt_regs user_regs;
};
#endif
