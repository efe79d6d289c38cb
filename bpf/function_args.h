/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Where the registers of a program have the arguments and the results of its functions. */
#pragma once

#if defined(__TARGET_ARCH_x86)
#define USER_STACK(regs) ((regs)->sp)
#define GOROUTINE(regs) ((regs)->r14) /* Go's ABIInternal keeps the goroutine there */
#define FLAGS_BELOW_OR_EQUAL 0x41 /* CF, ZF: what JBE looks at */
/* Of a C function, at its first instruction, and at its last one. */
#define FUNCTION_ARG1(regs) ((regs)->di)
#define FUNCTION_ARG2(regs) ((regs)->si)
#define FUNCTION_ARG3(regs) ((regs)->dx)
#define FUNCTION_ARG4(regs) ((regs)->cx)
#define FUNCTION_ARG5(regs) ((regs)->r8)
#define FUNCTION_RESULT(regs) ((regs)->ax)
/* Of a Go function (ABIInternal): arguments at its first instruction, results at its last one. */
#define GO_ARG1(regs) ((regs)->ax)
#define GO_ARG2(regs) ((regs)->bx)
#define GO_ARG3(regs) ((regs)->cx)
#elif defined(__TARGET_ARCH_arm64)
#define USER_STACK(regs) ((regs)->user_regs.sp)
#define GOROUTINE(regs) ((regs)->user_regs.regs[28])
#define FUNCTION_ARG1(regs) ((regs)->user_regs.regs[0])
#define FUNCTION_ARG2(regs) ((regs)->user_regs.regs[1])
#define FUNCTION_ARG3(regs) ((regs)->user_regs.regs[2])
#define FUNCTION_ARG4(regs) ((regs)->user_regs.regs[3])
#define FUNCTION_ARG5(regs) ((regs)->user_regs.regs[4])
#define FUNCTION_RESULT(regs) ((regs)->user_regs.regs[0])
#define GO_ARG1(regs) ((regs)->user_regs.regs[0])
#define GO_ARG2(regs) ((regs)->user_regs.regs[1])
#define GO_ARG3(regs) ((regs)->user_regs.regs[2])
#endif

#define GO_POINTER 65536 /* below are no pointers of Go */
