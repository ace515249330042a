/*
 * roll_end - how a roll ends: well, dropped, or failed; see roll.h.
 *
 * Who asked is told, the log too. A failure leaves as little behind as it
 * can: the new generation goes, or what of the old was replaced stays
 * replaced, or (roll = 0, revert) the old settings come back as one more
 * generation.
 */
#include "work/roll.h"

#include <errno.h>
#include <stdio.h>

#include "work/roll_private.h"
#include "work/worker.h"

static void end(struct roll *r, int result, const char *why)
{
	struct pool *p = r->p;
	roll_done *done = r->done;
	void *arg = r->arg;

	timer_cancel(loop_of(p), &r->settle);
	task_cancel(loop_of(p), &r->step);
	conf_unref(&r->back);
	p->roll = NULL;
	p->held = false;
	p->service->rolling = false;
	p->service->data->rolling = 0;
	service_changed(p->service);
	free(r);
	if (done)
		done(arg, result, why);
	if (!p->stopping)
		service_room(p->service);
	pool_balance(p);
}

static uint32_t old_workers(const struct pool *p)
{
	const struct generation *g;
	uint32_t n = 0;

	TAILQ_FOREACH(g, &p->generations, entry)
		if (g->retired)
			n += g->nworkers;
	return n;
}

void roll_succeed(struct roll *r)
{
	struct pool *p = r->p;
	int64_t took = loop_now(loop_of(p)) - r->began;
	uint32_t old = old_workers(p);
	char text[160];

	snprintf(text, sizeof(text), "generation %u ready in %lld.%lld s, "
		 "%u old worker%s finishing", p->current->number,
		 (long long)took / 1000, (long long)took % 1000 / 100, old,
		 old == 1 ? "" : "s");
	log_write(LOG_LEVEL_NOTICE,
		  &(struct log_about){ .service = p->service->name,
				       .event = "rolled" }, "%s", text);
	end(r, 0, text);
}

/* The new generation goes, with what waits for it given back. */
static void abandon(struct roll *r)
{
	struct pool *p = r->p;
	struct generation *g = r->next;

	if (!g || g == p->current)
		return;
	p->next = NULL;
	r->next = NULL;
	if (p->kind->move && p->current)
		p->kind->move(g, p->current);
	generation_retire(g);
}

void roll_drop(struct pool *p, int result, const char *why)
{
	struct roll *r = p->roll;

	if (!r)
		return;
	abandon(r);
	end(r, result, why);
}

/* ---- failing ---- */

static void revert(struct roll *r)
{
	struct pool *p = r->p;
	struct generation *g;
	int error;

	g = generation_open(p, pool_next_number(p), r->back, r->back_conf,
			    &error);
	if (!g)
		return;
	p->service->data->generation = g->number;
	roll_take_over(p, g);
}

/* What was replaced stays so, what is left of the old goes on beside it. */
static bool stopped_halfway(struct roll *r)
{
	struct pool *p = r->p;
	struct worker *w, *next;

	if (r->old_first || !r->replaced || r->next->nready == 0 ||
	    p->current->conf->roll_on_failure == FAILURE_REVERT)
		return false;
	TAILQ_FOREACH_SAFE(w, &r->next->workers, entry, next)
		if (!w->ready)
			worker_leave(w, false);
	if (p->beside)
		generation_retire(p->beside);
	p->beside = TAKE(r->next);
	p->next = NULL;
	return true;
}

void roll_fail(struct roll *r, const char *why)
{
	struct pool *p = r->p;
	char text[256];
	bool back = r->back != NULL;

	if (r->old_first)
		snprintf(text, sizeof(text), "generation %u failed: a worker "
			 "%s; %s", p->current->number, why,
			 back ? "the old settings are back"
			      : "it is tried again");
	else
		snprintf(text, sizeof(text), "generation %u failed: a worker "
			 "%s; generation %u goes on serving%s",
			 r->next->number, why, p->current->number,
			 r->replaced == 0 ? ""
			 : p->current->conf->roll_on_failure == FAILURE_REVERT
				 ? ", also where it was replaced"
				 : ", where it was not replaced");
	log_write(LOG_LEVEL_ERROR,
		  &(struct log_about){ .service = p->service->name,
				       .event = "roll-failed" }, "%s", text);
	if (r->old_first && back)
		revert(r);
	else if (!stopped_halfway(r))
		abandon(r);
	end(r, -EIO, text);
}
