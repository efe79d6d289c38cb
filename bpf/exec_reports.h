/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Programs that begin, for user space to see whether they have a TLS library before they use it: syscall mode. */
#pragma once

/* Paths that were executed, by their hash. What another file has under the same path is looked at when its process uses its first socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, __u64);
	__type(value, __u8);
} executables SEC(".maps");

/* FNV-1a. */
static __noinline __u64 hash_path(const struct image *image)
{
	__u64 hash = 0xcbf29ce484222325ull;

	for (__u32 i = 0; i < PATH_PART_MAX; i++) {
		if (!image->path[i])
			break;
		hash = (hash ^ (__u8)image->path[i]) * 0x100000001b3ull;
	}
	return hash;
}

/* A process has begun another program. */
static __always_inline void report_exec(__u32 pid)
{
	struct image *image = follow_tls ? bpf_map_lookup_elem(&images, &pid) : NULL;
	struct exit_event *e;
	struct reservation r;
	__u64 hash;
	__u8 yes = 1;

	if (!image)
		return;
	hash = hash_path(image);
	if (bpf_map_update_elem(&executables, &hash, &yes, BPF_NOEXIST))
		return;
	e = begin_event(&r, shard_of(pid), EVENT_EXEC, sizeof(*e));
	if (!e)
		return;
	e->header.pid = pid;
	submit_urgently(&r, e);
}
