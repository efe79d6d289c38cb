/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The kernel's ABI to user space, which never changes: numbers, and structs that are passed to system calls (64 bits). */
#pragma once

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_TYPE_MASK 0xf
#define SOCK_CLOEXEC 02000000
#define SOL_SOCKET 1
#define SO_ERROR 4
#define SCM_RIGHTS 1
#define SHUT_WR 1
#define SHUT_RDWR 2
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define MSG_FASTOPEN 0x20000000

#define F_DUPFD 0
#define F_SETFD 2
#define F_DUPFD_CLOEXEC 1030
#define FD_CLOEXEC 1
#define FIONCLEX 0x5450
#define FIOCLEX 0x5451
#define CLOSE_RANGE_CLOEXEC 4
#define CLONE_THREAD 0x10000
#define CLONE_NEWNET 0x40000000

#define ERESTARTSYS 512 /* up to 516: the call will be restarted (include/linux/errno.h) */
#define ERESTART_LAST 516

/* System calls: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
#if defined(__TARGET_ARCH_x86)
#define NR_READ 0
#define NR_WRITE 1
#define NR_READV 19
#define NR_WRITEV 20
#define NR_CONNECT 42
#define NR_POLL 7
#define NR_SELECT 23
#define NR_EPOLL_WAIT 232
#define NR_PSELECT6 270
#define NR_PPOLL 271
#define NR_EPOLL_PWAIT 281
#define NR_EPOLL_PWAIT2 441
#define NR_ACCEPT 43
#define NR_SENDTO 44
#define NR_RECVFROM 45
#define NR_SENDMSG 46
#define NR_RECVMSG 47
#define NR_ACCEPT4 288
#define NR_RECVMMSG 299
#define NR_SENDMMSG 307
#define NR_PREADV2 327
#define NR_PWRITEV2 328
#define NR_CLOSE 3
#define NR_IOCTL 16
#define NR_DUP 32
#define NR_DUP2 33
#define NR_SENDFILE 40
#define NR_SOCKET 41
#define NR_SHUTDOWN 48
#define NR_BIND 49
#define NR_LISTEN 50
#define NR_GETSOCKNAME 51
#define NR_GETPEERNAME 52
#define NR_SOCKETPAIR 53
#define NR_GETSOCKOPT 55
#define NR_CLONE 56
#define NR_EXECVE 59
#define NR_FCNTL 72
#define NR_SPLICE 275
#define NR_DUP3 292
#define NR_EXECVEAT 322
#define NR_CLONE3 435
#define NR_CLOSE_RANGE 436
#define NR_UNSHARE 272
#define NR_SETNS 308
#elif defined(__TARGET_ARCH_arm64)
#define NR_READ 63
#define NR_WRITE 64
#define NR_READV 65
#define NR_WRITEV 66
#define NR_CONNECT 203
#define NR_EPOLL_PWAIT 22
#define NR_PSELECT6 72
#define NR_PPOLL 73
#define NR_EPOLL_PWAIT2 441
#define NR_ACCEPT 202
#define NR_SENDTO 206
#define NR_RECVFROM 207
#define NR_SENDMSG 211
#define NR_RECVMSG 212
#define NR_ACCEPT4 242
#define NR_RECVMMSG 243
#define NR_SENDMMSG 269
#define NR_PREADV2 286
#define NR_PWRITEV2 287
#define NR_DUP 23
#define NR_DUP2 1001 /* 32-bit programs only: this number is free */
#define NR_DUP3 24
#define NR_FCNTL 25
#define NR_IOCTL 29
#define NR_CLOSE 57
#define NR_SENDFILE 71
#define NR_SPLICE 76
#define NR_SOCKET 198
#define NR_SOCKETPAIR 199
#define NR_BIND 200
#define NR_LISTEN 201
#define NR_GETSOCKNAME 204
#define NR_GETPEERNAME 205
#define NR_GETSOCKOPT 209
#define NR_SHUTDOWN 210
#define NR_CLONE 220
#define NR_EXECVE 221
#define NR_EXECVEAT 281
#define NR_CLONE3 435
#define NR_CLOSE_RANGE 436
#define NR_UNSHARE 97
#define NR_SETNS 268
#endif
#define NR_IO_URING_ENTER 426
#define NR_NONE 0xffffffff

struct sockaddr_any {
	__u16 family;
	__u16 port;
	union {
		__u8 v4[4];
		struct {
			__u32 flowinfo;
			__u8 addr[16];
		} v6;
	};
};

struct user_iovec {
	__u64 base;
	__u64 length;
};

struct user_message {
	__u64 name;
	__u64 name_length;
	__u64 iov;
	__u64 iov_length;
	__u64 control;
	__u64 control_length;
	__u64 flags;
};

struct user_batch_message {
	struct user_message message;
	__u64 length;
};

static __always_inline bool is_inet(__u16 family)
{
	return family == AF_INET || family == AF_INET6;
}
