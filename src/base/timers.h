/*
 * timers - loop's timers in the order in which they are due.
 *
 * Private to loop. A timer is its owner's (struct timer, base/loop.h) and
 * knows its place in here. Of two for the same millisecond the one that was
 * set first is first.
 */
#ifndef USHER_BASE_TIMERS_H
#define USHER_BASE_TIMERS_H

#include "base/loop.h"

struct due {
	int64_t ms;
	uint64_t seq;
	struct timer *timer;
};

/* All zero is an empty one. */
struct timers {
	struct due *heap;	/* from 1 */
	uint32_t n, room;
	uint64_t seq;		/* of the last that was set */
};

/* T, whose due is set, comes in or to its new place. */
void timers_put(struct timers *h, struct timer *t);
/* Nothing happens to one that is not in. */
void timers_remove(struct timers *h, struct timer *t);

/* When the first is due (ms), INT64_MAX without any. */
static inline int64_t timers_next(const struct timers *h)
{
	return h->n ? h->heap[1].ms : INT64_MAX;
}

/* The first, if due by NOW and set no later than MARK (a seq), or NULL. */
static inline struct timer *timers_due(const struct timers *h, int64_t now,
				       uint64_t mark)
{
	return h->n && h->heap[1].ms <= now && h->heap[1].seq <= mark
		? h->heap[1].timer : NULL;
}

/* Frees the heap, not the timers. */
void timers_free(struct timers *h);

#endif
