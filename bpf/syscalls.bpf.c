//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The kernel side of the syscall mode: every hook, and where it leads. It needs neither BTF of the kernel nor any of its
 * structs: what it knows are the arguments and results of calls. One program serves all calls of the same shape; user
 * space attaches it to each of them.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

/* 5.10 has no pointers in arguments of functions that are global to the verifier. */
#define SUBPROGRAM static __noinline
#define SUBPROGRAM_WITH_POINTERS static __noinline
/* Such functions are verified again at every call, so there are to be fewer calls; this one takes a number in the pointer's place. */
#define PIECES_MAX 8
#define IOV_PARTS_MAX 32
#define FILL(gathering) fill_of((gathering)->draft)
int fill_of(unsigned int draft);

#include "abi.h"
#include "event.h"
#include "maps.h"
#include "backup.h"
#include "emit.h"
#include "payload.h"
#include "calls.h"
#include "descriptors.h"
#include "endpoints.h"
#include "transfers.h"
#include "mailbox.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* include/trace/trace_events.h, kernel/trace/trace_syscalls.c: the number is an int, arguments are longs. */
struct enter_args {
	__u64 common;
	int nr;
	int pad;
	__u64 args[6];
};

struct exit_args {
	__u64 common;
	int nr;
	int pad;
	long ret;
};

/* The call that the thread is in, if its enter was kept. */
static __always_inline struct call *kept(__u32 tid, __u32 nr)
{
	struct call *c = bpf_map_lookup_elem(&calls, &tid);

	return c && c->nr == nr ? c : NULL;
}

/* Whether the primary has kept the call. */
static __always_inline bool is_kept(const struct call *c, int count_args)
{
	struct call *before = kept(bpf_get_current_pid_tgid(), c->nr);

	if (!before || before->fd != c->fd)
		return false;
	for (int i = 0; i < count_args; i++) {
		if (before->args[i] != c->args[i])
			return false;
	}
	return true;
}

/* ---- transfers ---- */

static __always_inline int enter_transfer(struct enter_args *ctx, int count_args)
{
	struct call c = {.nr = ctx->nr};
	__u32 pid = current_pid();
	struct user_message m;

	if (pid == excluded_pid)
		return 0;
	for (int i = 0; i < count_args; i++)
		c.args[i] = ctx->args[i];
	if (!about_socket(&c, pid, c.args[0]) || (is_backup() && is_kept(&c, count_args)))
		return 0;
	/* Now: behind the call somebody may have taken them before its exit is seen. */
	if (count_args == 3 && c.nr == NR_SENDMSG && !bpf_probe_read_user(&m, sizeof(m), (void *)c.args[1]) && m.control)
		on_passed(&m, c.id, pid);
	keep(&c);
	return 0;
}

/* read, write, readv, writev, sendmsg, recvmsg */
SEC("tracepoint")
int enter_transfer_of_3(struct enter_args *ctx)
{
	return enter_transfer(ctx, 3);
}

/* sendmmsg, recvmmsg, sendfile64 */
SEC("tracepoint")
int enter_transfer_of_4(struct enter_args *ctx)
{
	return enter_transfer(ctx, 4);
}

/* sendto, recvfrom, preadv2, pwritev2 */
SEC("tracepoint")
int enter_transfer_of_6(struct enter_args *ctx)
{
	return enter_transfer(ctx, 6);
}

static __always_inline int enter_splicing(struct enter_args *ctx)
{
	struct call c = {.nr = ctx->nr};
	__u32 pid = current_pid();
	struct descriptor *d;

	if (pid == excluded_pid)
		return 0;
	c.args[0] = ctx->args[0];
	c.args[2] = ctx->args[2];
	d = descriptor_of(pid, c.args[0]);
	if (d && d->kind == DESCRIPTOR_SOCKET) {
		c.fd = c.args[0];
	} else {
		d = descriptor_of(pid, c.args[2]);
		if (!d || d->kind != DESCRIPTOR_SOCKET)
			return 0;
		c.fd = c.args[2];
	}
	c.id = d->id;
	if (!(is_backup() && is_kept(&c, 3)))
		keep(&c);
	return 0;
}

SEC("tracepoint")
int enter_splice(struct enter_args *ctx)
{
	return enter_splicing(ctx);
}

/* The socket that the call is about: what was not known at its enter may be now. */
static __always_inline __u64 now_known(const struct call *c, __u32 pid)
{
	struct descriptor *d;

	if (c->id)
		return c->id;
	d = descriptor_of(pid, c->fd);
	return d && d->kind == DESCRIPTOR_SOCKET ? d->id : 0;
}

static __always_inline int exit_transfers(struct exit_args *ctx, enum scratch_user user)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *c = kept(tid, ctx->nr);

	if (!c)
		return 0;
	c->id = now_known(c, current_pid());
	if (user == USER_BATCH || user == USER_BATCH_BACKUP)
		on_batch_exit(user, c, current_pid(), ctx->ret);
	else
		on_transfer_exit(user, c, current_pid(), ctx->ret);
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("tracepoint")
int exit_transfer(struct exit_args *ctx)
{
	return exit_transfers(ctx, is_backup() ? USER_TRANSFER_BACKUP : USER_TRANSFER);
}

SEC("tracepoint")
int exit_batch(struct exit_args *ctx)
{
	return exit_transfers(ctx, is_backup() ? USER_BATCH_BACKUP : USER_BATCH);
}

/* ---- what makes, connects, names and ends sockets ---- */

static __always_inline int enter_control(struct enter_args *ctx, int count_args)
{
	struct call c = {.nr = ctx->nr};
	__u32 pid = current_pid();
	struct descriptor *d;

	if (pid == excluded_pid)
		return 0;
	for (int i = 0; i < count_args; i++)
		c.args[i] = ctx->args[i];
	c.fd = c.args[0];
	if (is_backup() && is_kept(&c, count_args))
		return 0;
	if (c.nr != NR_SOCKET && c.nr != NR_SOCKETPAIR) {
		d = descriptor_of(pid, c.fd);
		if (d && d->kind == DESCRIPTOR_SOCKET) {
			c.id = d->id;
			if (c.nr == NR_CONNECT) {
				struct call_socket *s = socket_by_id(c.id);
				if (s)
					on_connect_enter(s, &c);
			}
		} else if (c.nr == NR_GETSOCKOPT || c.nr == NR_GETSOCKNAME || c.nr == NR_GETPEERNAME ||
			   c.nr == NR_SHUTDOWN) {
			return 0;
		} else if (!d && (c.nr == NR_ACCEPT || c.nr == NR_ACCEPT4 || c.nr == NR_CONNECT)) {
			ask(pid, c.fd);
		}
	}
	keep(&c);
	return 0;
}

/* dup */
SEC("tracepoint")
int enter_control_of_1(struct enter_args *ctx)
{
	return enter_control(ctx, 1);
}

/* dup2, listen, shutdown */
SEC("tracepoint")
int enter_control_of_2(struct enter_args *ctx)
{
	return enter_control(ctx, 2);
}

/* socket, accept, connect, bind, getsockname, getpeername, dup3 */
SEC("tracepoint")
int enter_control_of_3(struct enter_args *ctx)
{
	return enter_control(ctx, 3);
}

/* accept4, socketpair */
SEC("tracepoint")
int enter_control_of_4(struct enter_args *ctx)
{
	return enter_control(ctx, 4);
}

/* getsockopt */
static __always_inline int enter_getsockopt(struct enter_args *ctx)
{
	if (ctx->args[2] != SO_ERROR || ctx->args[1] != SOL_SOCKET)
		return 0;
	return enter_control(ctx, 5);
}

SEC("tracepoint")
int enter_control_of_5(struct enter_args *ctx)
{
	return enter_getsockopt(ctx);
}

static __always_inline int enter_fcntls(struct enter_args *ctx)
{
	__u32 pid = current_pid();

	switch (ctx->args[1]) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return enter_control(ctx, 3);
	case F_SETFD:
		set_cloexec(pid, ctx->args[0], ctx->args[2] & FD_CLOEXEC);
	}
	return 0;
}

SEC("tracepoint")
int enter_fcntl(struct enter_args *ctx)
{
	return enter_fcntls(ctx);
}

SEC("tracepoint")
int enter_ioctl(struct enter_args *ctx)
{
	if ((__u32)ctx->args[1] == FIOCLEX || (__u32)ctx->args[1] == FIONCLEX)
		set_cloexec(current_pid(), ctx->args[0], (__u32)ctx->args[1] == FIOCLEX);
	return 0;
}

static __always_inline void on_existing_call(const struct call *c, __u32 pid, long ret)
{
	struct call_socket *s = socket_by_id(now_known(c, pid));

	if (!s)
		return;
	switch (c->nr) {
	case NR_CONNECT:
		on_connect(s, pid, c->fd, ret);
		return;
	case NR_GETSOCKNAME:
	case NR_GETPEERNAME:
		if (!ret)
			on_name(s, c, pid, c->nr == NR_GETPEERNAME);
		return;
	case NR_GETSOCKOPT:
		if (!ret)
			on_socket_error(s, c, pid);
		return;
	case NR_BIND:
		if (!ret)
			on_bind(s, c);
		return;
	case NR_LISTEN:
		if (!ret)
			s->stage = STAGE_LISTENING;
		return;
	case NR_SHUTDOWN:
		if (!ret)
			on_shutdown(s, c);
		return;
	}
}

static __always_inline int exit_controls(struct exit_args *ctx, enum scratch_user user)
{
	__u32 pid = current_pid();
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *c = kept(tid, ctx->nr);
	long ret = ctx->ret;

	if (!c) {
		/* An accept that was already waiting when the programs were attached; or the primary has done it all. */
		if (!is_backup() && (ctx->nr == NR_ACCEPT || ctx->nr == NR_ACCEPT4) && ret >= 0 && pid != excluded_pid) {
			drop(pid, ret);
			ask(pid, ret);
		}
		return 0;
	}
	switch (c->nr) {
	case NR_SOCKET:
		if (ret >= 0)
			on_socket(user, pid, c, ret);
		break;
	case NR_SOCKETPAIR:
		if (!ret)
			on_socketpair(user, pid, c);
		break;
	case NR_ACCEPT:
	case NR_ACCEPT4:
		if (ret >= 0)
			on_accept(user, pid, c, ret, now_known(c, pid));
		break;
	case NR_DUP:
	case NR_DUP2:
		if (ret >= 0)
			on_duplicate(pid, c->fd, ret, 0);
		break;
	case NR_DUP3:
		if (ret >= 0)
			on_duplicate(pid, c->fd, ret, c->args[2] & SOCK_CLOEXEC);
		break;
	case NR_FCNTL:
		if (ret >= 0)
			on_duplicate(pid, c->fd, ret, c->args[1] == F_DUPFD_CLOEXEC);
		break;
	default:
		on_existing_call(c, pid, ret);
	}
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("tracepoint")
int exit_control(struct exit_args *ctx)
{
	return exit_controls(ctx, is_backup() ? USER_CONTROL_BACKUP : USER_CONTROL);
}

static __always_inline int close_one(struct enter_args *ctx)
{
	__u32 pid = current_pid();

	if (pid != excluded_pid)
		drop(pid, ctx->args[0]);
	return 0;
}

/* At the enter: behind the call the number may already be another file's. */
SEC("tracepoint")
int enter_close(struct enter_args *ctx)
{
	return close_one(ctx);
}

static __always_inline int close_many(struct enter_args *ctx, enum sweep_user user)
{
	__u32 pid = current_pid();

	if (pid != excluded_pid)
		sweep(user, pid, 0, ctx->args[2] & CLOSE_RANGE_CLOEXEC ? SWEEP_CLOEXEC : SWEEP_CLOSE, ctx->args[0],
		      ctx->args[1]);
	return 0;
}

SEC("tracepoint")
int enter_close_range(struct enter_args *ctx)
{
	return close_many(ctx, is_backup() ? USER_CLOSE_RANGE_BACKUP : USER_CLOSE_RANGE);
}

/* ---- processes ---- */

/* clone: the flags are its first argument */
static __always_inline int keep_clone(struct enter_args *ctx)
{
	struct call c = {.nr = NR_CLONE};

	c.args[0] = ctx->args[0];
	keep(&c);
	return 0;
}

SEC("tracepoint")
int enter_clone(struct enter_args *ctx)
{
	return keep_clone(ctx);
}

/* clone3: the flags are the first member of what its first argument points to */
static __always_inline int keep_clone3(struct enter_args *ctx)
{
	struct call c = {.nr = NR_CLONE};

	bpf_probe_read_user(&c.args[0], sizeof(c.args[0]), (void *)ctx->args[0]);
	keep(&c);
	return 0;
}

SEC("tracepoint")
int enter_clone3(struct enter_args *ctx)
{
	return keep_clone3(ctx);
}

#define CLONE_THREAD 0x10000
#define CLONE_NEWNET 0x40000000

/* sched_process_fork: in the parent, before the child runs */
SEC("tracepoint")
int process_fork(void *ctx)
{
	__u32 pid = current_pid(), tid = bpf_get_current_pid_tgid(), child = 0;
	struct call *c = bpf_map_lookup_elem(&calls, &tid);
	struct image *image;
	__u64 flags = 0;

	if (c && c->nr == NR_CLONE) {
		flags = c->args[0];
		c->args[0] = 0; /* fork and vfork have no enter here: they are not to be taken for another of these */
	}
	if (flags & CLONE_THREAD)
		return 0;
	if (pid == excluded_pid ||
	    bpf_probe_read_kernel(&child, sizeof(child), ctx + fork_child_offset) || !child)
		return 0;
	/* Whatever there is, is of a former process of that number. */
	struct process *parent = bpf_map_lookup_elem(&processes, &pid);
	if (parent && parent->netns && !(flags & CLONE_NEWNET)) {
		struct process fresh = {.start = bpf_ktime_get_boot_ns(), .netns = parent->netns};
		if (bpf_map_update_elem(&processes, &child, &fresh, BPF_ANY))
			count(COUNTER_PROCESS_MAP_FULL);
	} else {
		bpf_map_delete_elem(&processes, &child);
		if (flags & CLONE_NEWNET)
			introduce(child, shard_of(child)); /* it may be gone before it uses a socket's name */
	}
	image = bpf_map_lookup_elem(&images, &pid);
	if (image)
		bpf_map_update_elem(&images, &child, image, BPF_ANY);
	sweep(USER_PROCESS, pid, child, SWEEP_INHERIT, 0, TABLE_FDS);
	return 0;
}

#define ENVIRON_MAX 128 /* variables that are looked at */

static __noinline int read_variable(struct image *image, __u64 address)
{
	char name[8];

	if (bpf_probe_read_user(name, sizeof(name), (void *)address))
		return 0;
	if (*(__u64 *)name == *(const __u64 *)"OTEL_SER")
		bpf_probe_read_user_str(image->service, VARIABLE_LEN, (void *)address);
	else if (*(__u64 *)name == *(const __u64 *)"OTEL_RES")
		bpf_probe_read_user_str(image->attributes, VARIABLE_LEN, (void *)address);
	return 0;
}

SEC("tracepoint")
int enter_execve(struct enter_args *ctx)
{
	struct image *image;
	__u32 zero = 0;
	__u32 pid = current_pid();
	__u64 environ = ctx->args[2], variable = 0;

	image = bpf_map_lookup_elem(&new_images, &zero);
	if (!image || bpf_probe_read_user_str(image->path, PATH_PART_MAX, (void *)ctx->args[0]) <= 1)
		return 0;
	image->service[0] = image->attributes[0] = 0;
	for (int i = 0; i < ENVIRON_MAX; i++) {
		if (!environ || bpf_probe_read_user(&variable, sizeof(variable), (void *)(environ + i * 8)) || !variable)
			break;
		read_variable(image, variable);
	}
	bpf_map_update_elem(&images, &pid, image, BPF_ANY);
	return 0;
}

static __always_inline void redescribe(__u32 pid)
{
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	if (!p)
		return;
	__sync_fetch_and_add(&p->generation, 1);
	p->told = 0;
}

static __always_inline int executed(struct exit_args *ctx, enum sweep_user user)
{
	__u32 pid = current_pid();

	if (ctx->ret)
		return 0;
	sweep(user, pid, 0, SWEEP_EXEC, 0, TABLE_FDS);
	redescribe(pid);
	return 0;
}

/* execve, execveat */
SEC("tracepoint")
int exit_exec(struct exit_args *ctx)
{
	return executed(ctx, is_backup() ? USER_EXEC_BACKUP : USER_EXEC);
}

/* setns, unshare: the process may be in another network namespace from now on */
static __always_inline int exit_namespaces(struct exit_args *ctx)
{
	__u32 pid = current_pid();
	struct process *p;

	if (ctx->ret || pid == excluded_pid)
		return 0;
	p = process_of(pid);
	if (!p)
		return 0;
	if (is_backup() && !p->netns)
		return 0;
	p->netns = 0;
	redescribe(pid);
	introduce(pid, shard_of(pid)); /* its children will be in there, too */
	return 0;
}

SEC("tracepoint")
int exit_namespace(struct exit_args *ctx)
{
	return exit_namespaces(ctx);
}

/* sched_process_exit: in each thread; its descriptors go with the last */
SEC("tracepoint")
int process_exit(void *ctx)
{
	__u64 both = bpf_get_current_pid_tgid();
	__u32 pid = both >> 32, told;
	struct process *p;
	__u8 last = pid == (__u32)both;

	if (exit_group_offset)
		bpf_probe_read_kernel(&last, sizeof(last), ctx + exit_group_offset);
	if (!last)
		return 0;
	sweep(USER_PROCESS, pid, 0, SWEEP_CLOSE, 0, TABLE_FDS);
	bpf_map_delete_elem(&tables, &pid);
	bpf_map_delete_elem(&images, &pid);
	p = bpf_map_lookup_elem(&processes, &pid);
	if (!p)
		return 0;
	told = p->told;
	for (__u32 shard = 0; shard < SHARDS_MAX; shard++) {
		if (!(told >> shard & 1))
			continue;
		struct slot slot = reserve(shard, EVENT_EXIT, sizeof(struct exit_event));
		struct exit_event *e = slot.event;
		if (!e)
			continue;
		head(&e->header, EVENT_EXIT, pid);
		submit(&slot, EVENT_EXIT, sizeof(*e));
	}
	bpf_map_delete_elem(&processes, &pid);
	return 0;
}

/* ---- run by user space ---- */

/* Its own pid in the initial pid namespace. */
SEC("raw_tp")
int self_pid(void *ctx)
{
	return current_pid();
}

/* What user space has found: the network namespace of a process. */
SEC("raw_tp")
int BPF_PROG(locate, __u32 pid, __u64 ticks, __u32 netns)
{
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	if (p && p->start / TICK_NS == ticks && !p->netns)
		p->netns = netns;
	return 0;
}

/* What user space has found: the descriptor leads to the socket in the mailbox. */
SEC("raw_tp")
int BPF_PROG(adopt, __u32 pid, __u32 fd, __u64 question)
{
	return on_adopted(pid, fd, question);
}

/* What user space has found: the descriptor leads to nothing that is followed. */
SEC("raw_tp")
int BPF_PROG(reject, __u32 pid, __u32 fd, __u64 question)
{
	answer(pid, fd, question, 0);
	return 0;
}

/* Where does the descriptor lead to? 1: the answer is in the mailbox; 0: that is not known. */
SEC("raw_tp")
int BPF_PROG(look_up, __u32 pid, __u32 fd)
{
	return on_look_up(pid, fd);
}

/* The descriptor leads to the socket no more: its close, or its process' end, was not seen. */
SEC("raw_tp")
int BPF_PROG(vanish, __u32 pid, __u32 fd, __u64 id)
{
	return on_vanished(pid, fd, id);
}

/* The thread is in the call that is in the mailbox, which it entered before the programs were attached. */
SEC("raw_tp")
int BPF_PROG(enter_blocked, __u32 tid)
{
	return on_blocked(tid);
}

/* It was not. */
SEC("raw_tp")
int BPF_PROG(leave_blocked, __u32 tid)
{
	return bpf_map_delete_elem(&calls, &tid);
}

/* What has become of the UDP flow of the key in the mailbox? */
SEC("raw_tp")
int ask_datagrams(void *ctx)
{
	return on_datagrams_asked();
}

/* For bpf2go: types that user space reads and writes. */
const enum descriptor_kind *unused_descriptor_kind __attribute__((unused));
const enum stage *unused_stage __attribute__((unused));
const enum known *unused_known __attribute__((unused));
const struct descriptor_key *unused_descriptor_key __attribute__((unused));
const struct process *unused_process __attribute__((unused));
const struct image *unused_image __attribute__((unused));
const struct descriptor *unused_descriptor __attribute__((unused));
const struct call *unused_call __attribute__((unused));
const struct call_socket *unused_call_socket __attribute__((unused));
const struct datagram_key *unused_datagram_key __attribute__((unused));
const struct datagram_flow *unused_datagram_flow __attribute__((unused));
const struct mailbox *unused_mailbox __attribute__((unused));
const enum datagram_state *unused_datagram_state __attribute__((unused));
