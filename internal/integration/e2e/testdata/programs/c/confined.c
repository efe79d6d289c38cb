// How a client gives up its right to make system calls.
#define _GNU_SOURCE
#include "common.h"
#include "tls.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define UNLESS(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0)
#define IF(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)
#define END(how) BPF_STMT(BPF_RET | BPF_K, how)
#define ALLOW(call) IF(__NR_##call), END(SECCOMP_RET_ALLOW)

void confine_by_filter(void)
{
	struct sock_filter instructions[] = {
	    LOAD(arch), UNLESS(ARCHITECTURE), END(SECCOMP_RET_KILL_PROCESS), LOAD(nr),
	    // the plan, its connections, its accounts
	    ALLOW(read), ALLOW(write), ALLOW(socket), ALLOW(connect), ALLOW(setsockopt), ALLOW(getsockname), ALLOW(getpeername), ALLOW(close), ALLOW(lseek),
	    // malloc, and what handshakes need
	    ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(futex), ALLOW(getrandom), ALLOW(getpid), ALLOW(clock_gettime),
	    ALLOW(exit_group), END(SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {.len = sizeof(instructions) / sizeof(*instructions), .filter = instructions};
	check(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
	check(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "SECCOMP_MODE_FILTER");
}

void confine_strictly(void)
{
	check(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), "SECCOMP_MODE_STRICT");
}
