/*
 * roll - a new generation of workers takes over from the old one.
 *
 * The new ones are started `roll` at a time; the first must live `settle`
 * long, taking its share of arrivals, before any old one is told to go. With
 * a shared queue (and where workers share the listeners) the old are told
 * together, once MIN new ones are ready; with queues of their own one old for
 * each new. With roll = 0 the old stop first, and arrivals wait.
 */
#ifndef USHER_WORK_ROLL_H
#define USHER_WORK_ROLL_H

#include "work/pool.h"

typedef void roll_done(void *arg, int result, const char *why);

/* As struct handler's roll. One that is under way is dropped. */
int roll_begin(struct pool *p, roll_done *done, void *arg);
/* After a take-over: goes on with the roll that was under way. */
void roll_resume(struct pool *p);
/* A worker of the new generation is ready. */
void roll_worker_ready(struct pool *p, struct worker *w);
/* A worker of any generation is gone already; FAILED: and says why. Returns
 * true when the failure was the roll's. */
bool roll_worker_gone(struct pool *p, struct generation *g, bool failed,
		      const char *why);
/* What is under way ends, with nothing changed: RESULT to who asked. */
void roll_drop(struct pool *p, int result, const char *why);
/* Which generation takes the next arrival: the current one, or by turns the
 * new one. */
struct generation *roll_share(struct pool *p);
/* How many of the current generation the roll under way has replaced. */
uint32_t roll_replaced(const struct pool *p);
/* At most max_generations may still be finishing. */
void roll_limit_old(struct pool *p);

#endif
