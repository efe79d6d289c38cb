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

/*
 * By the address of the goroutine. Calls to read may be within each other (TLS in TLS): of these the key has the frame, too, in the upper half of pid.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct tls_object);
	__type(value, struct go_call);
} go_calls SEC(".maps");

static __always_inline struct tls_object go_read_key(const struct tls_object *goroutine, __u64 frame)
{
	return (struct tls_object){.address = goroutine->address, .pid = goroutine->pid | frame << 32};
}

static __always_inline bool read_stack(struct go_stack *stack, __u64 goroutine)
{
	return goroutine >= GO_POINTER && !bpf_probe_read_user(stack, sizeof(*stack), (void *)goroutine);
}

/* A call begins whose bytes are not there yet, or whose socket is not known. */
static __noinline int begin_go_call(const struct pt_regs *regs, __u64 probe)
{
	struct tls_object goroutine = {.address = GOROUTINE(regs), .pid = current_process()};
	struct go_call c = {.call.kind = probe & TLS_CALL};
	struct go_stack stack;
	__u64 frame;

	c.call.object = GO_ARG1(regs);
	c.call.bytes = GO_ARG2(regs);
	if (probe & TLS_WRITE)
		c.call.count = GO_ARG3(regs);
	c.call.began = bpf_ktime_get_ns();
	if (!read_stack(&stack, goroutine.address))
		return 0;
	frame = stack.high - frame_of(regs, probe); /* how far it is below the upper end */
	if (c.call.bytes >= stack.low && c.call.bytes < stack.high) {
		c.on_stack = 1;
		c.call.bytes = stack.high - c.call.bytes;
	}
	if (!(probe & TLS_WRITE))
		goroutine = go_read_key(&goroutine, frame);
	bpf_map_update_elem(&go_calls, &goroutine, &c, BPF_ANY);
	return 0;
}

/* The arguments are the connection and a slice. */
static __always_inline void on_go_enter(struct plaintext *p, const struct pt_regs *regs, __u64 probe)
{
	__u64 connection = GO_ARG1(regs), length = GO_ARG3(regs);

	/* What is written is there already. If its connection is new, the call begins with the handshake. */
	if (probe & TLS_WRITE && length && length <= TLS_LENGTH_MAX && tie_of(connection, TLS_OBJECT))
		*p = (struct plaintext){connection, GO_ARG2(regs), bpf_ktime_get_ns(), DIRECTION_SENT, length};
	else
		begin_go_call(regs, probe);
}

/* The call of a goroutine ends, which has transferred length bytes: they are where they are now. */
static __always_inline void end_go_call(struct plaintext *p, struct go_call *c, const struct tls_object *goroutine, const struct go_stack *stack, __u32 direction,
					__u64 length)
{
	__u64 connection = c->call.object, began = c->call.began, bytes = c->on_stack ? stack->high - c->call.bytes : c->call.bytes;

	bpf_map_delete_elem(&go_calls, goroutine);
	if (length && length <= TLS_LENGTH_MAX)
		*p = (struct plaintext){connection, bytes, began, direction, length};
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

/* Whether the program is about to jump to where the stack grows, or the goroutine gives way. The function begins anew after that. */
static __always_inline bool starts_over(const struct pt_regs *regs, __u64 probe)
{
#if defined(__TARGET_ARCH_x86)
	return probe & TLS_GOES_ON && regs->flags & FLAGS_BELOW_OR_EQUAL;
#else
	return false;
#endif
}

/* What a call has in the words that its caller has for its arguments. They are as good as the arguments: the stack does not move between the last use of the
   bytes and the end of the call, which has needed more of it before. */
struct go_kept {
	__u64 connection, bytes;
};

static __always_inline void end_older_go_call(struct plaintext *p, __u64 frame, __u64 probe, __u64 length)
{
	struct go_kept kept;

	if (probe & TLS_KEPT && !bpf_probe_read_user(&kept, sizeof(kept), (void *)(frame + 8)))
		*p = (struct plaintext){kept.connection, kept.bytes, bpf_ktime_get_ns(), DIRECTION_RECEIVED, length};
	else
		count(COUNTER_TLS_UNMATCHED);
}

/* A call that reads ends: its first result is the number of bytes. */
static __noinline int on_go_exit(struct plaintext *p, const struct pt_regs *regs, __u64 probe)
{
	__u64 frame = frame_of(regs, probe);
	struct tls_object goroutine = {.address = GOROUTINE(regs), .pid = current_process()};
	__s64 length = go_result(regs, probe);
	struct go_stack stack;
	struct go_call *c;

	if (!p || starts_over(regs, probe) || !read_stack(&stack, goroutine.address))
		return 0;
	goroutine = go_read_key(&goroutine, stack.high - frame);
	c = bpf_map_lookup_elem(&go_calls, &goroutine);
	if (c)
		end_go_call(p, c, &goroutine, &stack, DIRECTION_RECEIVED, length > 0 ? length : 0);
	else if (length > 0 && length <= TLS_LENGTH_MAX) /* it began before the programs were attached */
		end_older_go_call(p, frame, probe, length);
	return 0;
}

/* A connection writes records. */
static __noinline enum tls_mark_kind note_go_record(const struct pt_regs *regs)
{
	struct tls_object connection = {.address = GO_ARG1(regs), .pid = current_process()};
	struct tls_mark mark = {.pid = connection.pid};
	__u8 record[TLS_HEAD_LEN] = {};
	enum tls_mark_kind kind = read_mark(&mark, record, GO_ARG2(regs), GO_ARG3(regs));

	if (kind)
		note_mark(&connection, connection.address, &mark, kind);
	return kind;
}

/* The first record of application data follows the handshake that a call to write began with. */
static __always_inline void on_go_record(struct plaintext *p, const struct pt_regs *regs)
{
	struct tls_object goroutine = {.address = GOROUTINE(regs), .pid = current_process()};
	struct go_stack stack;
	struct go_call *c;

	if (note_go_record(regs) != TLS_MARK_DATA || !read_stack(&stack, goroutine.address))
		return;
	c = bpf_map_lookup_elem(&go_calls, &goroutine);
	if (c && c->call.kind & TLS_WRITE && c->call.object == GO_ARG1(regs))
		end_go_call(p, c, &goroutine, &stack, DIRECTION_SENT, c->call.count);
}
