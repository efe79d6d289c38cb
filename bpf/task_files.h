/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What descriptors of a task lead to. */
#pragma once

/* The descriptor may be another file: a call on a network file system leads to a transfer over a socket of the kernel. */
static __always_inline bool fd_is_sock(struct task_struct *task, __u32 fd, struct sock *sk)
{
	struct fdtable *table = task->files->fdt;
	struct file *file = NULL;

	if (fd >= table->max_fds)
		return false;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file && file == sk->sk_socket->file;
}
