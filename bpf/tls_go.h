/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The calls of Go's crypto/tls: goroutines make them, which change threads, and whose stacks move. */
#pragma once

/* The goroutine's stack, at the beginning of runtime.g: since Go 1.4. */
struct go_stack {
	__u64 low, high;
};

/* A call under way. */
struct go_call {
	struct tls_call call; /* its count: of bytes to write */
	__u64 on_stack; /* the bytes are on the stack, and call.bytes is how far below its upper end */
};

/* By the address of the goroutine. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct tls_object);
	__type(value, struct go_call);
} go_calls SEC(".maps");

static __always_inline bool read_stack(struct go_stack *stack, __u64 goroutine)
{
	return goroutine >= GO_POINTER && !bpf_probe_read_user(stack, sizeof(*stack), (void *)goroutine);
}

/* The arguments are the connection and a slice. */
static __always_inline void on_go_enter(const struct pt_regs *regs, __u64 probe)
{
	struct tls_object goroutine = {.address = GOROUTINE(regs), .pid = current_process()};
	struct go_call c = {.call.kind = probe & TLS_CALL};
	struct go_stack stack;
	__u64 length = GO_ARG3(regs);

	c.call.object = GO_ARG1(regs);
	c.call.bytes = GO_ARG2(regs);
	c.call.began = bpf_ktime_get_ns();
	/* What is written is there already. If its connection is new, the call begins with the handshake. */
	if (probe & TLS_WRITE) {
		if (length && length <= TLS_LENGTH_MAX && tie_of(c.call.object)) {
			on_plaintext(&c.call, DIRECTION_SENT, length);
			return;
		}
		c.call.count = length;
	}
	if (!read_stack(&stack, goroutine.address))
		return;
	c.call.frame = stack.high - frame_of(regs, probe);
	if (c.call.bytes >= stack.low && c.call.bytes < stack.high) {
		c.on_stack = 1;
		c.call.bytes = stack.high - c.call.bytes;
	}
	bpf_map_update_elem(&go_calls, &goroutine, &c, BPF_ANY);
}

/* The call of a goroutine that began there; its bytes are where they are now. */
static __always_inline bool take_go_call(struct go_call *c, struct tls_object *goroutine, const struct go_stack *stack)
{
	struct go_call *known = bpf_map_lookup_elem(&go_calls, goroutine);

	if (!known)
		return false;
	*c = *known;
	if (c->on_stack)
		c->call.bytes = stack->high - c->call.bytes;
	return true;
}

/* The first result of a call; 0: it could not be read. */
static __always_inline __s64 go_result(const struct pt_regs *regs, __u64 probe)
{
	__u64 below = probe >> TLS_RESULT_SHIFT;
	__s64 result = GO_ARG1(regs);

	barrier_var(result); /* else the compiler reads it later, at an offset that it computes */
	if (!below)
		return result;
	result = 0;
	bpf_probe_read_user(&result, sizeof(result), (void *)(frame_of(regs, probe) - below));
	return result;
}

/* A call that reads ends: its first result is the number of bytes. */
static __always_inline void on_go_exit(const struct pt_regs *regs, __u64 probe)
{
	struct tls_object goroutine = {.address = GOROUTINE(regs), .pid = current_process()};
	__s64 length = go_result(regs, probe);
	struct go_stack stack;
	struct go_call c;

	if (!read_stack(&stack, goroutine.address) || !take_go_call(&c, &goroutine, &stack))
		return;
	if (c.call.frame != stack.high - frame_of(regs, probe) || c.call.kind & TLS_WRITE) {
		count(COUNTER_TLS_UNMATCHED);
		return;
	}
	bpf_map_delete_elem(&go_calls, &goroutine);
	if (length > 0 && length <= TLS_LENGTH_MAX)
		on_plaintext(&c.call, DIRECTION_RECEIVED, length);
}

/* A connection writes records. The first of application data follows the handshake that a call to write began with. */
static __always_inline void on_go_record(const struct pt_regs *regs)
{
	struct tls_object connection = {.address = GO_ARG1(regs), .pid = current_process()};
	struct tls_object goroutine = {.address = GOROUTINE(regs), .pid = connection.pid};
	struct tls_mark mark = {.pid = connection.pid};
	struct go_stack stack;
	enum tls_mark_kind kind;
	struct go_call c;

	kind = read_mark(&mark, GO_ARG2(regs), GO_ARG3(regs));
	if (!kind)
		return;
	note_mark(&connection, connection.address, &mark, kind);
	if (kind != TLS_MARK_DATA || !read_stack(&stack, goroutine.address) || !take_go_call(&c, &goroutine, &stack))
		return;
	if (!(c.call.kind & TLS_WRITE) || c.call.object != connection.address)
		return;
	bpf_map_delete_elem(&go_calls, &goroutine);
	if (c.call.count && c.call.count <= TLS_LENGTH_MAX)
		on_plaintext(&c.call, DIRECTION_SENT, c.call.count);
}
