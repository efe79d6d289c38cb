/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The few members of kernel structs that these programs read. Offsets are relocated at load time against the
 * running kernel's BTF (CO-RE), so only names and types matter here.
 */
#pragma once

#define SHUTDOWN_BOTH 3 /* include/net/sock.h, SHUTDOWN_MASK */

/* include/linux/sched.h */
#define PF_EXITING 0x00000004
#define PF_IO_WORKER 0x00000010
#define PF_USER_WORKER 0x00004000 /* from 6.4 on; before that only a task that loads modules has this bit */
#define PF_KTHREAD 0x00200000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct net *net_ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__u32 skc_daddr;     /* network order */
	__u32 skc_rcv_saddr; /* network order; the address bound, or chosen by connect */
	__u16 skc_dport;     /* network order */
	__u16 skc_num;       /* host order: the local port; 0 again once the port is given back */
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie; /* 0 until someone asks for it */
	unsigned long skc_flags; /* bits of enum sock_flags */
};

enum sock_flags {
	SOCK_DONE = 1, /* relocated; the peer's FIN has been received (tcp_fin) */
};

struct socket;
struct io_uring_task;
struct msghdr;
struct page;

struct upid {
	int nr;
};

struct pid {
	struct upid numbers[1]; /* by pid namespace, the initial one first */
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	__u16 sk_type;
	__u16 sk_protocol;
	__u8 sk_shutdown;
	struct socket *sk_socket;
	struct pid *sk_peer_pid; /* AF_UNIX: who had the other end when it was connected, or listened */
};

struct sockaddr_un {
	char sun_path[108];
};

struct unix_address {
	int len; /* of name, its family included */
	struct sockaddr_un name[1];
};

struct unix_sock {
	struct unix_address *addr; /* NULL: not bound; an accepted socket has its listener's */
	struct sock *peer;
};

struct inet_sock {
	__u16 inet_sport; /* network order; unlike skc_num it survives the release of the port */
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct minmax_sample {
	__u32 t;
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 segs_in;
	__u32 segs_out;
	__u32 srtt_us; /* smoothed RTT << 3, microseconds */
	__u32 total_retrans;
	struct minmax rtt_min; /* the first sample is the least of the last minutes (net.ipv4.tcp_min_rtt_wlen), microseconds; ~0: never measured */
	__u64 bytes_received; /* a received FIN counts as one byte (tcp_rcv_nxt_update) */
	__u64 bytes_sent;     /* payload, retransmissions included */
	__u64 bytes_retrans;
	__u32 write_seq;  /* behind the last byte that a program has sent */
	__u32 copied_seq; /* behind the last byte that a program has received */
	__u32 rcv_nxt;    /* behind the last byte that has arrived in order */
	__u32 snd_una;    /* behind the last byte that was acknowledged */
	__u64 bytes_acked; /* a FIN that was sent, and the SYN of who connects, count as one byte each (tcp_snd_una_update) */
};

struct mptcp_sock {
	struct sock *first; /* the subflow that opened the connection */
};

struct file;

struct socket {
	struct file *file;
	struct sock *sk;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct super_block {
	__u32 s_dev;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
	struct super_block *i_sb;
	__s64 i_size;
	__u32 i_generation;
};

struct file {
	void *private_data;
	struct path f_path;
	struct inode *f_inode;
};

struct linux_binprm {
	struct file *file;
};

struct vm_area_struct {
	unsigned long vm_flags;
	struct file *vm_file;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
};

struct signal_struct {
	atomic_t live; /* threads not yet in exit */
};

struct kernfs_node {
	const char *name;
	struct kernfs_node *parent;
};

/* From 6.15 on the parent is RCU-protected and renamed. */
struct kernfs_node___v6_15 {
	struct kernfs_node *__parent;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

enum cgroup_subsys_id {
	memory_cgrp_id = 1, /* relocated */
	pids_cgrp_id = 2,   /* relocated */
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

struct thread_info {
	unsigned long flags; /* arm64: TIF_32BIT */
	__u32 status; /* x86: TS_COMPAT */
};

#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h: in a call of a 32-bit program */
#define TIF_32BIT (1ul << 22) /* arch/arm64/include/asm/thread_info.h: a 32-bit program */

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid; /* the thread's */
	int tgid;
	struct mm_struct *mm;
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct files_struct *files;
	struct css_set *cgroups;
	struct signal_struct *signal;
	struct nsproxy *nsproxy; /* NULL: it is exiting */
	struct io_uring_task *io_uring; /* what it has submitted; NULL: it has not used io_uring */
	void *worker_private; /* of a worker of io_uring: struct io_worker; NULL: it polls a queue, or is none */
	unsigned long nvcsw, nivcsw; /* how often it has left a CPU: to wait, and for another one */
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r14, bp, bx, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, flags, sp;
};
#define SYSCALL_NR(regs) ((long)(regs)->orig_ax)
#define SYSCALL_RET(regs) ((long)(regs)->ax)
#define SYSCALL_ARG1(regs) ((regs)->di)
#define SYSCALL_ARG2(regs) ((regs)->si)
#define SYSCALL_ARG3(regs) ((regs)->dx)
#define SYSCALL_ARG4(regs) ((regs)->r10)
#define SYSCALL_ARG5(regs) ((regs)->r8)
/* The six arguments of a 32-bit program's call. */
#define COMPAT_ARGS(args, regs) \
	((args)[0] = (regs)->bx, (args)[1] = (regs)->cx, (args)[2] = (regs)->dx, (args)[3] = (regs)->si, \
	 (args)[4] = (regs)->di, (args)[5] = (regs)->bp)
/* Until a call has returned its result's place holds -ENOSYS (arch/x86/entry/entry_64.S). */
#define SYSCALL_UNDER_WAY(regs) ((regs)->ax == -38ul)
#define USER_PLACE(regs) ((regs)->ip)
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
};
struct pt_regs {
	struct user_pt_regs user_regs;
	__u64 orig_x0; /* regs[0] holds the return value at the exit */
	int syscallno;
};
#define SYSCALL_NR(regs) ((long)(regs)->syscallno)
#define SYSCALL_RET(regs) ((long)(regs)->user_regs.regs[0])
#define SYSCALL_ARG1(regs) ((regs)->orig_x0)
#define SYSCALL_ARG2(regs) ((regs)->user_regs.regs[1])
#define SYSCALL_ARG3(regs) ((regs)->user_regs.regs[2])
#define SYSCALL_ARG4(regs) ((regs)->user_regs.regs[3])
#define SYSCALL_ARG5(regs) ((regs)->user_regs.regs[4])
#define COMPAT_ARGS(args, regs) \
	((args)[0] = (regs)->orig_x0, (args)[1] = (regs)->user_regs.regs[1], (args)[2] = (regs)->user_regs.regs[2], \
	 (args)[3] = (regs)->user_regs.regs[3], (args)[4] = (regs)->user_regs.regs[4], (args)[5] = (regs)->user_regs.regs[5])
/* A result takes the first argument's place (arch/arm64/kernel/syscall.c). */
#define SYSCALL_UNDER_WAY(regs) ((regs)->user_regs.regs[0] == (regs)->orig_x0)
#define USER_PLACE(regs) ((regs)->user_regs.pc)
#endif

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__unix {
	struct bpf_iter_meta *meta;
	struct unix_sock *unix_sk;
};

#pragma clang attribute pop
