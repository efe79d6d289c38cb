/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Where the frames of a stream begin. As long as that is known, the bodies of frames that user space does not want are not
 * captured, however much of them a call transfers.
 */
#pragma once

/* Of one direction. The position up to which the frames are known is that of the last byte of the last call. */
struct framing {
	__u64 form;    /* enum frame_form; 0: it is not known where frames begin */
	__u64 next;    /* position of the next frame */
	__u8 got;      /* bytes of its header that have been transferred */
	__u8 unwanted; /* the body before it is */
	__u8 presumed; /* 1 + the signature that the other side has yet to send; until then all bodies are captured; 0: none */
	__u8 pad[5];
	__u8 header[FRAME_HEADER_MAX];
};

static __always_inline __u32 form_header(__u64 form)
{
	return (form >> FORM_HEADER) & 0xff;
}

static __always_inline bool is_form(__u64 form)
{
	return form_header(form) && form_header(form) <= FRAME_HEADER_MAX;
}

/* Whether two forms differ in more than in what is wanted. */
static __always_inline bool same_frames(__u64 a, __u64 b)
{
	return (__u32)a == (__u32)b;
}

static __always_inline void set_frames(struct framing *f, __u64 form, __u64 next, __u8 presumed)
{
	f->form = form;
	f->next = next;
	f->got = 0;
	f->unwanted = 0;
	f->presumed = presumed;
}

/* The header at next is complete. */
static __always_inline void end_header(struct framing *f)
{
	__u64 form = f->form;
	__u32 length = 0, at = (form >> FORM_LENGTH) & 0xf, last = (form >> FORM_WIDTH) & 3;
	__u32 type_at = (form >> FORM_TYPE) & 0xff, type = 0;
	bool little = (form >> FORM_LITTLE) & 1;

	for (__u32 i = 0; i < 4; i++) {
		__u32 byte = f->header[(at + i) & (FRAME_HEADER_MAX - 1)];
		if (i <= last)
			length = little ? length | byte << 8 * i : length << 8 | byte;
	}
	if (type_at < form_header(form))
		type = f->header[type_at & (FRAME_HEADER_MAX - 1)];
	__s64 body = (__s64)length + (__s8)(form >> FORM_BIAS);
	f->got = 0;
	f->next += form_header(form) + body;
	f->unwanted = !f->presumed && (form >> (FORM_UNWANTED + (type & 31))) & 1;
	if (body < 0)
		f->form = 0; /* these are no frames */
}

/*
 * A call has transferred the bytes from begin on. If others were transferred before it that no hook has seen, it may not be
 * known any more where frames begin.
 */
static __always_inline void check_frames(struct framing *f, __u64 begin)
{
	if (f->got ? begin != f->next + f->got : begin > f->next)
		f->form = 0;
}

/* Who speaks first is presumed to send frames; the signature of the other side, if it has one, proves it. */
static __always_inline void prove_frames(struct framing *f, __u8 signature)
{
	if (!f->presumed || !signature)
		return;
	if (f->presumed == signature)
		f->presumed = 0;
	else
		f->form = 0;
}

/* User space has said which frames there are. It may be late. */
static __always_inline void adopt_frames(struct framing *f, __u64 form, __u64 next, __u64 begin)
{
	if (f->form && same_frames(f->form, form)) {
		f->form = form;
		f->presumed = 0;
		return;
	}
	f->form = 0;
	if (is_form(form) && next != NEXT_UNKNOWN && next >= begin)
		set_frames(f, form, next, 0);
}
