/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The calls that make, connect, name and end sockets: which function serves their enter and their exit. */
#pragma once

static __always_inline int on_control_enter(struct enter_args *ctx, int count_args)
{
	struct call c = {.nr = ctx->nr};
	__u32 pid = current_pid();
	struct descriptor *d;

	if (pid == excluded_pid)
		return 0;
	for (int i = 0; i < count_args; i++)
		c.args[i] = ctx->args[i];
	c.fd = c.args[0];
	if (is_backup() && is_saved(&c, count_args))
		return 0;
	if (c.nr != NR_SOCKET && c.nr != NR_SOCKETPAIR) {
		d = descriptor_of(pid, c.fd);
		if (d && d->kind == DESCRIPTOR_SOCKET) {
			c.id = d->id;
			if (c.nr == NR_CONNECT) {
				struct socket_state *s = socket_by_id(c.id);
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
	if (c.nr == NR_DUP2 || c.nr == NR_DUP3)
		c.generation = begin_replacing(pid, c.fd, c.args[1]);
	save_enter(&c);
	return 0;
}

/* getsockopt */
static __always_inline int on_getsockopt_enter(struct enter_args *ctx)
{
	if (ctx->args[2] != SO_ERROR || ctx->args[1] != SOL_SOCKET)
		return 0;
	return on_control_enter(ctx, 5);
}

static __always_inline int on_fcntl_enter(struct enter_args *ctx)
{
	__u32 pid = current_pid();

	switch (ctx->args[1]) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return on_control_enter(ctx, 3);
	case F_SETFD:
		set_cloexec(pid, ctx->args[0], ctx->args[2] & FD_CLOEXEC);
	}
	return 0;
}

static __always_inline int on_ioctl_enter(struct enter_args *ctx)
{
	if ((__u32)ctx->args[1] == FIOCLEX || (__u32)ctx->args[1] == FIONCLEX)
		set_cloexec(current_pid(), ctx->args[0], (__u32)ctx->args[1] == FIOCLEX);
	return 0;
}

/* A call about a socket that is there has succeeded. */
static __always_inline void on_socket_call(struct socket_state *s, const struct call *c, __u32 pid)
{
	switch (c->nr) {
	case NR_GETSOCKNAME:
	case NR_GETPEERNAME:
		on_name(s, c, pid, c->nr == NR_GETPEERNAME);
		return;
	case NR_GETSOCKOPT:
		on_socket_error(s, c, pid);
		return;
	case NR_BIND:
		on_bind(s, c);
		return;
	case NR_LISTEN:
		s->stage = STAGE_LISTENING;
		return;
	case NR_SHUTDOWN:
		on_shutdown(s, c);
		return;
	}
}

static __always_inline void on_control_return(__u32 user, __u32 pid, const struct call *c, long ret)
{
	struct socket_state *s;

	if (ret < 0 && c->nr != NR_CONNECT)
		return;
	switch (c->nr) {
	case NR_SOCKET:
		on_socket(user, pid, c, ret);
		return;
	case NR_SOCKETPAIR:
		on_socketpair(user, pid, c);
		return;
	case NR_ACCEPT:
	case NR_ACCEPT4:
		on_accept(user, pid, c, ret, now_known(c, pid));
		return;
	case NR_DUP:
	case NR_DUP2:
		on_duplicate(pid, c->fd, ret, 0);
		return;
	case NR_DUP3:
		on_duplicate(pid, c->fd, ret, c->args[2] & SOCK_CLOEXEC);
		return;
	case NR_FCNTL:
		on_duplicate(pid, c->fd, ret, c->args[1] == F_DUPFD_CLOEXEC);
		return;
	}
	s = socket_by_id(now_known(c, pid));
	if (s && c->nr == NR_CONNECT)
		on_connect(s, pid, c->fd, ret);
	else if (s)
		on_socket_call(s, c, pid);
}

static __always_inline int on_control_exit(struct exit_args *ctx, enum scratch_user user)
{
	__u32 pid = current_pid();
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *c = load_enter(tid, ctx->nr);

	if (c) {
		on_control_return(user, pid, c, ctx->ret);
		if (c->generation)
			end_replacing(pid, c->args[1]);
		bpf_map_delete_elem(&calls, &tid);
	} else if (!is_backup() && (ctx->nr == NR_ACCEPT || ctx->nr == NR_ACCEPT4) && ctx->ret >= 0 && pid != excluded_pid) {
		/* An accept that was already waiting when the programs were attached. A backup's primary may have done it all. */
		fd_unbind(pid, ctx->ret);
		ask(pid, ctx->ret);
	}
	return 0;
}
