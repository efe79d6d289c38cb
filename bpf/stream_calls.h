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
	__u32 limit = payload_limit, run = payload_run, key, want, skip = 0, direction = t->direction & 1;
	struct stream *stream = &s->streams[direction];
	struct policy *policy;
	__u64 begin, now;
	__u8 missing = 0;

	begin = stream->position;
	stream->position = begin + t->length;
	if (stream->until == UNTIL_NEVER || !follow_data)
		return 0;
	key = (__u32)t->id & policy_mask;
	policy = bpf_map_lookup_elem(&policies, &key);
	if (policy && policy->cookie == t->id) {
		if (policy->until[direction] > stream->until)
			stream->until = policy->until[direction];
		if (stream->until == UNTIL_NEVER)
			return 0;
		limit = policy->limit[direction];
		run = policy->run;
	} else if (s->streams[0].eager || s->streams[1].eager) {
		run = payload_run_eager;
	}
	now = bpf_ktime_get_ns();
	if (stream->position < stream->until) {
		stream->silent = now;
		return 0;
	}
	if (s->task_pid != t->pid) {
		s->task_pid = t->pid;
		introduce(t->pid, shard_of(t->id));
	}
	if (s->direction != direction) {
		s->direction = direction;
		s->run = 0;
	}
	if (begin < stream->until)
		skip = stream->until - begin;
	key = t->user * cpus + bpf_get_smp_processor_id();
	struct draft *draft = bpf_map_lookup_elem(&drafts, &key);
	if (!draft)
		return 0;
	struct data_event *e = &draft->event;
	head(&e->header, EVENT_DATA, t->pid);
	e->header.time = now;
	e->cookie = t->id;
	e->position = begin;
	e->word = 0;
	e->tid = bpf_get_current_pid_tgid();
	e->length = t->length;
	e->skipped = skip;
	e->captured = 0;
	e->direction = direction;
	want = t->length - skip;
	if (want > limit)
		want = limit;
	if (s->run >= run)
		want = 0;
	else if (want > run - s->run)
		want = run - s->run;
	if (want < t->length - skip)
		missing = MISSING_LIMIT;
	if (want && t->unknown) {
		missing |= MISSING_NO_BUFFER;
		count(COUNTER_PAYLOAD_NO_BUFFER);
		want = 0;
	}
	/* Not on the stack: what is there the verifier follows, through every combination of lengths. */
	struct telling *telling = &((struct scratch *)((void *)t - offsetof(struct scratch, transfer)))->telling;
	__builtin_memset(telling, 0, sizeof(*telling));
	telling->g.skip = skip;
	telling->g.draft = key;
	telling->g.from = t->from;
	telling->want = want;
	telling->missing = missing;
	telling->shard = shard_of(t->id);
	telling->urgent = s->run < URGENT_RUN && s->run + want >= URGENT_RUN;
	s->run += want;
	tell_call(telling, stream);
	return 0;
}
