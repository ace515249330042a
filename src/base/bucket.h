/*
 * bucket - a token bucket: RATE a second, BURST at once.
 *
 * Times are microseconds of CLOCK_MONOTONIC. A bucket of zeros is full.
 */
#ifndef USHER_BASE_BUCKET_H
#define USHER_BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct bucket {
	double tokens;
	int64_t at;	/* us: when they were so many; 0: full */
};

/* What has come since. SPARE: so many beyond the burst may come, for who was
 * kept waiting and could not take them when they were due. */
static inline void bucket_fill(struct bucket *b, const struct text_rate *r,
			       int64_t now, double spare)
{
	/* The part of a token beyond the burst can't be taken, but is not
	 * lost: else a burst of 1 asked thrice a period gave 3/4 of it. */
	double most = r->burst + 0.999 + spare;

	/* While there are spare ones what comes due meanwhile waits: dropped,
	 * it was a twentieth of 5,000/s with a burst of 1. */
	if (b->at && (now <= b->at || b->tokens > most))
		return;
	if (b->at == 0)
		b->tokens = r->burst;
	if (b->at && b->tokens < most) {
		b->tokens += (double)(now - b->at) * r->per_second / 1e6;
		if (b->tokens > most)
			b->tokens = most;
	}
	b->at = now;
}

/* Is there one? To be filled before. */
static inline bool bucket_has(const struct bucket *b)
{
	return b->tokens >= 1;
}

static inline bool bucket_take(struct bucket *b)
{
	if (!bucket_has(b))
		return false;
	b->tokens -= 1;
	return true;
}

/* Nobody can tell it from a new one. */
static inline bool bucket_full(const struct bucket *b,
			       const struct text_rate *r, int64_t now)
{
	struct bucket copy = *b;

	bucket_fill(&copy, r, now, 0);
	return copy.tokens >= r->burst;
}

/* Microseconds until the next token. */
static inline int64_t bucket_wait(const struct bucket *b,
				  const struct text_rate *r)
{
	if (bucket_has(b))
		return 0;
	return (int64_t)((1 - b->tokens) * 1e6 / r->per_second) + 1;
}

#endif
