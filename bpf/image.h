/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The executable and the service of a process, from the arguments of execve and execveat. */
#pragma once

#define VARIABLE_LEN 256

struct image {
	char path[PATH_PART_MAX];
	char service[VARIABLE_LEN];    /* OTEL_SERVICE_NAME=...; empty: there is none */
	char attributes[VARIABLE_LEN]; /* OTEL_RESOURCE_ATTRIBUTES=... */
	__u32 path_cut;
	__u32 environ_cut; /* there are further variables, or one of the two is not whole */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct image);
} images SEC(".maps");

/* Of calls of execve under way, by process: whether they succeed is not known yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct image);
} executing SEC(".maps");

/* What does not fit on the stack of execve. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct image);
} new_images SEC(".maps");

#define ENVIRON_MAX 1024 /* variables that are looked at */

static __noinline int read_variable(struct image *image, __u64 address)
{
	__u64 name;

	if (bpf_probe_read_user(&name, sizeof(name), (void *)address))
		return 0;
	if (name == *(const __u64 *)"OTEL_SER")
		bpf_probe_read_user_str(image->service, VARIABLE_LEN, (void *)address);
	else if (name == *(const __u64 *)"OTEL_RES")
		bpf_probe_read_user_str(image->attributes, VARIABLE_LEN, (void *)address);
	return 0;
}

#define VARIABLES_AT_A_TIME 32

/* Returns whether there may be further ones. Not static, for the verifier: a loop in a loop, of which it goes through the inner one once. */
__noinline int read_variables(__u64 addresses)
{
	__u32 zero = 0;
	struct image *image = bpf_map_lookup_elem(&new_images, &zero);
	__u64 variable = 0;

	if (!image)
		return 0;
	for (int i = 0; i < VARIABLES_AT_A_TIME; i++) {
		if (bpf_probe_read_user(&variable, sizeof(variable), (void *)(addresses + i * 8)) || !variable)
			return 0;
		read_variable(image, variable);
	}
	return 1;
}

/* execve, execveat: the arguments are addresses. A path that does not begin at the root is not used. */
static __always_inline int on_exec_enter(__u64 path, __u64 environ)
{
	struct image *image;
	__u32 zero = 0;
	__u32 pid = current_pid();

	image = bpf_map_lookup_elem(&new_images, &zero);
	if (!image)
		return 0;
	long n = bpf_probe_read_user_str(image->path, PATH_PART_MAX, (void *)path);
	if (n < 0) /* not resident */
		image->path[0] = 0;
	image->path_cut = n == PATH_PART_MAX;
	image->service[0] = image->attributes[0] = 0;
	image->environ_cut = 1;
	for (int i = 0; i < ENVIRON_MAX; i += VARIABLES_AT_A_TIME) {
		if (!environ || !read_variables(environ + i * 8)) {
			image->environ_cut = 0;
			break;
		}
	}
	bpf_map_update_elem(&executing, &pid, image, BPF_ANY);
	return 0;
}

/* The call has succeeded. */
static __always_inline void replace_image(__u32 pid)
{
	struct image *image = bpf_map_lookup_elem(&executing, &pid);

	if (image)
		bpf_map_update_elem(&images, &pid, image, BPF_ANY);
}

static __always_inline void describe_image(struct process_event *e, struct image *image)
{
	long n = 0;

	e->executable.cut = image->path_cut ? PATH_CUT_ROOM : 0;
	if (image->path[0] == '/' && !image->path_cut)
		n = bpf_probe_read_kernel_str(e->executable.parts, PATH_PART_MAX, image->path + 1);
	if (n > 1)
		e->executable.used = n;
	__builtin_memset(e->environ, 0, 2 * VARIABLE_LEN);
	e->environ_cut = image->environ_cut;
	n = bpf_probe_read_kernel_str(e->environ, VARIABLE_LEN, image->service);
	if (n == VARIABLE_LEN) { /* not whole: it would be another name */
		e->environ[0] = 0;
		e->environ_cut = 1;
	}
	n = bpf_probe_read_kernel_str(e->environ + VARIABLE_LEN, VARIABLE_LEN, image->attributes);
	if (image->service[0] || image->attributes[0])
		e->environ_len = 2 * VARIABLE_LEN;
	if (n == VARIABLE_LEN) { /* its last pair may not be whole, which shows by the missing NUL */
		e->environ_len = 2 * VARIABLE_LEN - 1;
		e->environ_cut = 1;
	}
}
