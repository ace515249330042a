/*
 * pick - which worker gets an arrival, where each has a queue of its own.
 */
#ifndef USHER_WORK_PICK_H
#define USHER_WORK_PICK_H

#include "work/pool.h"

/* May W take one more now? */
bool pick_usable(const struct worker *w);
/* The worker for C (NULL: a trigger, or what another left behind), or NULL:
 * all are full. TURN is who had the last one, for roundrobin. */
struct worker *pick_worker(struct pool *p, const struct conn *c,
			   uint64_t turn);
/* The name of a way to pick. */
const char *pick_name(enum conf_pick kind);

#endif
