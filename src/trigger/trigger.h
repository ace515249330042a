/*
 * trigger - "run this now", and it is certain that a run follows.
 *
 * Requests come from endpoints (inlet/request), timers (every) and the
 * control socket; runs go to the service's handler. The promise: a run starts
 * after the last trigger taken before it, is never merged into one that
 * already runs; at most one run waits for each distinct message.
 */
#ifndef USHER_TRIGGER_TRIGGER_H
#define USHER_TRIGGER_TRIGGER_H

#include "model/model.h"
#include "model/run.h"

/* S has trigger endpoints or every: sets up queue, timers, endpoints' reading
 * (the doors are open). 0 or -errno. */
int trigger_start(struct service *s);
/* The settings changed. */
void trigger_changed(struct service *s);
/* After a take-over, before trigger_start: a RECORD_RUN or RECORD_REQUEST of
 * S, whose doors are there. */
int trigger_adopt(struct service *s, int record);

/* Who waits for a run's end; embedded by the owner, zeroed. */
TAILQ_HEAD(trigger_waits, trigger_wait);
struct trigger_wait {
	TAILQ_ENTRY(trigger_wait) entry;
	struct trigger_waits *on;	/* NULL: it does not wait */
	uint64_t *kept;		/* in the owner's record, may be NULL: the
				 * trigger's number is kept there */
	/* STATUS as run's done. */
	void (*fn)(void *arg, int status, const char *why);
	void *arg;
};

/*
 * One trigger with MESSAGE. W may be NULL. 0, or -EAGAIN: trigger_queue is
 * full; -ESHUTDOWN: none are taken any more. W's fn is called when a run that
 * started after this has ended, for the last time if it is tried again.
 */
int trigger_take(struct service *s, const char *message, size_t len,
		 struct trigger_wait *w);
void trigger_forget(struct trigger_wait *w);
/* One that was taken before, and came back unserved: it waits, whatever the
 * bounds. 0, or -EAGAIN: the state is full. */
int trigger_return(struct service *s, const char *message, size_t len);
/* After a take-over: W waits again for the trigger of S with the number at
 * *W->kept. 0, or -ENOENT: it has ended. */
int trigger_wait_again(struct service *s, struct trigger_wait *w);

/* Room again in the handler: waiting runs start. */
void trigger_room(struct service *s);
/* Stops taking; what waits still runs (its end calls DONE), NOW: dropped.
 * Returns how many wait or run. */
uint32_t trigger_stop(struct service *s, bool now);
void trigger_free(struct service *s);

uint32_t trigger_pending(const struct service *s);	/* that wait */
uint32_t trigger_running(const struct service *s);

#endif
