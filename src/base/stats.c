/*
 * stats - counters that people read; see the header for what lies where.
 *
 * A rate follows the load average's manner: each whole tick of 250 ms takes
 * the rate of that tick in with a weight that fades over 1, 10 or 60 seconds.
 * Ticks that were missed count as the same load spread over them.
 */
#include "base/stats.h"

#include <stddef.h>

#define TICK_MS 250
/* After so many ticks (ten minutes) nothing is left of what was before. */
#define TICKS_MAX 2400

/* exp(-0.25 / span): what is left after one tick, for 1, 10, 60 s. */
static const float left[] = { 0.778800783f, 0.975309912f, 0.995842006f };

/* X to the power of N. */
static float power(float x, uint64_t n)
{
	float y = 1;

	for (; n > 0; n >>= 1, x *= x)
		if (n & 1)
			y *= x;
	return y;
}

void stats_tick(struct stats_rate *r, uint64_t now_ms)
{
	uint64_t ticks;
	float rate, keep;

	/* The first look, or a clock that an upgrade to another boot left. */
	if (r->last_ms == 0 || now_ms < r->last_ms) {
		r->last_ms = now_ms ? now_ms : 1;
		r->seen = r->count;
		return;
	}
	ticks = (now_ms - r->last_ms) / TICK_MS;
	if (ticks == 0)
		return;
	rate = (float)(r->count - r->seen) * 1000.0f /
	       ((float)ticks * TICK_MS);
	r->last_ms += ticks * TICK_MS;
	r->seen = r->count;
	for (int i = 0; i < 3; i++) {
		keep = ticks > TICKS_MAX ? 0 : power(left[i], ticks);
		r->per_s[i] = r->per_s[i] * keep + rate * (1 - keep);
	}
}

static int bucket_of(uint64_t us)
{
	int i = us < 8 ? 0 : 61 - __builtin_clzll(us);

	return i < STATS_BUCKETS ? i : STATS_BUCKETS - 1;
}

void stats_add(struct stats_hist *h, uint64_t us)
{
	h->bucket[bucket_of(us)]++;
	h->sum_us += us;
}

uint64_t stats_bound(int i)
{
	return i >= STATS_BUCKETS - 1 ? UINT64_MAX : UINT64_C(1) << (i + 3);
}
