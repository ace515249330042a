/*
 * frame - bytes to requests; see frame.h.
 */
#include "inlet/frame.h"

#include <string.h>

static enum frame_result next_binary(const struct frame *f, size_t len,
				     struct frame_cut *cut)
{
	if (len < f->size)
		return FRAME_MORE;
	cut->used = cut->len = f->size;
	cut->end = FRAME_SIZE;
	return FRAME_REQUEST;
}

/* No end in sight: wait for more, or give up on one that is too long. One
 * byte over is allowed for, it may be the CR of an end. */
static enum frame_result unfinished(const struct frame *f, uint8_t *state,
				    size_t start, size_t len,
				    struct frame_cut *cut)
{
	if (*state & FRAME_SKIPPING) {
		cut->used = len;
		return FRAME_MORE;
	}
	cut->used = start;
	if (len - start <= f->max + 1)
		return FRAME_MORE;
	cut->used = len;
	*state |= FRAME_SKIPPING;
	return FRAME_LONG;
}

static size_t find_end(const char *buf, size_t i, size_t len)
{
	while (i < len && buf[i] != '\n' && buf[i] != '\0')
		i++;
	return i;
}

/* The end is at I: where the message is, and how far its end reaches. */
static void cut_text(uint8_t *state, const char *buf, size_t start, size_t i,
		     size_t len, struct frame_cut *cut)
{
	cut->at = start;
	cut->len = i - start;
	cut->used = i + 1;
	cut->end = FRAME_NUL;
	if (buf[i] == '\0')
		return;
	cut->end = FRAME_LF;
	if (cut->len && buf[i - 1] == '\r') {
		cut->len--;
		cut->end = FRAME_CRLF;
	}
	if (i + 1 == len)
		*state |= FRAME_NEWLINE;
	else if (buf[i + 1] == '\0')
		cut->used++;
}

static enum frame_result next_text(const struct frame *f, uint8_t *state,
				   const char *buf, size_t len,
				   struct frame_cut *cut)
{
	for (size_t start = 0;;) {
		size_t i;

		if ((*state & FRAME_NEWLINE) && start < len) {
			*state &= (uint8_t)~FRAME_NEWLINE;
			start += buf[start] == '\0';
		}
		i = find_end(buf, start, len);
		if (i == len)
			return unfinished(f, state, start, len, cut);
		cut_text(state, buf, start, i, len, cut);
		if (!(*state & FRAME_SKIPPING))
			return cut->len <= f->max ? FRAME_REQUEST
						  : FRAME_LONG;
		*state &= (uint8_t)~FRAME_SKIPPING;
		start = cut->used;
	}
}

enum frame_result frame_next(const struct frame *f, uint8_t *state,
			     const char *buf, size_t len,
			     struct frame_cut *cut)
{
	*cut = (struct frame_cut){ 0 };
	if (f->size)
		return next_binary(f, len, cut);
	return next_text(f, state, buf, len, cut);
}

size_t frame_repeats(const char *buf, size_t len, size_t used)
{
	size_t at = used;

	while (len - at > used && buf[at + used] != '\0' &&
	       memcmp(buf, buf + at, used) == 0)
		at += used;
	return at / used;
}

enum frame_result frame_finish(const struct frame *f, uint8_t *state,
			       size_t len, struct frame_cut *cut)
{
	uint8_t was = *state;

	*state = 0;
	*cut = (struct frame_cut){ .used = len, .len = len };
	if (len == 0 || (was & FRAME_SKIPPING))
		return FRAME_MORE;
	if (f->size)
		return FRAME_TORN;
	return len <= f->max ? FRAME_REQUEST : FRAME_LONG;
}

enum frame_result frame_whole(const struct frame *f, const char *buf,
			      size_t len, struct frame_cut *cut)
{
	*cut = (struct frame_cut){ .used = len, .len = len };
	if (f->size) {
		cut->end = FRAME_SIZE;
		if (len > f->size)
			return FRAME_LONG;
		return len < f->size ? FRAME_TORN : FRAME_REQUEST;
	}
	if (cut->len && buf[cut->len - 1] == '\0') {
		cut->len--;
		cut->end = FRAME_NUL;
	}
	if (cut->len && buf[cut->len - 1] == '\n') {
		cut->len--;
		cut->end = FRAME_LF;
		if (cut->len && buf[cut->len - 1] == '\r') {
			cut->len--;
			cut->end = FRAME_CRLF;
		}
	}
	return cut->len <= f->max ? FRAME_REQUEST : FRAME_LONG;
}

size_t frame_ack(enum frame_end end, char *buf)
{
	static const struct {
		const char *text;
		size_t len;
	} acks[] = {
		[FRAME_EOF] = { "ACK", 3 },
		[FRAME_NUL] = { "ACK", 4 },
		[FRAME_LF] = { "ACK\n", 4 },
		[FRAME_CRLF] = { "ACK\r\n", 5 },
		[FRAME_SIZE] = { "ACK", 3 },
	};

	memcpy(buf, acks[end].text, acks[end].len);
	return acks[end].len;
}
