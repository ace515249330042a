/*
 * roll_private - what roll.c and roll_end.c share, for nobody else.
 */
#ifndef USHER_WORK_ROLL_PRIVATE_H
#define USHER_WORK_ROLL_PRIVATE_H

#include "work/roll.h"

/* One that is under way: its pool's, from roll_begin to its end. */
struct roll {
	struct pool *p;
	struct generation *next;
	struct generation *old;		/* what it takes over from */
	uint32_t old_number;
	roll_done *done;
	void *arg;
	bool one_by_one;	/* queues of their own: an old for a new */
	bool old_first;		/* roll = 0 */
	bool settling, settled;
	uint32_t replaced;	/* old ones told so far */
	uint32_t turn;
	int64_t began;
	struct timer settle;
	struct task step;
	struct conf *back;	/* roll = 0, revert: the old settings */
	const struct conf_service *back_conf;
};

static inline struct loop *loop_of(const struct pool *p)
{
	return p->service->u->loop;
}

/* G serves from now on; who served before is told to go, and what waits there
 * is moved. */
void roll_take_over(struct pool *p, struct generation *g);

/* Both end R and free it, and tell who asked. WHY: half a sentence about a
 * worker. */
void roll_succeed(struct roll *r);
void roll_fail(struct roll *r, const char *why);

#endif
