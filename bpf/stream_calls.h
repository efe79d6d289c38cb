/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The bytes that a call has transferred over a connection. */
#pragma once

/* Not static: the verifier then looks at it once, and not again at each call. */
__noinline int fill_of(__u32 draft)
{
	struct scratch *space = scratch(draft / cpus);

	return space ? fill(&space->telling.g) : 0;
}

/* A connection has carried bytes. */
static __noinline int on_stream(struct transfer *t, struct call_socket *s)
{
	/* Not on the stack: what is there the verifier follows, through every combination of lengths. */
	struct telling *telling = &((struct scratch *)((void *)t - offsetof(struct scratch, transfer)))->telling;
	__u32 direction = t->direction & 1, key = t->user * cpus + bpf_get_smp_processor_id();
	struct stream *stream = &s->conn.streams[direction];
	struct budget budget;
	struct draft *draft;
	__u64 now;

	stream->position += t->length;
	if (!is_wanted(&s->conn, direction, &budget))
		return 0;
	now = bpf_ktime_get_ns();
	if (stream->position < stream->until) {
		stream->silent = now;
		return 0;
	}
	if (s->conn.task_pid != t->pid) {
		s->conn.task_pid = t->pid;
		introduce(t->pid, shard_of(t->id));
	}
	draft = bpf_map_lookup_elem(&drafts, &key);
	if (!draft)
		return 0;
	__builtin_memset(telling, 0, sizeof(*telling));
	telling->g.draft = key;
	telling->g.from = t->from;
	begin_data(telling, &draft->event, &s->conn, direction, t->length, &budget);
	draft->event.header.pid = t->pid;
	draft->event.header.time = now;
	draft->event.header.start = start_of(t->pid);
	draft->event.word = 0;
	if (telling->want && t->unknown)
		without_buffer(telling);
	add_to_run(telling, &s->conn);
	tell_call(telling, stream);
	return 0;
}
