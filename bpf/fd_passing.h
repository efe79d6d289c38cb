/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Descriptors that a message over a Unix socket carries. */
#pragma once

#define PASSED_MAX 8   /* descriptors in a message */

/* A queue of descriptors on their way to the holder of a Unix socket. Key 0: the socket is not known. */
#define PASSED_NS 1000000000ull

struct passed {
	__u64 ids[PASSED_MAX];
	__u64 until; /* CLOCK_MONOTONIC, ns; key 0 only */
	__u32 first, count;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct passed);
} passing SEC(".maps");

/* The length is a size_t: 8 bytes, or 4 of a 32-bit program. Level and type are behind it. */
struct control_head {
	__u64 length;
	__s32 level;
	__s32 type;
};

static __always_inline __u32 control_head_size(bool compat)
{
	return sizeof(struct control_head) - (compat ? 4 : 0);
}

/* How many descriptors a message carries. */
static __always_inline __u32 carried(const struct user_message *m, bool compat)
{
	__u32 size = control_head_size(compat), skip = sizeof(struct control_head) - size;
	struct control_head control = {};

	if (m->control_length < size + 4 ||
	    bpf_probe_read_user(&control.length, sizeof(control.length) - skip, (void *)m->control) ||
	    bpf_probe_read_user(&control.level, 8, (void *)(m->control + size - 8)) ||
	    control.level != SOL_SOCKET || control.type != SCM_RIGHTS || control.length < size)
		return 0;
	control.length = (control.length - size) / 4;
	return control.length < PASSED_MAX ? control.length : PASSED_MAX;
}

static __always_inline bool read_carried(__s32 *fd, const struct user_message *m, __u32 i, bool compat)
{
	return !bpf_probe_read_user(fd, sizeof(*fd), (void *)(m->control + control_head_size(compat) + i * 4));
}

/* Descriptors are about to be sent. The message holds the sockets among them until somebody receives it. */
static __noinline int on_passed(const struct user_message *m, const struct call *c, __u32 pid)
{
	struct socket_state *s = socket_by_id(c->id);
	struct passed *queue;
	__u64 peer = s ? s->peer : 0, now = bpf_ktime_get_ns();
	__u32 n = carried(m, c->compat);
	__s32 fd;

	if (!n)
		return 0;
	queue = bpf_map_lookup_elem(&passing, &peer);
	if (!queue) {
		struct passed none = {};
		bpf_map_update_elem(&passing, &peer, &none, BPF_NOEXIST);
		queue = bpf_map_lookup_elem(&passing, &peer);
	}
	if (queue && !peer && queue->until < now) /* nobody was seen to receive them: they are stale */
		queue->first = queue->count = 0;
	if (queue)
		queue->until = now + PASSED_NS;
	for (__u32 i = 0; i < PASSED_MAX; i++) {
		__u64 id;
		if (i >= n || !read_carried(&fd, m, i, c->compat))
			break;
		id = fd_socket(pid, fd);
		if (id)
			sock_get(pid, DESCRIPTOR_IN_FLIGHT, id, 0);
		if (queue && queue->count < PASSED_MAX) {
			queue->ids[(queue->first + queue->count) & (PASSED_MAX - 1)] = id;
			queue->count++;
		}
	}
	return 0;
}

/* A descriptor was not passed: the message's hold ends. Not static, for the verifier. */
__noinline int end_passing(__u32 pid, __u32 fd)
{
	struct socket_state *s = socket_by_id(fd_socket(pid, fd));

	if (s && (s->emitted || s->stage != STAGE_LISTENING))
		emit_close(s);
	return 0;
}

/* The descriptors were not sent. */
static __noinline int on_not_passed(const struct call *c, __u32 pid)
{
	struct socket_state *s = socket_by_id(c->id);
	struct user_message m;
	struct passed *queue;
	__u64 peer = s ? s->peer : 0;
	__u32 n;
	__s32 fd;

	if (!read_message(&m, c->args[1], c->compat) || !m.control)
		return 0;
	n = carried(&m, c->compat);
	queue = bpf_map_lookup_elem(&passing, &peer);
	if (queue)
		queue->count = queue->count > n ? queue->count - n : 0;
	for (__u32 i = 0; i < PASSED_MAX; i++) {
		if (i >= n || !read_carried(&fd, &m, i, c->compat))
			break;
		end_passing(pid, fd);
	}
	return 0;
}

/* Descriptors were received. If it is not known which sockets were sent, user space finds out. */
static __noinline int on_taken(const struct user_message *m, const struct call *c, __u32 pid)
{
	struct passed *queue;
	__u64 key = c->id;
	__u32 n = carried(m, c->compat);

	if (!n)
		return 0;
	queue = key ? bpf_map_lookup_elem(&passing, &key) : NULL;
	if (!queue) {
		/* The sender is not known. If only one message is under way, it is that one. */
		key = 0;
		queue = bpf_map_lookup_elem(&passing, &key);
		if (queue && (queue->count != n || queue->until < bpf_ktime_get_ns()))
			queue = NULL;
	}
	for (__u32 i = 0; i < PASSED_MAX; i++) {
		__s32 fd;
		if (i >= n || !read_carried(&fd, m, i, c->compat))
			break;
		if (!queue || !queue->count) {
			fd_unbind(pid, fd);
			ask(pid, fd);
			continue;
		}
		__u64 id = queue->ids[queue->first & (PASSED_MAX - 1)];
		queue->first++;
		queue->count--;
		if (id)
			fd_bind(pid, fd, id, 0); /* the message's hold becomes the descriptor's */
		else
			fd_mark_untracked(pid, fd);
	}
	return 0;
}
