/*
 * worker_private - what worker.c and worker_start.c share, for nobody else.
 */
#ifndef USHER_WORK_WORKER_PRIVATE_H
#define USHER_WORK_WORKER_PRIVATE_H

#include "work/worker.h"

static inline struct loop *loop_of(const struct worker *w)
{
	return w->generation->service->u->loop;
}

static inline const struct conf_service *conf_of(const struct worker *w)
{
	return w->generation->conf;
}

static inline int pidfd_of(const struct worker *w)
{
	return record_at(w->record)->fd[0];
}

/* V and up to a tenth more or less, so that not all go at once. */
uint64_t worker_spread(const struct worker *w, uint64_t v);

/* max_age from its start on, in place of start_timeout. */
void worker_set_age(struct worker *w);

/* W has been told to go: the next step of its end is in MS milliseconds. */
void worker_await_end(struct worker *w, int64_t ms);

#endif
