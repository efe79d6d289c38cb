/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The calls of GnuTLS: some are made within others, and records are sent by a function that the program may have set. */
#pragma once

/* The call of the same session, and in the same direction, that the thread is in; NULL: there is none. What receives may call the program, which sends. */
static __always_inline struct tls_call *around(const struct tls_call *call, __u64 frame)
{
	struct tls_call *outer = call_around(frame);

	if (!outer || outer->object != call->object || !(outer->kind & TLS_GNUTLS) || (outer->kind ^ call->kind) & TLS_WRITE)
		return NULL;
	return outer;
}

/* A function has received length bytes of a record for a call that began before the programs were attached, or for GnuTLS itself. */
static __always_inline void on_older_recv(struct plaintext *p, const struct pt_regs *regs, __u64 probe, __u32 length)
{
	if (!(probe & TLS_KEPT) || (__u32)register_at(regs, probe, TLS_KEPT_TYPE_SHIFT) != TLS_APPLICATION_DATA)
		return;
	p->object = register_at(regs, probe, TLS_KEPT_OBJECT_SHIFT);
	p->bytes = register_at(regs, probe, TLS_KEPT_BYTES_SHIFT);
	p->began = bpf_ktime_get_ns();
	p->direction = DIRECTION_RECEIVED;
	p->length = length;
}

/* A call ends. What a corked session is given counts then: when it is uncorked, it hands the same bytes to the same function once more. */
static __always_inline void on_gnutls_exit(struct plaintext *p, const struct pt_regs *regs, __u64 probe)
{
	__u64 frame = frame_of(regs, probe);
	struct tls_call *known = call_in(frame, false), *call = take_call(known, frame, probe), *outer;
	__s32 result = FUNCTION_RESULT(regs);

	if (result <= 0 || result > TLS_LENGTH_MAX)
		return;
	if (!known)
		on_older_recv(p, regs, probe, result);
	if (!call || call->kind & TLS_UNCORK || call->count)
		return;
	outer = around(call, frame);
	if (outer) {
		if (outer->kind & TLS_UNCORK)
			return;
		outer->count = 1;
	}
	*p = (struct plaintext){call->object, call->bytes, call->began, probe & TLS_WRITE ? DIRECTION_SENT : DIRECTION_RECEIVED, result};
}

/* A session is about to have records sent: bytes, or a vector whose first element begins with a record. */
static __noinline int on_gnutls_push(const struct pt_regs *regs, __u64 probe)
{
	struct tls_object session = {.address = register_at(regs, probe, TLS_PUSH_SESSION_SHIFT), .pid = current_process()};
	struct tls_mark mark = {.pid = session.pid};
	struct user_iovec from = {.base = register_at(regs, probe, TLS_PUSH_BYTES_SHIFT)};
	__u8 record[TLS_HEAD_LEN] = {};
	enum tls_mark_kind kind;

	from.base += (__s16)(probe >> TLS_PUSH_DISPLACEMENT_SHIFT);
	if (!(probe & TLS_PUSH_VECTOR))
		from.length = (__u32)register_at(regs, probe, TLS_PUSH_COUNT_SHIFT);
	else if (bpf_probe_read_user(&from, sizeof(from), (void *)from.base))
		return 0;
	kind = read_mark(&mark, record, from.base, from.length);
	if (kind == TLS_MARK_HELLO)
		bpf_map_delete_elem(&tls_writers, &session); /* an object of OpenSSL was here */
	if (kind)
		note_mark(&session, session.address, &mark, kind);
	return 0;
}
