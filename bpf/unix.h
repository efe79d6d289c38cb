/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Stream sockets of the family AF_UNIX. No hook shows their connect or close. They are followed from their first bytes on,
 * until one end sees the other's end, or a live pass does not find them.
 */
#pragma once

/* Copies a name, and returns its length. */
static __always_inline __u8 read_name(char *name, struct unix_address *address)
{
	/* The length counts the family, and the NUL behind a path. */
	__u64 length = address ? BPF_CORE_READ(address, len) - sizeof(__u16) : 0;

	barrier_var(length); /* 6.1 does not carry the bound of 32 bits over to a copy */
	if (length > UNIX_PATH_LEN)
		return 0;
	if (length && bpf_probe_read_kernel(name, length, &address->name[0].sun_path))
		return 0;
	return length;
}

/*
 * The end with a name is the server's: an accepted socket has its listener's name, and clients seldom bind. If both ends
 * have names or neither has, the role is not known.
 */
static __always_inline void read_unix_flow(struct flow *flow, struct sock *sk, bool named, bool peer_named)
{
	const struct sock_common *skc = &sk->__sk_common;

	flow->cookie = bpf_get_socket_cookie(sk);
	flow->family = AF_UNIX;
	flow->transport = TRANSPORT_UNIX;
	flow->netns = bpf_core_field_exists(skc->skc_net.net) ? skc->skc_net.net->ns.inum : 0;
	flow->role = named == peer_named ? ROLE_UNKNOWN : named ? ROLE_SERVER : ROLE_CLIENT;
	flow->role_source = named == peer_named ? ROLE_SOURCE_UNKNOWN : ROLE_SOURCE_LISTENER;
}

/* CLOCK_MONOTONIC, ns: since then all sockets that are older than the programs are known to be; 0: not yet. Set by user space. */
volatile __u64 older_unix_known = 0;

/* Before that, the first bytes that are seen of a socket need not be its first, and each end may have missed others. */
static __always_inline bool counts_from_first_byte(const struct connection *c, __u64 established)
{
	return !c->existing && older_unix_known && established > older_unix_known;
}

/*
 * Begins the event of the first bytes of a socket, or a description of it: see describe_socket. Then length is that of the last transfer,
 * else 0. established: when the first bytes came.
 */
static __always_inline struct unix_open_event *begin_unix_open(struct reservation *r, struct sock *sk, const struct socket_state *s,
							       const struct owner *owner, __u64 established, __u32 direction,
							       __u32 length)
{
	struct unix_sock *us = bpf_skc_to_unix_sock(sk);
	struct unix_address *address, *peer_address = NULL;
	struct unix_open_event *e;
	struct sock *peer;

	if (!us)
		return NULL;
	e = begin_event(r, shard_of(s->conn.flow.cookie), EVENT_UNIX_OPEN, sizeof(*e));
	if (!e)
		return NULL;
	address = us->addr;
	peer = us->peer;
	if (peer)
		peer_address = BPF_CORE_READ((struct unix_sock *)peer, addr);
	e->header.pid = owner->pid;
	e->header.start = owner->start;
	e->flow = s->conn.flow;
	e->cgroup = owner->cgroup;
	e->existing = s->conn.existing || length;
	e->peer_pid = BPF_CORE_READ(sk, sk_peer_pid, numbers[0].nr);
	e->local_length = read_name(e->local, address);
	e->remote_length = read_name(e->remote, peer_address);
	set_positions(e->position, &s->conn, direction, length);
	if (counts_from_first_byte(&s->conn, established))
		e->peer = bpf_get_socket_cookie(peer);
	return e;
}

static __always_inline void begin_unix(struct socket_state *s, const struct owner *owner, __u64 now)
{
	set_owner(s, owner);
	s->conn.task_pid = owner->pid;
	s->conn.started = s->conn.established = now;
}

/*
 * The first bytes of a socket. The task that transfers them owns the socket from then on. Another thread may be here at the same time, on
 * another CPU. The first of them opens the socket. The event is reserved before the others can know, so that none of theirs comes before
 * it in the ring buffer.
 */
static __always_inline void open_unix(struct sock *sk, struct socket_state *s)
{
	struct unix_sock *us = bpf_skc_to_unix_sock(sk);
	struct owner owner;
	struct process *known = current_owner(&owner);
	__u64 now = bpf_ktime_get_ns();
	struct unix_open_event *e;
	struct reservation r;

	if (!us)
		return;
	struct sock *peer = us->peer;
	struct unix_address *address = us->addr, *peer_address = NULL;
	if (peer)
		peer_address = BPF_CORE_READ((struct unix_sock *)peer, addr);
	read_unix_flow(&s->conn.flow, sk, address, peer_address);
	if (is_ignored(&owner, 0, 0)) {
		s->ignored = 1;
		s->conn.established = now;
		count(COUNTER_IGNORED);
		return;
	}
	emit_process_once(&owner, known, shard_of(s->conn.flow.cookie));
	e = begin_unix_open(&r, sk, s, &owner, now, DIRECTION_SENT, 0);
	if (!e) {
		begin_unix(s, &owner, now);
		return;
	}
	e->header.time = now;
	if (__sync_val_compare_and_swap(&s->opened, 0, 1)) {
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		return;
	}
	begin_unix(s, &owner, now);
	submit(&r, e);
}

static __always_inline struct socket_state *unix_state(struct sock *sk)
{
	struct socket_state *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (!s)
		s = track(sk);
	if (s && !s->conn.established)
		open_unix(sk, s);
	return s;
}

/* sent: the direction that the end with the cookie sends. */
static __always_inline void emit_unix_close(__u32 kind, const struct socket_state *s, __u64 cookie, __u32 sent)
{
	struct reservation r;
	struct close_event *e = begin_close(&r, kind, &s->conn, cookie, sent);

	if (!e)
		return;
	e->header.start = s->owner_start;
	e->cgroup = s->cgroup;
	submit(&r, e);
}

/* Bytes of which no hook has seen that they were received. */
struct spliced {
	__u64 bytes;
	__u64 last; /* CLOCK_MONOTONIC, ns */
};

/* What was spliced from Unix sockets since they last received otherwise, by cookie. TCP has positions of its own. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct spliced);
} spliced SEC(".maps");

volatile __u32 splices_from_unix = 0; /* there has been one */

/* The exit of splice. A socket whose very first bytes are spliced has no cookie yet, and is not followed. */
static __always_inline void on_splice_exit(long ret)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct spliced fresh = {.last = bpf_ktime_get_ns()}, *known;
	struct sock *sk;
	__u64 cookie;

	if (ret <= 0 || !follow_unix)
		return;
	sk = any_socket_of(SYSCALL_ARG1(regs));
	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX)
		return;
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (!cookie)
		return;
	known = bpf_map_lookup_elem(&spliced, &cookie);
	if (known) {
		known->last = fresh.last;
		__sync_fetch_and_add(&known->bytes, ret);
		return;
	}
	fresh.bytes = ret;
	bpf_map_update_elem(&spliced, &cookie, &fresh, BPF_ANY);
	splices_from_unix = 1;
}

/* Advances the received direction by what was spliced. */
static __always_inline void advance_spliced(struct socket_state *s)
{
	struct stream *stream = &s->conn.streams[DIRECTION_RECEIVED];
	__u64 cookie = s->conn.flow.cookie;
	struct spliced *known;

	if (!splices_from_unix)
		return;
	known = bpf_map_lookup_elem(&spliced, &cookie);
	if (!known)
		return;
	stream->position += known->bytes;
	stream->last_unreported = known->last;
	bpf_map_delete_elem(&spliced, &cookie);
}

/* A receive found the end: the peer has closed, or was closed with its process. */
static __always_inline void on_unix_end(struct sock *sk)
{
	struct socket_state *s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	struct unix_sock *us;
	__u64 peer = 0;

	if (!s || !s->conn.established || s->closed || sk->sk_shutdown != SHUTDOWN_BOTH)
		return;
	s->closed = 1;
	if (s->ignored)
		return;
	advance_spliced(s);
	emit_unix_close(EVENT_CLOSE, s, s->conn.flow.cookie, DIRECTION_SENT);
	us = bpf_skc_to_unix_sock(sk);
	if (us && us->peer)
		peer = BPF_CORE_READ(us->peer, __sk_common.skc_cookie.counter);
	if (peer)
		emit_unix_close(EVENT_PEER_CLOSE, s, peer, DIRECTION_RECEIVED);
}
