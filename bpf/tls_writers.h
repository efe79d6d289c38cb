/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What writes the records of TLS objects. Of OpenSSL's these are BIOs, and which one an object has shows in its calls. */
#pragma once

/* The object writes records with this BIO. */
static __always_inline void set_writer(__u64 address, __u64 writer)
{
	struct tls_object object = {.address = address, .pid = current_process()};
	struct tls_written now = {.writer = writer, .since = bpf_ktime_get_boot_ns()}, *known;

	if (!address || !writer)
		return;
	known = bpf_map_lookup_elem(&tls_writers, &object);
	if (known && known->writer == writer)
		return;
	if (known) {
		object.address = known->writer;
		now.tied = bpf_map_lookup_elem(&tls_ties, &object) ? known->writer : known->tied;
		object.address = address;
	}
	bpf_map_update_elem(&tls_writers, &object, &now, BPF_ANY);
}

/* The object is given this BIO, in place of another one. What was tied at that BIO's address was another BIO. */
static __always_inline void on_set_bio(__u64 address, __u64 writer)
{
	struct tls_object object = {.address = address, .pid = current_process()};
	struct tls_written *known = bpf_map_lookup_elem(&tls_writers, &object);

	if (!address || !writer || (known && known->writer == writer))
		return;
	object.address = writer;
	bpf_map_delete_elem(&tls_ties, &object);
	set_writer(address, writer);
}

/*
 * What the BIO that is given a record is to the object of the call around that. A call that was left without an end (longjmp), or that has called the
 * program, has around it what others write: handshakes and alerts, which are no calls here.
 */
enum tls_bio_of {
	TLS_OF_ANOTHER = 0,
	TLS_OF_OBJECT,
	TLS_MAYBE_OF_OBJECT,
};

#define TLS_SHORT_MAX 23 /* a record of that length at most may be an alert, or new keys, and is hardly what a connection begins with */

/* length: of the record. */
static __noinline int bio_of(const struct tls_call *call, __u64 bio, __u32 length)
{
	struct tls_object object = {.pid = current_process()};
	struct tls_written *written;
	struct tls_tie *tie;
	__u64 cookie;

	if (!call)
		return TLS_OF_ANOTHER;
	object.address = call->object;
	written = bpf_map_lookup_elem(&tls_writers, &object);
	if (!written)
		return TLS_MAYBE_OF_OBJECT;
	if (written->writer == bio)
		return TLS_OF_OBJECT;
	object.address = written->writer;
	tie = bpf_map_lookup_elem(&tls_ties, &object);
	if (!tie || !is_own(tie))
		return TLS_MAYBE_OF_OBJECT;
	cookie = tie->cookie;
	if (cookie && !bpf_map_lookup_elem(&tls_layers, &cookie))
		return TLS_MAYBE_OF_OBJECT;
	/* It has a socket already, and SSL_set_bio changes that. Where that is not seen (it may be inlined), the handshake was before the call. */
	object.address = bio;
	tie = bpf_map_lookup_elem(&tls_ties, &object);
	if (length <= TLS_SHORT_MAX || !tie || !is_own(tie) || !tie->began || tie->began > call->began)
		return TLS_OF_ANOTHER;
	return TLS_MAYBE_OF_OBJECT;
}

/* The writer of a record waits for the socket that sends it, unless its socket is known. */
static __always_inline void note_mark(const struct tls_object *writer, __u64 object, const struct tls_mark *mark, enum tls_mark_kind kind)
{
	struct tls_tie *tie = bpf_map_lookup_elem(&tls_ties, writer);
	struct tls_writer wrote = {.address = writer->address, .object = object}, *before;
	__u32 pid = writer->pid;
	__u8 marks = TLS_MARKS;

	if (tie && is_own(tie)) {
		if (kind == TLS_MARK_DATA || (tie->record[0] == mark->words[0] && tie->record[1] == mark->words[1]))
			return;
		bpf_map_delete_elem(&tls_ties, writer); /* another connection begins where this one was */
	}
	if (kind == TLS_MARK_HELLO) {
		before = bpf_map_lookup_elem(&tls_marks, mark); /* a BIO that collects has been given it first */
		wrote.began = before ? before->began : bpf_ktime_get_ns();
	}
	bpf_map_update_elem(&tls_marks, mark, &wrote, BPF_ANY);
	__sync_fetch_and_add(&tls_marked, 1);
	if (!bpf_map_lookup_elem(&tls_processes, &pid))
		bpf_map_update_elem(&tls_processes, &pid, &marks, BPF_ANY);
}

#define TLS_ALERT_MAX 64     /* a record of that length at most may be an alert, or new keys */
#define TLS_RECORD_EXTRA 24 /* of a record: beside the plaintext */

/* A connection has received plaintext. Nothing is known of one that is left out. */
static __noinline bool has_received(__u64 writer)
{
	struct tls_tie *tie = tie_of(writer, TLS_WRITER);
	__u64 cookie = tie ? tie->cookie : 0;
	struct socket_state *s = cookie ? bpf_map_lookup_elem(&tls_layers, &cookie) : NULL;

	if (!s || !s->conn.streams[DIRECTION_RECEIVED].position)
		return false;
	s->conn.existing = true; /* how much is missing is not known exactly */
	return true;
}

/* A BIO is given records to write, or anything else. Returns how many bytes of plaintext a record has which no call that is seen has written (about; 0: none). */
static __noinline int on_bio_write(const struct pt_regs *regs)
{
	struct tls_object bio = {.address = FUNCTION_ARG1(regs), .pid = current_process()};
	struct tls_mark mark = {.pid = bio.pid};
	struct tls_call *call = call_around(USER_STACK(regs));
	__u8 record[TLS_HEAD_LEN] = {};
	enum tls_mark_kind kind;
	int of;

	kind = read_mark(&mark, record, FUNCTION_ARG2(regs), (__s32)FUNCTION_ARG3(regs) > 0 ? (__u32)FUNCTION_ARG3(regs) : 0);
	if (kind == TLS_MARK_DATA && !call && record[0] == TLS_APPLICATION_DATA) {
		__u32 length = record[3] << 8 | record[4];

		return length > TLS_ALERT_MAX && !moves_calls() && has_received(bio.address) ? length - TLS_RECORD_EXTRA : 0;
	}
	if (!kind || (kind == TLS_MARK_DATA && !(call && call->kind & TLS_WRITE))) /* what the program has received, or what ends a handshake */
		return 0;
	of = call && !(call->kind & TLS_GNUTLS) ? bio_of(call, bio.address, record[3] << 8 | record[4]) : TLS_OF_ANOTHER;
	if (kind == TLS_MARK_DATA && of == TLS_OF_ANOTHER)
		return 0;
	if (kind == TLS_MARK_DATA && of == TLS_MAYBE_OF_OBJECT)
		set_writer(call->object, bio.address);
	note_mark(&bio, of == TLS_OF_ANOTHER ? 0 : call->object, &mark, kind);
	return 0;
}
