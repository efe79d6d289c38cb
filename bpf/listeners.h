/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Who listens where, while the iterators run. This distinguishes servers from clients. It also gives the owner of a socket
 * without a descriptor, for instance that of MPTCP, which is behind the socket that the descriptor leads to.
 */
#pragma once

struct listener_key {
	__u32 netns;
	__u32 port;
	__u32 address[4]; /* that of IPv4 is v4-mapped */
};

struct listener {
	__u64 start;
	__u32 pid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct listener_key);
	__type(value, struct listener);
} listeners SEC(".maps");

#define V4_MAPPED bpf_htonl(0xffff)

/* address: of an end of a flow. */
static __always_inline void set_listener_key(struct listener_key *key, const struct flow *flow, const __u8 *address, __u16 port)
{
	const __u32 *words = (const __u32 *)address;
	bool v6 = flow->family == AF_INET6;

	key->netns = flow->netns;
	key->port = port;
	key->address[0] = v6 ? words[0] : 0;
	key->address[1] = v6 ? words[1] : 0;
	key->address[2] = v6 ? words[2] : V4_MAPPED;
	key->address[3] = v6 ? words[3] : words[0];
}

static __always_inline bool is_mapped(const struct listener_key *key)
{
	return !key->address[0] && !key->address[1] && key->address[2] == V4_MAPPED;
}

static __always_inline void note_listener(const struct flow *flow, const struct owner *owner)
{
	struct listener listener = {.start = owner->start, .pid = owner->pid};
	struct listener_key key;

	set_listener_key(&key, flow, flow->local, flow->local_port);
	bpf_map_update_elem(&listeners, &key, &listener, BPF_NOEXIST);
}

/* Who listens at any address of the key's port. A listener of IPv6 takes IPv4 in, too, unless it was set not to. The address is lost. */
static __always_inline struct listener *listener_at_any(struct listener_key *key)
{
	struct listener *found = NULL;
	bool mapped = is_mapped(key);

	key->address[3] = 0;
	if (mapped)
		found = bpf_map_lookup_elem(&listeners, key);
	if (found)
		return found;
	key->address[0] = key->address[1] = key->address[2] = 0;
	return bpf_map_lookup_elem(&listeners, key);
}

/* Who listens at the local end of a flow. */
static __always_inline struct listener *listener_of(const struct flow *flow)
{
	struct listener_key key;
	struct listener *found;

	set_listener_key(&key, flow, flow->local, flow->local_port);
	found = bpf_map_lookup_elem(&listeners, &key);
	return found ? found : listener_at_any(&key);
}

/*
 * Whether somebody in the same network namespace listens at the remote end of a flow. A listener at any address does if the end is one of
 * the namespace: loopback, or the same address as the local end's.
 */
static __always_inline bool is_peer_listened(const struct flow *flow)
{
	struct listener_key local, key;
	bool here;

	set_listener_key(&local, flow, flow->local, flow->local_port);
	set_listener_key(&key, flow, flow->remote, flow->remote_port);
	if (bpf_map_lookup_elem(&listeners, &key))
		return true;
	here = key.address[3] == local.address[3] && key.address[2] == local.address[2] && key.address[1] == local.address[1] &&
	       key.address[0] == local.address[0];
	if (is_mapped(&key))
		here = here || (bpf_ntohl(key.address[3]) >> 24) == 127;
	return here && listener_at_any(&key);
}

/*
 * The role of a connection that is older than the programs. Where nobody listens at either end, the listener is gone or on another host:
 * which of the two is not known.
 */
static __always_inline __u32 role_of_existing(const struct flow *flow)
{
	if (listener_of(flow))
		return ROLE_SERVER;
	return is_peer_listened(flow) ? ROLE_CLIENT : ROLE_UNKNOWN;
}
