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

static __always_inline int on_control_exit(struct exit_args *ctx, enum scratch_user user)
{
	__u32 pid = current_pid();
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *c = load_enter(tid, ctx->nr);
	long ret = ctx->ret;

	if (!c) {
		/* An accept that was already waiting when the programs were attached; or the primary has done it all. */
		if (!is_backup() && (ctx->nr == NR_ACCEPT || ctx->nr == NR_ACCEPT4) && ret >= 0 && pid != excluded_pid) {
			fd_unbind(pid, ret);
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
