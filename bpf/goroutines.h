/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Goroutines, read from the memory of a program in Go as its runtime lays it out (runtime/runtime2.go, runtime/chan.go). Where a version differs, what is
 * there is recognised by what it must be. Numbers are known from Go 1.9 on, who has started a goroutine from Go 1.21 on.
 */
#pragma once

#define GO_HEAP_SHIFT 38      /* the arenas of the heap lie in one range of that size */
#define GO_CODE (1ull << 30)  /* the code of a program is in one piece, and not larger */
#define GO_STATUS_SCAN 0x1000 /* is added to the status while the stack is scanned */
#define GO_ROOT_TRIES 64      /* searches of the frame of a function in vain */

/* Words of runtime.g. */
#define G_STACK_HI 1
#define G_M 6
#define G_SCHED_G 9   /* points to the g itself */
#define G_STATUS 18   /* or one further in Go 1.23 and 1.24; the number follows */
#define G_WORDS 21
#define G_CREATION 34 /* from here on: who has started the goroutine, where, 0, its function; or one further in Go 1.23, 1.24 and 1.26 */

/* Words of runtime.hchan, and runtime.sudog. */
#define CHANNEL_RECEIVERS 7 /* the first one and the last one; from Go 1.23 on one further */
#define CHANNEL_WORDS 10
#define SUDOG_CHANNEL 10    /* since Go 1.26 one further */
#define SUDOG_WORDS 12

#define M_CURG 184        /* offset of runtime.m.curg since Go 1.25, one word further before */
#define P_NEXT_NUMBER 376 /* offset of runtime.p.goidcache, or one word further; goidcacheend follows */
#define P_NUMBERS 16      /* how many numbers a P takes at a time */

#define FRAME_WORDS 40 /* of the function of a goroutine: net/http's writeLoop has 33 */
#define FRAME_END 32   /* bytes between that and the end of the stack (runtime.newproc1) */

/* What is read; it is in the buffer of the payload, before that is. */
struct go_memory {
	__u64 self[G_WORDS];
	__u64 waiting[G_WORDS];
	__u64 creation[5];
	__u64 frame[FRAME_WORDS];
	__u64 channel[CHANNEL_WORDS];
	__u64 sudog[SUDOG_WORDS];
	__u64 m[7];
	__u64 numbers[3];
	__u64 last_word; /* of the frame, that has been looked at */
	__u64 receiver;  /* the goroutine that waits, and by which word it was found */
	__u64 receiver_word;
};

/* By the function of a goroutine: where in its frame the channel is on which others wait. */
struct go_root_key {
	__u64 function;
	__u64 pid;
};

struct go_root {
	__u32 word;
	__u32 tries; /* in vain */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space */
	__type(key, struct go_root_key);
	__type(value, struct go_root);
} go_roots SEC(".maps");

static __always_inline bool has_status(__u64 word, __u64 first, __u64 last)
{
	word &= ~GO_STATUS_SCAN;
	return word >= first && word <= last;
}

/* Reads a runtime.g, and returns the number of the goroutine, which has one of two statuses; if that is not found, its address. 0: it is none. */
static __noinline __u64 read_goroutine(__u64 *words, __u64 g, __u64 first, __u64 last)
{
	if (g < GO_POINTER || bpf_probe_read_user(words, G_WORDS * sizeof(*words), (void *)g) || words[G_SCHED_G] != g)
		return 0;
	if (has_status(words[G_STATUS], first, last))
		return words[G_STATUS + 1];
	if (has_status(words[G_STATUS + 1], first, last))
		return words[G_STATUS + 2];
	return g;
}

/* The goroutine that makes a call: it runs (2), or is in a call (3). */
static __always_inline __u64 calling_goroutine(struct go_memory *m, __u64 g)
{
	return read_goroutine(m->self, g, 2, 3);
}

static __always_inline bool is_code(__u64 word, __u64 place)
{
	return word > GO_POINTER && word - place + GO_CODE < 2 * GO_CODE;
}

/* Finds who has started a goroutine (0: not known), and its function. place: of code of the program. */
static __noinline __u64 read_creation(struct go_memory *m, __u64 g, __u64 place, __u64 *function)
{
	__u64 *w = m->creation;

	*function = 0;
	if (bpf_probe_read_user(w, sizeof(m->creation), (void *)(g + G_CREATION * 8)))
		return 0;
	if (is_code(w[1], place) && !w[2] && is_code(w[3], place)) {
		*function = w[3];
		return w[0];
	}
	if (is_code(w[2], place) && !w[3] && is_code(w[4], place)) {
		*function = w[4];
		return w[1];
	}
	return 0;
}

/* The only goroutine that waits to receive from a channel, if a word points to one. 0: there is none, or another one than one. */
SUBPROGRAM __u64 only_receiver(struct go_memory *m, __u64 word)
{
	__u64 *c, *s, receiver;

	if (!m)
		return 0;
	c = m->channel;
	s = m->sudog;
	if (bpf_probe_read_user(c, sizeof(m->channel), (void *)word) || c[0] > c[1] || c[3] >> 32 > 1)
		return 0;
	if (c[CHANNEL_RECEIVERS + 1] == c[CHANNEL_RECEIVERS + 2])
		receiver = c[CHANNEL_RECEIVERS + 1];
	else if (c[CHANNEL_RECEIVERS] == c[CHANNEL_RECEIVERS + 1])
		receiver = c[CHANNEL_RECEIVERS];
	else
		return 0;
	if (receiver < GO_POINTER || bpf_probe_read_user(s, sizeof(m->sudog), (void *)receiver) ||
	    (s[SUDOG_CHANNEL] != word && s[SUDOG_CHANNEL + 1] != word))
		return 0;
	return s[0];
}

/* The number of a goroutine that waits (4). */
static __always_inline __u64 waiting_goroutine(struct go_memory *m, __u64 g)
{
	__u64 number = read_goroutine(m->waiting, g, 4, 4);

	return number == g ? 0 : number;
}

/* Looks at a word of the frame of a goroutine's function. 0: two goroutines wait for that one. */
SUBPROGRAM int search_word(struct go_memory *m, __u64 g, __u32 i)
{
	__u64 word, receiver;

	if (!m || i >= FRAME_WORDS)
		return 0;
	word = m->frame[i];
	if ((word ^ g) >> GO_HEAP_SHIFT || word & 7 || word == m->last_word)
		return 1;
	m->last_word = word;
	receiver = only_receiver(m, word);
	if (!receiver || receiver == g || receiver == m->receiver)
		return 1;
	if (m->receiver)
		return 0;
	m->receiver = receiver;
	m->receiver_word = i;
	return 1;
}

/* The only goroutine that waits for another one, by what is in the frame of that one's function. */
static __always_inline __u64 search_frame(struct go_memory *m, __u64 g, struct go_root *root)
{
	if (bpf_probe_read_user(m->frame, sizeof(m->frame), (void *)(m->self[G_STACK_HI] - FRAME_END - sizeof(m->frame))))
		return 0;
	m->last_word = m->receiver = 0;
	for (__u32 i = 0; i < FRAME_WORDS; i++) {
		if (!search_word(m, g, i))
			return 0;
	}
	if (m->receiver)
		root->word = m->receiver_word;
	return m->receiver;
}

/* The same, where it was found the last time, if there. */
SUBPROGRAM __u64 waits_for(struct go_memory *m, __u64 g, __u64 function)
{
	struct go_root_key key = {.function = function, .pid = bpf_get_current_pid_tgid() >> 32};
	struct go_root *root = bpf_map_lookup_elem(&go_roots, &key);
	struct go_root made = {.word = FRAME_WORDS};
	__u64 word, receiver;

	if (!root) {
		bpf_map_update_elem(&go_roots, &key, &made, BPF_ANY);
		root = bpf_map_lookup_elem(&go_roots, &key);
	}
	if (!root || !m)
		return 0;
	if (root->word < FRAME_WORDS &&
	    !bpf_probe_read_user(&word, sizeof(word), (void *)(m->self[G_STACK_HI] - FRAME_END - (FRAME_WORDS - root->word) * 8))) {
		receiver = only_receiver(m, word);
		if (receiver && receiver != g)
			return receiver;
	}
	if (root->tries >= GO_ROOT_TRIES)
		return 0;
	receiver = search_frame(m, g, root);
	if (!receiver)
		root->tries++;
	return receiver;
}

static __always_inline bool is_block(__u64 next, __u64 end)
{
	return next && next <= end && end - next <= P_NUMBERS;
}

/* The number that the P of a goroutine in a call gives to the next goroutine, and the first one of its block; 0: not known. */
static __noinline void read_block(struct go_memory *m, __u64 g, struct goroutine *d)
{
	__u64 *w = m->m, *n = m->numbers, p;

	if (bpf_probe_read_user(w, sizeof(m->m), (void *)(m->self[G_M] + M_CURG)))
		return;
	/* Behind curg are caughtsig, since Go 1.26 signalSecret, and then p, nextp and oldp. During a call p may be 0, and oldp has it. */
	if (w[0] == g)
		p = w[2] > GO_POINTER ? w[2] : w[3] > GO_POINTER ? w[3] : w[4] > GO_POINTER ? w[4] : w[5];
	else if (w[1] == g)
		p = w[3] > GO_POINTER ? w[3] : w[4] > GO_POINTER ? w[4] : w[5];
	else
		return;
	if (p < GO_POINTER || bpf_probe_read_user(n, sizeof(m->numbers), (void *)(p + P_NEXT_NUMBER)))
		return;
	if (is_block(n[1], n[2])) {
		d->next = n[1];
		d->block = n[2] - P_NUMBERS;
	} else if (is_block(n[0], n[1])) {
		d->next = n[0];
		d->block = n[1] - P_NUMBERS;
	}
}

/* What is known of a goroutine that has transferred bytes. */
static __noinline void describe_goroutine(struct event_buf *event_buf, struct go_memory *m, __u64 g, __u64 place, bool asks)
{
	struct goroutine *d = &event_buf->event.goroutine;
	__u64 function, receiver = 0;

	read_block(m, g, d);
	if (!asks)
		return;
	d->creator = read_creation(m, g, place, &function);
	if (function)
		receiver = waits_for(m, g, function);
	if (!receiver)
		return;
	d->asker = waiting_goroutine(m, receiver);
	if (d->asker)
		d->creator = read_creation(m, receiver, place, &function);
}
