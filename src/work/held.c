/*
 * held - a table by number; see held.h.
 */
#include "work/held.h"

#include <stdlib.h>

struct held_table {
	LIST_HEAD(held_list, held) *rows;
	struct held_list spare;
	uint32_t size, count, spares;
};

/* Kept for the next ones, so that a steady load allocates nothing. */
#define SPARES 256

struct held_table *held_new(void)
{
	struct held_table *t = xcalloc(1, sizeof(*t));

	t->size = 64;
	t->rows = xcalloc(t->size, sizeof(*t->rows));
	LIST_INIT(&t->spare);
	return t;
}

static struct held_list *row(struct held_table *t, uint64_t id)
{
	id *= 0x9e3779b97f4a7c15ull;
	return &t->rows[(id >> 32) & (t->size - 1)];
}

static void free_list(struct held_list *list)
{
	struct held *h;

	while ((h = LIST_FIRST(list))) {
		LIST_REMOVE(h, entry);
		free(h);
	}
}

void held_free(struct held_table **tp)
{
	struct held_table *t = TAKE(*tp);

	if (!t)
		return;
	for (uint32_t i = 0; i < t->size; i++)
		free_list(&t->rows[i]);
	free_list(&t->spare);
	free(t->rows);
	free(t);
}

static void grow(struct held_table *t)
{
	struct held_table old = *t;
	struct held *h;

	t->size *= 2;
	t->rows = xcalloc(t->size, sizeof(*t->rows));
	for (uint32_t i = 0; i < old.size; i++) {
		while ((h = LIST_FIRST(&old.rows[i]))) {
			LIST_REMOVE(h, entry);
			LIST_INSERT_HEAD(row(t, h->id), h, entry);
		}
	}
	free(old.rows);
}

struct held *held_add(struct held_table *t, uint64_t id)
{
	struct held *h = LIST_FIRST(&t->spare);

	if (t->count >= t->size)
		grow(t);
	if (h) {
		LIST_REMOVE(h, entry);
		t->spares--;
	} else {
		h = xmalloc(sizeof(*h));
	}
	*h = (struct held){ .id = id, .record = -1 };
	LIST_INSERT_HEAD(row(t, id), h, entry);
	t->count++;
	return h;
}

struct held *held_find(struct held_table *t, uint64_t id)
{
	struct held *h;

	LIST_FOREACH(h, row(t, id), entry)
		if (h->id == id)
			return h;
	return NULL;
}

void held_remove(struct held_table *t, struct held *h)
{
	LIST_REMOVE(h, entry);
	t->count--;
	if (t->spares >= SPARES) {
		free(h);
		return;
	}
	LIST_INSERT_HEAD(&t->spare, h, entry);
	t->spares++;
}

uint32_t held_count(const struct held_table *t)
{
	return t->count;
}

/* By number: what FN does may add, remove and grow. */
void held_each(struct held_table *t, void (*fn)(void *arg, struct held *h),
	       void *arg)
{
	CLEANUP(freep) uint64_t *ids = xcalloc(t->count + 1, sizeof(*ids));
	uint32_t n = 0;
	struct held *h;

	for (uint32_t i = 0; i < t->size; i++)
		LIST_FOREACH(h, &t->rows[i], entry)
			ids[n++] = h->id;
	for (uint32_t i = 0; i < n; i++) {
		h = held_find(t, ids[i]);
		if (h)
			fn(arg, h);
	}
}
