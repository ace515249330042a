/*
 * stats - counters that people read: rates over 1, 10 and 60 s, histograms of
 * times.
 *
 * Plain structs without pointers: they lie in the state's slots and live on.
 */
#ifndef USHER_BASE_STATS_H
#define USHER_BASE_STATS_H

#include <stdint.h>

/* Exponentially weighted, advanced by whole ticks of 250 ms. */
struct stats_rate {
	uint64_t last_ms;
	uint64_t count;		/* total */
	uint64_t seen;		/* total at the last tick */
	float per_s[3];		/* over 1, 10, 60 s */
};
static inline void stats_count(struct stats_rate *r, uint64_t n)
{
	r->count += n;
}
/* Brings the rates up to NOW (ms). */
void stats_tick(struct stats_rate *r, uint64_t now_ms);

/* Microseconds in powers of two: bucket i holds values below 2^(i+3). */
#define STATS_BUCKETS 20
struct stats_hist {
	uint32_t bucket[STATS_BUCKETS];
	uint64_t sum_us;
};
void stats_add(struct stats_hist *h, uint64_t us);
/* The upper bound of bucket I in microseconds (the last: UINT64_MAX). */
uint64_t stats_bound(int i);

#endif
