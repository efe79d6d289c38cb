/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Calls of 32-bit programs on a 64-bit kernel: they have numbers of their own, and narrower structs in memory. */
#pragma once

#define COMPAT_CALLS 512
#define SOCKETCALLS 21
#define SOCKETCALL_ARGS 8 /* of which six are used; a power of two */

/*
 * The call of a 64-bit program by the number of a 32-bit one, plus 1; 0: it is of no interest.
 * x86: arch/x86/entry/syscalls/syscall_32.tbl; arm64: arch/arm64/tools/syscall_32.tbl.
 */
static const __u16 compat_calls[COMPAT_CALLS] = {
	[3] = 1 + NR_READ,
	[4] = 1 + NR_WRITE,
	[6] = 1 + NR_CLOSE,
	[41] = 1 + NR_DUP,
	[54] = 1 + NR_IOCTL,
	[55] = 1 + NR_FCNTL,
	[63] = 1 + NR_DUP2,
	[120] = 1 + NR_CLONE,
	[145] = 1 + NR_READV,
	[146] = 1 + NR_WRITEV,
	[187] = 1 + NR_SENDFILE,
	[221] = 1 + NR_FCNTL, /* fcntl64 */
	[239] = 1 + NR_SENDFILE, /* sendfile64 */
	[417] = 1 + NR_RECVMMSG, /* recvmmsg_time64 */
	[435] = 1 + NR_CLONE3,
	[436] = 1 + NR_CLOSE_RANGE,
#if defined(__TARGET_ARCH_x86)
	[310] = 1 + NR_UNSHARE,
	[313] = 1 + NR_SPLICE,
	[330] = 1 + NR_DUP3,
	[337] = 1 + NR_RECVMMSG,
	[345] = 1 + NR_SENDMMSG,
	[346] = 1 + NR_SETNS,
	[359] = 1 + NR_SOCKET,
	[360] = 1 + NR_SOCKETPAIR,
	[361] = 1 + NR_BIND,
	[362] = 1 + NR_CONNECT,
	[363] = 1 + NR_LISTEN,
	[364] = 1 + NR_ACCEPT4,
	[365] = 1 + NR_GETSOCKOPT,
	[367] = 1 + NR_GETSOCKNAME,
	[368] = 1 + NR_GETPEERNAME,
	[369] = 1 + NR_SENDTO,
	[370] = 1 + NR_SENDMSG,
	[371] = 1 + NR_RECVFROM,
	[372] = 1 + NR_RECVMSG,
	[373] = 1 + NR_SHUTDOWN,
	[378] = 1 + NR_PREADV2,
	[379] = 1 + NR_PWRITEV2,
#elif defined(__TARGET_ARCH_arm64)
	[281] = 1 + NR_SOCKET,
	[282] = 1 + NR_BIND,
	[283] = 1 + NR_CONNECT,
	[284] = 1 + NR_LISTEN,
	[285] = 1 + NR_ACCEPT,
	[286] = 1 + NR_GETSOCKNAME,
	[287] = 1 + NR_GETPEERNAME,
	[288] = 1 + NR_SOCKETPAIR,
	[289] = 1 + NR_SENDTO, /* send */
	[290] = 1 + NR_SENDTO,
	[291] = 1 + NR_RECVFROM, /* recv */
	[292] = 1 + NR_RECVFROM,
	[293] = 1 + NR_SHUTDOWN,
	[295] = 1 + NR_GETSOCKOPT,
	[296] = 1 + NR_SENDMSG,
	[297] = 1 + NR_RECVMSG,
	[337] = 1 + NR_UNSHARE,
	[340] = 1 + NR_SPLICE,
	[358] = 1 + NR_DUP3,
	[365] = 1 + NR_RECVMMSG,
	[366] = 1 + NR_ACCEPT4,
	[374] = 1 + NR_SENDMMSG,
	[375] = 1 + NR_SETNS,
	[392] = 1 + NR_PREADV2,
	[393] = 1 + NR_PWRITEV2,
#endif
};

/* exec, whose number the kernel replaces by that of the new program's kind. */
static __always_inline bool is_compat_exec(__u32 nr)
{
#if defined(__TARGET_ARCH_x86)
	return nr == 11 || nr == 358;
#elif defined(__TARGET_ARCH_arm64)
	return nr == 11 || nr == 387;
#endif
}

/* x86: one call with a number and an array of arguments in memory (include/uapi/linux/net.h, net/socket.c). */
struct socketcall {
	__u16 call; /* as in compat_calls */
	__u16 args;
};

#if defined(__TARGET_ARCH_x86)
#define COMPAT_SOCKETCALL 102
#define has_four_arguments(nr) false
static const struct socketcall socketcalls[SOCKETCALLS] = {
	[1] = {1 + NR_SOCKET, 3},
	[2] = {1 + NR_BIND, 3},
	[3] = {1 + NR_CONNECT, 3},
	[4] = {1 + NR_LISTEN, 2},
	[5] = {1 + NR_ACCEPT, 3},
	[6] = {1 + NR_GETSOCKNAME, 3},
	[7] = {1 + NR_GETPEERNAME, 3},
	[8] = {1 + NR_SOCKETPAIR, 4},
	[9] = {1 + NR_SENDTO, 4}, /* send */
	[10] = {1 + NR_RECVFROM, 4}, /* recv */
	[11] = {1 + NR_SENDTO, 6},
	[12] = {1 + NR_RECVFROM, 6},
	[13] = {1 + NR_SHUTDOWN, 2},
	[15] = {1 + NR_GETSOCKOPT, 5},
	[16] = {1 + NR_SENDMSG, 3},
	[17] = {1 + NR_RECVMSG, 3},
	[18] = {1 + NR_ACCEPT4, 4},
	[19] = {1 + NR_RECVMMSG, 5},
	[20] = {1 + NR_SENDMMSG, 4},
};
#elif defined(__TARGET_ARCH_arm64)
#define COMPAT_SOCKETCALL ~0u /* there is none */

/* Of send and recv. The compiler is not to know the number then: it drops the bound of what follows, which the verifier needs. */
static __always_inline bool has_four_arguments(__u32 nr)
{
	barrier_var(nr);
	return nr == 289 || nr == 291;
}

static const struct socketcall socketcalls[SOCKETCALLS];
#endif

/* A call of a 32-bit program. */
struct compat_call {
	__u64 args[6];
	__u32 nr;
	__u32 pad;
};

/* Makes the same call of a 64-bit program of it; 0: it is of no interest. */
SUBPROGRAM int widen_call(struct compat_call *c)
{
	__u32 packed[SOCKETCALL_ARGS] = {}, which, length;
	const struct socketcall *s;

	if (!c)
		return 0;
	for (int i = 0; i < 6; i++)
		c->args[i] = (__u32)c->args[i];
	if (has_four_arguments(c->nr))
		c->args[4] = 0;
	if (c->nr != COMPAT_SOCKETCALL) {
		which = c->nr;
		if (which >= COMPAT_CALLS || !compat_calls[which])
			return 0;
		c->nr = compat_calls[which] - 1;
		return 1;
	}
	which = c->args[0];
	if (which >= SOCKETCALLS)
		return 0;
	s = &socketcalls[which];
	if (!s->call)
		return 0;
	length = s->args * 4;
	barrier_var(length); /* 5.10 forgets the bound of a register that is spilled */
	length = ((length - 1) & (sizeof(packed) - 1)) + 1;
	if (bpf_probe_read_user(packed, length, (void *)c->args[1]))
		return 0;
	c->nr = s->call - 1;
	for (int i = 0; i < 6; i++)
		c->args[i] = packed[i];
	return 1;
}

struct compat_message {
	__u32 name;
	__u32 name_length;
	__u32 iov;
	__u32 iov_length;
	__u32 control;
	__u32 control_length;
	__u32 flags;
};

struct compat_batch_message {
	struct compat_message message;
	__u32 length;
};

/* Reads the message of sendmsg or recvmsg. */
static __always_inline bool read_message(struct user_message *m, __u64 address, bool compat)
{
	struct compat_message narrow;

	if (!compat)
		return !bpf_probe_read_user(m, sizeof(*m), (void *)address);
	if (bpf_probe_read_user(&narrow, sizeof(narrow), (void *)address))
		return false;
	m->name = narrow.name;
	m->name_length = narrow.name_length;
	m->iov = narrow.iov;
	m->iov_length = narrow.iov_length;
	m->control = narrow.control;
	m->control_length = narrow.control_length;
	m->flags = narrow.flags;
	return true;
}

/* Reads a message of sendmmsg or recvmmsg. */
static __always_inline bool read_batch_message(struct user_batch_message *b, __u64 address, bool compat)
{
	__u32 length;

	if (!compat)
		return !bpf_probe_read_user(b, sizeof(*b), (void *)address);
	if (bpf_probe_read_user(&length, sizeof(length), (void *)(address + sizeof(struct compat_message))))
		return false;
	b->length = length;
	return read_message(&b->message, address, true);
}

/* Reads an iovec, and returns its size in memory; 0: it could not be read. */
static __always_inline __u32 read_iovec(struct user_iovec *iovec, __u64 address, bool compat)
{
	__u32 size = compat ? 8 : sizeof(*iovec);

	if (bpf_probe_read_user(iovec, size, (void *)address))
		return 0;
	if (compat) {
		iovec->length = iovec->base >> 32;
		iovec->base = (__u32)iovec->base;
	}
	return size;
}
