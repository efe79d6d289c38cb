//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The kernel side of the syscall mode: every hook and the function that it calls. It needs neither BTF of the kernel nor any of
 * its structs, because it only reads arguments and results of calls. One program serves all calls of the same shape; user
 * space attaches it to each of them, the exit before the enter.
 */
#include <stdbool.h>
#include <asm-generic/errno.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

/* 5.10 has no pointers in arguments of functions that are global to the verifier. */
#define SUBPROGRAM static __noinline
/* Such functions are verified at every call, so there are to be few calls. The steps of loops take a number in place of pointers. */
#define STEP static __always_inline
#define GATHER(gathering) gather_of((gathering)->event_buf)
#define EMIT_PIECE(emission, stream) emit_piece_of((emission)->g.event_buf)
int gather_of(unsigned int event_buf);
int emit_piece_of(unsigned int event_buf);

#include "abi.h"
#include "event.h"
#include "user_regs.h"
#include "function_args.h"
#include "config.h"
#include "compat.h"
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
#include "call.h"
#include "call_socket.h"
#include "scratch.h"
#include "datagram_data.h"
#include "image.h"
#include "call_events.h"
#include "fd.h"
#include "fd_replacing.h"
#include "fd_sweep.h"
#include "fd_passing.h"
#include "unix_names.h"
#include "new_sockets.h"
#include "connection_calls.h"
#include "socket_calls.h"
#include "tls_processes.h"
#include "tls_ties.h"
#include "stream_calls.h"
#include "datagram_calls.h"
#include "transfer_calls.h"
#include "tcp_ends.h"
#include "exec_reports.h"
#include "process_calls.h"
#include "control.h"
#include "compat_calls.h"
#include "tls_calls.h"
#include "tls_writers.h"
#include "tls_go.h"
#include "tls_gnutls.h"
#include "tls_probes.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* ---- transfers ---- */

/* read, write, readv, writev, sendmsg, recvmsg */
SEC("tracepoint")
int enter_transfer_of_3(struct enter_args *ctx)
{
	struct user_message m;

	return on_transfer_enter(ctx, 3, false, &m);
}

/* sendmmsg, recvmmsg, sendfile64 */
SEC("tracepoint")
int enter_transfer_of_4(struct enter_args *ctx)
{
	struct user_message m;

	return on_transfer_enter(ctx, 4, false, &m);
}

/* sendto, recvfrom, preadv2, pwritev2 */
SEC("tracepoint")
int enter_transfer_of_6(struct enter_args *ctx)
{
	struct user_message m;

	return on_transfer_enter(ctx, 6, false, &m);
}

SEC("tracepoint")
int enter_splice(struct enter_args *ctx)
{
	return on_splice_enter(ctx);
}

SEC("tracepoint")
int exit_transfer(struct exit_args *ctx)
{
	return on_call_exit(ctx, is_backup() ? USER_TRANSFER_BACKUP : USER_TRANSFER);
}

/* sendmmsg, recvmmsg */
SEC("tracepoint")
int exit_batch(struct exit_args *ctx)
{
	return on_call_exit(ctx, is_backup() ? USER_BATCH_BACKUP : USER_BATCH);
}

/* ---- calls that make, connect, name and end sockets ---- */

/* dup */
SEC("tracepoint")
int enter_control_of_1(struct enter_args *ctx)
{
	return on_control_enter(ctx, 1);
}

/* dup2, listen, shutdown */
SEC("tracepoint")
int enter_control_of_2(struct enter_args *ctx)
{
	return on_control_enter(ctx, 2);
}

/* socket, accept, connect, bind, getsockname, getpeername, dup3 */
SEC("tracepoint")
int enter_control_of_3(struct enter_args *ctx)
{
	return on_control_enter(ctx, 3);
}

/* accept4, socketpair */
SEC("tracepoint")
int enter_control_of_4(struct enter_args *ctx)
{
	return on_control_enter(ctx, 4);
}

/* getsockopt */
SEC("tracepoint")
int enter_control_of_5(struct enter_args *ctx)
{
	return on_getsockopt_enter(ctx);
}

SEC("tracepoint")
int enter_fcntl(struct enter_args *ctx)
{
	return on_fcntl_enter(ctx);
}

SEC("tracepoint")
int enter_ioctl(struct enter_args *ctx)
{
	return on_ioctl_enter(ctx);
}

SEC("tracepoint")
int exit_control(struct exit_args *ctx)
{
	return on_control_exit(ctx, is_backup() ? USER_CONTROL_BACKUP : USER_CONTROL);
}

SEC("tracepoint")
int enter_close(struct enter_args *ctx)
{
	return on_close_enter(ctx);
}

SEC("tracepoint")
int enter_close_range(struct enter_args *ctx)
{
	return on_close_range_enter(ctx, is_backup() ? USER_CLOSE_RANGE_BACKUP : USER_CLOSE_RANGE);
}

/* ---- the calls of 32-bit programs ---- */

SEC("raw_tp")
int BPF_PROG(compat_enter, const struct saved_regs *regs)
{
	return on_compat_enter(regs);
}

SEC("raw_tp")
int BPF_PROG(compat_exit, const struct saved_regs *regs, long ret)
{
	return on_compat_exit(regs, ret);
}

/* ---- both ends of TCP sockets ---- */

/* inet_sock_set_state */
SEC("tracepoint")
int tcp_state(struct tcp_state_args *ctx)
{
	return on_tcp_state(ctx);
}

/* tcp_rcv_space_adjust */
SEC("tracepoint")
int tcp_receive(struct tcp_receive_args *ctx)
{
	return on_tcp_receive(ctx);
}

/* ---- TLS libraries: addresses in them, see internal/tlslib ---- */

SEC("uprobe.multi")
int tls_call(struct pt_regs *regs)
{
	if (current_pid() != excluded_pid)
		on_tls_probe(regs, bpf_get_attach_cookie(regs));
	return 0;
}

/* ---- the life of processes ---- */

SEC("tracepoint")
int enter_clone(struct enter_args *ctx)
{
	return on_clone(ctx);
}

SEC("tracepoint")
int enter_clone3(struct enter_args *ctx)
{
	return on_clone3(ctx);
}

/* sched_process_fork */
SEC("tracepoint")
int process_fork(void *ctx)
{
	return on_fork(ctx);
}

SEC("tracepoint")
int enter_execve(struct enter_args *ctx)
{
	return on_exec_enter(ctx->args[0], ctx->args[2]);
}

SEC("tracepoint")
int enter_execveat(struct enter_args *ctx)
{
	return on_exec_enter(ctx->args[1], ctx->args[3]);
}

/* execve, execveat */
SEC("tracepoint")
int exit_exec(struct exit_args *ctx)
{
	return on_exec_exit(ctx, is_backup() ? USER_EXEC_BACKUP : USER_EXEC);
}

/* setns, unshare */
SEC("tracepoint")
int exit_namespace(struct exit_args *ctx)
{
	return on_namespace_exit(ctx);
}

/* sched_process_exit */
SEC("tracepoint")
int process_exit(void *ctx)
{
	return on_thread_exit(ctx);
}

/* ---- run by user space ---- */

/* Its own pid in the initial pid namespace. */
SEC("raw_tp")
int self_pid(void *ctx)
{
	return current_pid();
}

/* User space has found the network namespace of a process. */
SEC("raw_tp")
int BPF_PROG(locate, __u32 pid, __u64 ticks, __u32 netns)
{
	return on_located(pid, ticks, netns);
}

/* The rules leave out all sockets of a process. */
SEC("raw_tp")
int BPF_PROG(leave_out, __u32 pid, __u64 ticks, __u32 generation)
{
	return on_left_out(pid, ticks, generation);
}

/* User space has found that the descriptor leads to the socket in struct control. */
SEC("raw_tp")
int BPF_PROG(adopt, __u32 pid, __u32 fd, __u64 question)
{
	return on_adopted(pid, fd, question);
}

/* User space has found that the descriptor leads to nothing that is followed. */
SEC("raw_tp")
int BPF_PROG(reject, __u32 pid, __u32 fd, __u64 question)
{
	return answer(pid, fd, question, 0);
}

/* Where does the descriptor lead to? 1: the answer is in struct control; 0: that is not known. */
SEC("raw_tp")
int BPF_PROG(look_up, __u32 pid, __u32 fd)
{
	return on_look_up(pid, fd);
}

/* The descriptor does not lead to the socket any more: its close, or the end of its process, was not seen. */
SEC("raw_tp")
int BPF_PROG(vanish, __u32 pid, __u32 fd, __u64 id)
{
	return on_vanished(pid, fd, id);
}

/* The thread is in the call that is in struct control, which it entered before the programs were attached. */
SEC("raw_tp")
int BPF_PROG(enter_blocked, __u32 tid)
{
	return on_blocked(tid);
}

/* The thread was not in that call. */
SEC("raw_tp")
int BPF_PROG(leave_blocked, __u32 tid)
{
	return on_left(tid);
}

/* What has become of the UDP flow of the key in struct control? */
SEC("raw_tp")
int ask_datagrams(void *ctx)
{
	return on_datagrams_asked();
}

/* For bpf2go: types that user space reads and writes, beside those of the maps. */
const enum descriptor_kind *unused_descriptor_kind __attribute__((unused));
const enum scratch_user *unused_scratch_user __attribute__((unused));
const enum stage *unused_stage __attribute__((unused));
const enum known *unused_known __attribute__((unused));
const enum datagram_state *unused_datagram_state __attribute__((unused));
