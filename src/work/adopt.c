/*
 * adopt - a pool is built anew from the records of an earlier usher.
 *
 * Records come in any order, so they are kept until all are there. Then:
 * generations by the numbers on queues and workers, their workers, and what
 * belongs to each. The generation that served goes on serving, a newer one
 * goes on with its roll, older ones finish.
 */
#include <errno.h>

#include "work/output.h"
#include "work/worker.h"

int pool_found(struct pool *p, int index)
{
	if (record_at(index)->kind == RECORD_RELAY)
		return -EINVAL;		/* no pool has any */
	p->found = xrealloc(p->found, (p->nfound + 1) * sizeof(*p->found));
	p->found[p->nfound++] = index;
	return 0;
}

bool pool_claim_index(struct pool *p, int index)
{
	for (size_t i = 0; i < p->nfound; i++) {
		if (p->found[i] != index || index < 0)
			continue;
		p->found[i] = -1;
		return true;
	}
	return false;
}

int pool_claim(struct pool *p, enum record_kind kind, uint32_t arg,
	       uint64_t id)
{
	for (size_t i = 0; i < p->nfound; i++) {
		int index = p->found[i];
		const struct record *r;

		if (index < 0)
			continue;
		r = record_at(index);
		if (r->kind != kind || r->id != id ||
		    (arg != RECORD_ANY && r->arg != arg))
			continue;
		p->found[i] = -1;
		return index;
	}
	return -1;
}

static struct generation *generation_of(struct pool *p, uint32_t number)
{
	struct service *s = p->service;
	struct generation *g = pool_generation(p, number);
	int error;

	if (g)
		return g;
	g = generation_open(p, number, s->owner, s->conf, &error);
	if (g)
		g->adopted = true;
	if (number > s->data->generation)
		s->data->generation = number;
	return g;
}

/* A queue of a worker's own knows its pid a moment after the worker's record
 * does. */
static void name_queue(const struct pool *p, int queue, uint64_t pid)
{
	for (size_t i = 0; i < p->nfound && queue >= 0; i++)
		if (p->found[i] == queue &&
		    record_at(queue)->kind == RECORD_QUEUE &&
		    record_at(queue)->id == UINT32_MAX)
			record_at(queue)->id = pid;
}

static void hang_worker(struct pool *p, int index)
{
	struct worker_data *d = RECORD_AS(index, struct worker_data);
	struct generation *g = generation_of(p, record_at(index)->arg);
	struct worker *w;

	name_queue(p, d->queue, record_at(index)->id);
	/* Only what was found may be hung in, whatever the record says. */
	if (d->notify >= 0 && !pool_claim_index(p, d->notify))
		d->notify = -1;
	if (d->output >= 0 && !pool_claim_index(p, d->output))
		d->output = -1;
	if (d->readiness >= 0 && !pool_claim_index(p, d->readiness))
		d->readiness = -1;
	if (g && d->trial)
		g->trial = true;
	if (!g || worker_adopt(g, index, &w) < 0) {
		service_log(p->service, LOG_LEVEL_ERROR,
			    "a worker's record could not be taken over");
		record_close(index);
		return;
	}
	if (p->kind->adopted)
		p->kind->adopted(w);
}

static void hang_all(struct pool *p, enum record_kind kind)
{
	for (size_t i = 0; i < p->nfound; i++) {
		int index = p->found[i];

		if (index < 0 || (int)record_at(index)->kind != (int)kind)
			continue;
		if (kind == RECORD_WORKER) {
			p->found[i] = -1;
			hang_worker(p, index);
		} else if (record_at(index)->id == 0) {
			generation_of(p, record_at(index)->arg);
		}
	}
}

/* A duplicate of a door goes on in epoll after its close. */
static void close_found(struct pool *p, int index)
{
	if (record_at(index)->fd[0] >= RECORD_LOW)
		loop_unwatch(p->service->u->loop, index, 0);
	record_close(index);
}

/* Nobody's: output is read to its end, the rest is closed. */
static void close_rest(struct pool *p)
{
	for (size_t i = 0; i < p->nfound; i++) {
		int index = p->found[i];

		if (index < 0)
			continue;
		if (record_at(index)->kind == RECORD_OUTPUT &&
		    output_adopt(p->service, index) >= 0)
			output_ended(p->service, index, false);
		else
			close_found(p, index);
	}
	free(p->found);
	p->found = NULL;
	p->nfound = 0;
}

/* The one that took arrivals; else the newest that can. */
static struct generation *who_serves(struct pool *p)
{
	struct generation *g = pool_generation(p, p->service->data->serving);

	if (g && !g->retired && !g->trial)
		return g;
	TAILQ_FOREACH(g, &p->generations, entry)
		if (!g->retired && !g->trial && g->nready > g->nleaving)
			return g;
	TAILQ_FOREACH(g, &p->generations, entry)
		if (!g->retired && !g->trial)
			return g;
	return NULL;
}

/* What a reload was trying when usher was killed: it had not committed, and
 * the settings that it was started under are not in force. */
static void end_trials(struct pool *p)
{
	struct generation *g;
	struct worker *w, *next;
	uint32_t newest = 0;

	TAILQ_FOREACH(g, &p->generations, entry) {
		if (!g->trial && g->number > newest)
			newest = g->number;
		if (!g->trial || g->retired)
			continue;
		generation_retire(g);
		TAILQ_FOREACH_SAFE(w, &g->workers, entry, next)
			worker_stop(w);
		service_log(p->service, LOG_LEVEL_NOTICE, "a worker that a "
			    "reload was trying is ended");
	}
	if (newest && p->service->data->generation > newest)
		p->service->data->generation = newest;
}

void pool_take_over(struct pool *p)
{
	struct generation *g;

	if (!p->nfound)
		return;
	hang_all(p, RECORD_QUEUE);
	hang_all(p, RECORD_WORKER);
	pool_serves(p, who_serves(p));
	p->resume = p->service->data->rolling != 0;
	if (p->kind->hung)
		p->kind->hung(p);
	close_rest(p);
	end_trials(p);
	TAILQ_FOREACH(g, &p->generations, entry) {
		if (g == p->current || g->retired)
			continue;
		if (p->resume && p->current && g->number > p->current->number)
			continue;	/* the roll's */
		generation_retire(g);
	}
	pool_balance(p);
}
