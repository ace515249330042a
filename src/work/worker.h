/*
 * worker - one worker's life: start, ready, limits, told to go, ended, dead.
 *
 * What becomes of the pool when one dies is work/pool's.
 */
#ifndef USHER_WORK_WORKER_H
#define USHER_WORK_WORKER_H

#include "work/pool.h"

/* RECORD_WORKER's data; fd 0 is the pidfd, id the pid, arg the generation. */
struct worker_data {
	uint32_t state;		/* enum worker_state */
	uint32_t ready;
	int64_t started, changed, last_used;	/* ms, CLOCK_MONOTONIC */
	uint64_t taken, done;
	uint64_t max_requests, max_memory;
	int64_t kill_at;	/* ms: the next step of its end, 0 none */
	uint32_t holds, outstanding;
	int32_t queue, output, notify, readiness;	/* records, -1 */
	uint32_t leaving;
	uint32_t trial;		/* a reload's, which has not committed */
};

/* Starts one of G. 0, or -errno and *WHY allocated. */
int worker_start(struct generation *g, struct worker **out, char **why);

/* Around RECORD, which a take-over found. It may be dead already: then that
 * is told in the next round. */
int worker_adopt(struct generation *g, int record, struct worker **out);

/* Tells W to go: by its queue or channel, or by stop_signal; then
 * drain_timeout, stop_signal, stop_timeout, SIGKILL. TOLD: it has been told
 * with all others. */
void worker_leave(struct worker *w, bool told);
/* stop_signal now, SIGKILL after stop_timeout. */
void worker_stop(struct worker *w);
/* SIGKILL. */
void worker_kill(struct worker *w);
/* It is told to go, or more. */
static inline bool worker_leaves(const struct worker *w)
{
	return w->state >= WORKER_STOPPING;
}

/* Usher ends W because of a fault: WHY, half a sentence (static). */
void worker_fault(struct worker *w, const char *why);

/* Frees W, whose process has ended. */
void worker_free(struct worker *w);
/* Kills W and frees it without waiting (usher could not begin). */
void worker_abandon(struct worker *w);

/* A copy of what changes into its record. */
void worker_save(struct worker *w);

/* It gave a sign of life: its watchdog begins anew. */
void worker_feed_dog(struct worker *w);
/* worker_notify.c: with a struct worker as their argument. */
extern const struct notify_events worker_notify_events;

/* Resident bytes, or 0. */
uint64_t worker_memory(const struct worker *w);

const char *worker_state_name(const struct worker *w);

/* ready.c: begins to wait until W is ready, as READY says. Called before the
 * start (descriptors) and after it. */
int ready_prepare(struct worker *w, struct launch *l);
void ready_began(struct worker *w);
void ready_adopt(struct worker *w);
void ready_end(struct worker *w);

#endif
