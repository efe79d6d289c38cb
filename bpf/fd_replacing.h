/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Descriptors of sockets that dup2 and dup3 replace. Between the moment at which the kernel does that and the exit of the call, which shows it, what
 * another thread sends goes to the new socket, and seems to go to the old one.
 */
#pragma once

/* How many such calls are under way. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct descriptor_key);
	__type(value, __u32);
} replacing SEC(".maps");

/* Returns whether the call is counted. */
static __always_inline bool begin_replacing(__u32 pid, __u32 old, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	__u32 none = 0, *calls_under_way;

	if (!follow_tls || old == fd || !fd_socket(pid, fd))
		return false;
	bpf_map_update_elem(&replacing, &key, &none, BPF_NOEXIST);
	calls_under_way = bpf_map_lookup_elem(&replacing, &key);
	if (!calls_under_way)
		return false;
	__sync_fetch_and_add(calls_under_way, 1);
	return true;
}

static __always_inline void end_replacing(__u32 pid, __u32 fd)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	__u32 *calls_under_way = bpf_map_lookup_elem(&replacing, &key);

	if (calls_under_way)
		__sync_fetch_and_add(calls_under_way, -1);
}

/*
 * Whether a descriptor of the process that runs now has led to a socket for the whole of a call that ends. Another thread may have closed it, and put
 * another socket there. generation: what the call has found at its enter.
 */
static __noinline bool has_led_to(__u32 pid, __u32 fd, __u64 id, __u32 generation)
{
	struct descriptor_key key = {.pid = pid, .fd = fd};
	struct descriptor *d = descriptor_of(pid, fd);
	__u32 *calls_under_way = bpf_map_lookup_elem(&replacing, &key);

	return d && d->kind == DESCRIPTOR_SOCKET && d->id == id && d->generation == generation && !(calls_under_way && *calls_under_way);
}
