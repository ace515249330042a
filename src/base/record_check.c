/*
 * record_check - can a state be gone on from? See record.h.
 *
 * Only looks: at sums of what never changes, at ranges of what does. Whether
 * the numbers mean anything is asked where each record is hung.
 */
#include <string.h>

#include "base/record_private.h"

static const char other_era[] =
	"its layout is of another era: shut usher down, then start the other";

static uint32_t sum_words(const void *p, size_t bytes)
{
	uint64_t h = 0x9e3779b97f4a7c15ull;
	const unsigned char *b = p;
	uint32_t w;

	for (; bytes >= sizeof(w); b += sizeof(w), bytes -= sizeof(w)) {
		memcpy(&w, b, sizeof(w));
		h = (h ^ w) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

uint32_t record_sum(const struct record *r)
{
	uint32_t words[5];

	memcpy(words, r, 8);
	words[2] = r->service;
	words[3] = r->arg;
	words[4] = r->serial;
	return sum_words(words, sizeof(words));
}

uint32_t record_header_sum(const struct header *h)
{
	return sum_words(h, offsetof(struct header, sum));
}

static uint64_t page_up(uint64_t n)
{
	return (n + 4095) & ~4095ull;
}

void record_layout(struct header *h, uint32_t max, uint32_t slots)
{
	*h = (struct header){
		.magic = STATE_MAGIC,
		.version = STATE_VERSION,
		.header_len = sizeof(*h),
		.record_len = sizeof(struct record),
		.slot_len = sizeof(struct slot),
		.records = max,
		.slots = slots,
		.buffers = max < BUFFERS_MAX ? max : BUFFERS_MAX,
		.buffer_len = RECORD_BUFFER,
		.slots_at = HEADER_ROOM,
		.texts_len = TEXT_AREA,
	};
	h->records_at = page_up(h->slots_at + slots * sizeof(struct slot));
	h->texts_at = page_up(h->records_at +
			      (uint64_t)max * sizeof(struct record));
	h->buffers_at = h->texts_at + h->texts_len;
	h->size = h->buffers_at + (uint64_t)h->buffers * RECORD_BUFFER;
	h->sum = record_header_sum(h);
}

static const char *check_header(const struct header *h, size_t size)
{
	struct header want;

	if (size < HEADER_ROOM || h->magic != STATE_MAGIC)
		return "it is no state of usher's";
	if (ERA(h->version) != ERA(STATE_VERSION))
		return other_era;
	if (h->sum != record_header_sum(h))
		return "its header's checksum is wrong";
	if (h->records > 1u << 22 || h->slots > 1u << 20 ||
	    h->header_len < offsetof(struct header, globals.level) ||
	    h->header_len > HEADER_ROOM)
		return "its header is out of range";
	record_layout(&want, h->records, h->slots);
	/* Another level's may be longer or shorter. */
	want.version = h->version;
	want.header_len = h->header_len;
	if (memcmp(&want, h, offsetof(struct header, sum)) ||
	    h->size > size || h->high > h->records)
		return "its header is out of range";
	return NULL;
}

static const char *check_texts(const struct header *h)
{
	if (h->text_used > h->texts_len || h->buffers_high > h->buffers)
		return "a text is out of range";
	for (size_t i = 0; i < TEXTS; i++) {
		const struct text *t = &h->texts[i];
		uint32_t w = atomic_load(&t->which);

		if (!memchr(t->name, 0, sizeof(t->name)) || w > 1 ||
		    t->at[w].len > t->at[w].room ||
		    t->at[w].room > h->texts_len ||
		    t->at[w].offset > h->texts_len - t->at[w].room)
			return "a text is out of range";
	}
	return NULL;
}

const char *record_check(const void *state, size_t size)
{
	const struct header *h = state;
	const char *why = check_header(h, size);
	const struct record *r;

	if (!why)
		why = check_texts(h);
	if (why)
		return why;
	/* Slots are not looked at: that would fetch ten megabytes which
	 * nobody used. One is found by its whole name or not at all. */
	r = (const void *)((const char *)state + h->records_at);
	for (uint32_t i = 0; i < h->high; i++, r++) {
		if (atomic_load(&r->used) != 1)
			continue;
		if (r->magic != RECORD_MAGIC || r->len != sizeof(*r) ||
		    r->sum != record_sum(r))
			return "a record's checksum is wrong";
		if (ERA(r->version) != ERA(STATE_VERSION))
			return other_era;
		for (int k = 0; k < RECORD_FDS; k++)
			if (r->fd[k] < -1 || r->fd[k] >= 1 << 22)
				return "a record's descriptor is out of range";
	}
	return NULL;
}
