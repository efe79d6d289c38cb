//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The kernel side of the socket mode: every hook and the function that it calls. Programs attribute, filter and count; nothing
 * is parsed, written or redirected here.
 */
#include <stdbool.h>
#include <asm-generic/errno.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

/* Global to the verifier: verified once, not once for each caller and state. */
#define SUBPROGRAM __noinline


#include "abi.h"
#include "kernel.h"
#include "kernel_uring.h"
#include "function_args.h"
#include "event.h"
#include "config.h"
#include "compat.h"
#include "registers.h"
#include "backup.h"
#include "emit.h"
#include "frames.h"
#include "connection.h"
#include "process.h"
#include "sockaddr.h"
#include "event_buf.h"
#include "gather.h"
#include "payload.h"
#include "capture.h"
#include "datagram_flow.h"
#include "datagram_data.h"
#include "sockets.h"
#include "goroutines.h"
#include "causes.h"
#include "polls.h"
#include "claim.h"
#include "transfer_bufs.h"
#include "task_files.h"
#include "uring_requests.h"
#include "uring_source.h"
#include "flow.h"
#include "owner.h"
#include "early_accept.h"
#include "positions.h"
#include "state.h"
#include "call_exits.h"
#include "listeners.h"
#include "existing.h"
#include "unix.h"
#include "datagram.h"
#include "datagram_pass.h"
#include "waits.h"
#include "fast_open.h"
#include "call_source.h"
#include "tls_sockets.h"
#include "tls_ties.h"
#include "tls_sends.h"
#include "data.h"
#include "tls_calls.h"
#include "tls_writers.h"
#include "tls_go.h"
#include "tls_gnutls.h"
#include "tls_probes.h"
#include "executables.h"

/* The verifier opens tracing helpers to GPL-compatible programs only. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* ---- the life of sockets ---- */

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(sock_state, struct sock *sk, int last_state, int state)
{
	on_state(sk, last_state, state);
	return 0;
}

/* ---- system call exits: tracefs tracepoints where they can be had, else the raw tracepoint of all calls ---- */

struct sys_exit_args {
	__u64 common;
	long nr;
	long ret;
};

SEC("tracepoint/syscalls/sys_exit_accept")
int accept_exit(struct sys_exit_args *ctx)
{
	on_accept_exit(ctx->ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int accept4_exit(struct sys_exit_args *ctx)
{
	on_accept_exit(ctx->ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_connect")
int connect_exit(struct sys_exit_args *ctx)
{
	on_connect_exit(ctx->ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_splice")
int splice_exit(struct sys_exit_args *ctx)
{
	on_splice_exit(ctx->ret);
	return 0;
}

/* Where event loops wait. */

#define POLL_EXIT(call) \
	SEC("tracepoint/syscalls/sys_exit_" #call) \
	int call##_exit(void *ctx) \
	{ \
		on_poll_exit(); \
		return 0; \
	}

POLL_EXIT(epoll_wait)
POLL_EXIT(epoll_pwait)
POLL_EXIT(epoll_pwait2)
POLL_EXIT(poll)
POLL_EXIT(ppoll)
POLL_EXIT(select)
POLL_EXIT(pselect6)

SEC("tp_btf/sys_exit")
int BPF_PROG(any_poll, struct pt_regs *regs, long ret)
{
	switch (SYSCALL_NR(regs)) {
#ifdef NR_POLL
	case NR_POLL:
	case NR_SELECT:
	case NR_EPOLL_WAIT:
#endif
	case NR_EPOLL_PWAIT:
	case NR_EPOLL_PWAIT2:
	case NR_PPOLL:
	case NR_PSELECT6:
		on_poll_exit();
	}
	return 0;
}

/* Functions of their own, so that of any_exit's chain of calls only one has a large frame: the stacks of a chain may have 512 bytes in all. */

static __noinline int any_accept(long ret)
{
	on_accept_exit(ret);
	return 0;
}

static __noinline int any_connect(long ret)
{
	on_connect_exit(ret);
	return 0;
}

static __noinline int any_receive(long ret, enum exit_user user)
{
	on_receive_exit(ret, user);
	return 0;
}

static __noinline int any_splice(long ret)
{
	on_splice_exit(ret);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(any_exit, struct pt_regs *regs, long ret)
{
	if (is_compat(bpf_get_current_task_btf()))
		return 0; /* other numbers, and the tracepoints of single calls do not see them either */
	switch (SYSCALL_NR(regs)) {
	case NR_ACCEPT:
	case NR_ACCEPT4:
		any_accept(ret);
		break;
	case NR_CONNECT:
		any_connect(ret);
		break;
	case NR_RECVFROM:
	case NR_RECVMSG:
		any_receive(ret, EXIT_RECVFROM);
		break;
	case NR_RECVMMSG:
		any_receive(ret, EXIT_RECVMMSG);
		on_batch_exit();
		break;
	case NR_SENDMMSG:
		on_batch_exit();
		break;
	case NR_SPLICE:
		any_splice(ret);
		break;
	}
	return 0;
}

/* ---- transfers; the hooks run after the transfer, in the task that asked for it ---- */

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent, struct sock *sk, int ret)
{
	on_send(sk, ret);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int ret, int flags)
{
	on_receive(sk, ret, flags);
	return 0;
}

/*
 * The same behind the protocols' own functions, for kernels without those tracepoints (before 6.3) that let programs be
 * attached to functions.
 */

static __always_inline int behind_send(struct socket *socket, int ret)
{
	struct sock *sk = socket->sk;

	if (sk)
		on_send(sk, ret);
	return 0;
}

static __always_inline int behind_receive(struct socket *socket, int flags, int ret)
{
	struct sock *sk = socket->sk;

	if (sk)
		on_receive(sk, ret, flags);
	return 0;
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(inet_sent, struct socket *socket, struct msghdr *message, __u64 size, int ret)
{
	return behind_send(socket, ret);
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(inet6_sent, struct socket *socket, struct msghdr *message, __u64 size, int ret)
{
	return behind_send(socket, ret);
}

SEC("fexit/inet_sendpage")
int BPF_PROG(inet_page_sent, struct socket *socket, struct page *page, int offset, __u64 size, int flags, long ret)
{
	return behind_send(socket, ret);
}

SEC("fexit/unix_stream_sendmsg")
int BPF_PROG(unix_sent, struct socket *socket, struct msghdr *message, __u64 size, int ret)
{
	return behind_send(socket, ret);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(inet_received, struct socket *socket, struct msghdr *message, __u64 size, int flags, int ret)
{
	return behind_receive(socket, flags, ret);
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(inet6_received, struct socket *socket, struct msghdr *message, __u64 size, int flags, int ret)
{
	return behind_receive(socket, flags, ret);
}

SEC("fexit/unix_stream_recvmsg")
int BPF_PROG(unix_received, struct socket *socket, struct msghdr *message, __u64 size, int flags, int ret)
{
	return behind_receive(socket, flags, ret);
}

SEC("tracepoint/syscalls/sys_exit_recvfrom")
int recvfrom_exit(struct sys_exit_args *ctx)
{
	on_receive_exit(ctx->ret, EXIT_RECVFROM);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_recvmsg")
int recvmsg_exit(struct sys_exit_args *ctx)
{
	on_receive_exit(ctx->ret, EXIT_RECVMSG);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_sendmmsg")
int sendmmsg_exit(struct sys_exit_args *ctx)
{
	on_batch_exit();
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_recvmmsg")
int recvmmsg_exit(struct sys_exit_args *ctx)
{
	on_batch_exit();
	on_receive_exit(ctx->ret, EXIT_RECVMMSG);
	return 0;
}

/* ---- requests of io_uring ---- */

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(uring_submit, struct io_kiocb *request)
{
	on_uring_submit(request);
	return 0;
}

SEC("tp_btf/io_uring_poll_arm")
int BPF_PROG(uring_wait, struct io_kiocb *request)
{
	on_uring_wait(request);
	return 0;
}

SEC("tp_btf/io_uring_task_add")
int BPF_PROG(uring_ready, struct io_kiocb *request)
{
	on_uring_wait(request);
	return 0;
}

/* ---- who waits within a call ---- */

SEC("tp_btf/sched_switch")
int BPF_PROG(thread_switch, bool preempt, struct task_struct *task)
{
	on_switch(task);
	return 0;
}

/* ---- TLS libraries: addresses in them, see internal/tlslib ---- */

SEC("uprobe.multi")
int tls_call(struct pt_regs *regs)
{
	on_tls_probe(regs, bpf_get_attach_cookie(regs));
	return 0;
}

SEC("fentry/uprobe_mmap")
int BPF_PROG(file_mapped, const struct vm_area_struct *area)
{
	on_file_mapped(area);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(program_exec, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
	on_code(task, program->file);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_mmap")
int mmap_exit(struct sys_exit_args *ctx)
{
	on_mapped(ctx->ret);
	return 0;
}

/* ---- the life of processes ---- */

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	forget_process(task->tgid);
	forget_causes(task);
	return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(process_moved, struct cgroup *cgroup, const char *path, struct task_struct *task)
{
	forget_process(task->tgid);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	on_thread_exit(task);
	return 0;
}

/* ---- existing sockets: those older than the programs, and the live pass ---- */

SEC("iter/task_file")
int existing_descriptors(struct bpf_iter__task_file *ctx)
{
	on_descriptor(ctx);
	return 0;
}

SEC("iter/tcp")
int existing_unowned(struct bpf_iter__tcp *ctx)
{
	on_unowned(ctx);
	return 0;
}

SEC("iter/unix")
int existing_unix(struct bpf_iter__unix *ctx)
{
	on_existing_unix(ctx);
	return 0;
}

/* ---- run by user space itself ---- */

/* A step of a pass over the UDP flows: argument 0 is the pass's number, the result how many flows it has reported. */
SEC("raw_tp")
int BPF_PROG(flow_pass, __u32 pass)
{
	return on_flow_pass(pass);
}

/* Its own pid in the initial pid namespace. */
SEC("raw_tp")
int self_pid(void *ctx)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* For bpf2go: types that user space reads, beside those of the maps. */
const enum event_kind *unused_kind __attribute__((unused));
const enum counter *unused_counter __attribute__((unused));
const enum transport *unused_transport __attribute__((unused));
const enum role *unused_role __attribute__((unused));
const enum role_source *unused_role_source __attribute__((unused));
const struct open_event *unused_open __attribute__((unused));
const struct close_event *unused_close __attribute__((unused));
const struct process_event *unused_process __attribute__((unused));
const struct exit_event *unused_exit __attribute__((unused));
const struct local_close_event *unused_local_close __attribute__((unused));
const struct live_event *unused_live __attribute__((unused));
const enum iteration *unused_iteration __attribute__((unused));
const struct iterator_output *unused_iterator_output __attribute__((unused));
const struct unix_open_event *unused_unix_open __attribute__((unused));
const enum address_source *unused_address_source __attribute__((unused));
const struct descriptor_event *unused_descriptor __attribute__((unused));
const enum direction *unused_direction __attribute__((unused));
const enum marker *unused_marker __attribute__((unused));
const enum cut_reason *unused_cut_reason __attribute__((unused));
const enum exit_user *unused_exit_user __attribute__((unused));
const enum cause_flag *unused_cause_flag __attribute__((unused));
const enum frame_form *unused_frame_form __attribute__((unused));
const enum tls_probe *unused_tls_probe __attribute__((unused));
