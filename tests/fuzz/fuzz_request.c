/*
 * fuzz_request - any bytes at a trigger endpoint, in any pieces.
 *
 * The first bytes choose the settings and where the stream is cut. Cut or
 * whole, the requests are the same; nothing is longer than allowed; a
 * datagram of the same bytes stays within its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "inlet/frame.h"

struct stream {
	struct frame f;
	uint8_t state;
	char *buf;
	size_t at, len;
	uint64_t requests, longs, torn, sum;
};

static void note(struct stream *s, enum frame_result r,
		 const struct frame_cut *cut)
{
	s->longs += r == FRAME_LONG;
	s->torn += r == FRAME_TORN;
	if (r != FRAME_REQUEST)
		return;
	if (cut->len > (s->f.size ? s->f.size : s->f.max))
		abort();
	s->requests++;
	for (size_t i = 0; i < cut->len; i++)
		s->sum = s->sum * 31 +
			 (unsigned char)s->buf[s->at + cut->at + i] + 1;
	s->sum = s->sum * 31 + 7;
}

static void feed(struct stream *s, const uint8_t *data, size_t len)
{
	enum frame_result r;
	struct frame_cut cut;

	memcpy(s->buf + s->len, data, len);
	s->len += len;
	do {
		r = frame_next(&s->f, &s->state, s->buf + s->at,
			       s->len - s->at, &cut);
		if (cut.used > s->len - s->at ||
		    cut.at + cut.len > s->len - s->at)
			abort();
		note(s, r, &cut);
		s->at += cut.used;
	} while (r != FRAME_MORE);
}

static void finish(struct stream *s)
{
	struct frame_cut cut;

	note(s, frame_finish(&s->f, &s->state, s->len - s->at, &cut), &cut);
}

static void datagram(const struct frame *f, const uint8_t *data, size_t len)
{
	struct frame_cut cut;
	char ack[8];

	if (frame_whole(f, (const char *)data, len, &cut) != FRAME_REQUEST)
		return;
	if (cut.at + cut.len > len || frame_ack(cut.end, ack) > sizeof(ack))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream whole = { .at = 0 }, pieces;
	size_t step;

	if (size < 3)
		return 0;
	whole.f.max = 1 + data[0] % 64;
	whole.f.size = data[1] % 4 ? 0 : 1 + data[1] / 4;
	step = 1 + data[2] % 40;
	data += 3;
	size -= 3;
	pieces = whole;
	whole.buf = xmalloc(size + 1);
	pieces.buf = xmalloc(size + 1);
	feed(&whole, data, size);
	finish(&whole);
	for (size_t i = 0; i < size; i += step)
		feed(&pieces, data + i, i + step < size ? step : size - i);
	finish(&pieces);
	if (whole.requests != pieces.requests || whole.sum != pieces.sum ||
	    whole.longs != pieces.longs || whole.torn != pieces.torn)
		abort();
	datagram(&whole.f, data, size);
	free(whole.buf);
	free(pieces.buf);
	return 0;
}
