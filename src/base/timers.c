/*
 * timers - a heap of timers by when they are due; see timers.h.
 *
 * Knows no clock: the caller says what is due and calls it.
 */
#include "base/timers.h"

#include <stdlib.h>

#include "base/mem.h"

/* What orders them stands in the heap itself, and four children side by side:
 * the fewest lines of memory are touched, which is what many timers cost. */
#define CHILDREN 4

static uint32_t parent(uint32_t pos)
{
	return (pos - 2) / CHILDREN + 1;
}

static uint32_t first_child(uint32_t pos)
{
	return (pos - 1) * CHILDREN + 2;
}

static bool before(const struct due *a, const struct due *b)
{
	return a->ms < b->ms || (a->ms == b->ms && a->seq < b->seq);
}

static void place(struct timers *h, struct due d, uint32_t pos)
{
	h->heap[pos] = d;
	d.timer->pos = pos;
}

static void sift_up(struct timers *h, struct due d, uint32_t pos)
{
	for (; pos > 1 && before(&d, &h->heap[parent(pos)]); pos = parent(pos))
		place(h, h->heap[parent(pos)], pos);
	place(h, d, pos);
}

static uint32_t first_due(const struct timers *h, uint32_t pos)
{
	uint32_t c = pos;

	for (int i = 1; i < CHILDREN && pos + i <= h->n; i++)
		if (before(&h->heap[pos + i], &h->heap[c]))
			c = pos + i;
	return c;
}

static void sift_down(struct timers *h, struct due d, uint32_t pos)
{
	for (uint32_t c; (c = first_child(pos)) <= h->n; pos = c) {
		c = first_due(h, c);
		if (!before(&h->heap[c], &d))
			break;
		place(h, h->heap[c], pos);
	}
	place(h, d, pos);
}

/* It may stand anywhere now. */
static void sift(struct timers *h, struct due d, uint32_t pos)
{
	if (pos > 1 && before(&d, &h->heap[parent(pos)]))
		sift_up(h, d, pos);
	else
		sift_down(h, d, pos);
}

void timers_remove(struct timers *h, struct timer *t)
{
	uint32_t pos = t->pos;
	struct due last;

	if (!pos)
		return;
	t->pos = 0;
	last = h->heap[h->n--];
	if (last.timer != t)
		sift(h, last, pos);
}

void timers_put(struct timers *h, struct timer *t)
{
	struct due d = { .ms = t->due, .seq = ++h->seq, .timer = t };

	if (t->pos) {
		sift(h, d, t->pos);
		return;
	}
	if (h->n + 1 >= h->room) {
		h->room = h->room ? h->room * 2 : 64;
		h->heap = xrealloc(h->heap, h->room * sizeof(*h->heap));
	}
	sift_up(h, d, ++h->n);
}

void timers_free(struct timers *h)
{
	free(TAKE(h->heap));
	h->n = h->room = 0;
}
