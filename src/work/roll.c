/*
 * roll - a new generation takes over; see roll.h.
 *
 * Steps: the new generation is opened beside the current one; its first
 * worker is started, is ready, lives through `settle` with its share of what
 * arrives; the others follow; then the new one is the current one, what waits
 * at the old is moved, and the old are told to go. A failure before that
 * undoes all of it. With roll = 0 the order is: hold, move, tell, wait for
 * the old to be gone, start, release.
 *
 * How a roll ends, well or not, is work/roll_end's.
 */
#include "work/roll.h"

#include <errno.h>

#include "work/roll_private.h"
#include "work/worker.h"

static uint32_t target(const struct pool *p)
{
	uint32_t min = service_workers(p->service).min;

	return min ? min : 1;
}

void roll_limit_old(struct pool *p)
{
	int64_t keep = p->service->conf->max_generations;
	struct generation *g;
	struct worker *w, *next;

	TAILQ_FOREACH(g, &p->generations, entry) {
		if (!g->retired || g->nworkers == 0 || keep-- > 0)
			continue;
		TAILQ_FOREACH_SAFE(w, &g->workers, entry, next)
			if (w->state != WORKER_KILLED)
				worker_stop(w);
	}
}

/* ---- taking over ---- */

void roll_take_over(struct pool *p, struct generation *g)
{
	struct generation *old = p->current;
	uint32_t had = pool_serving(p);

	if (p->beside) {
		had += p->beside->nworkers - p->beside->nleaving;
		generation_retire(TAKE(p->beside));
	}
	pool_serves(p, g);
	p->next = NULL;
	p->farewells = 0;
	p->replacing = 0;
	if (old) {
		if (p->kind->move)
			p->kind->move(old, g);
		generation_retire(old);
	}
	/* As many as served before, if the range allows it. */
	if (had > g->nworkers && !p->held && g->nworkers > 0)
		pool_need(p, had - g->nworkers);
	roll_limit_old(p);
	pool_balance(p);
}

static void start_next(struct roll *r)
{
	struct generation *g = r->next;
	int64_t at_once = r->settled ? g->conf->roll : 1;
	uint32_t want = r->settled ? target(r->p) : 1;

	while (r->p->roll == r && g->nworkers - g->nleaving < want &&
	       (int64_t)(g->nworkers - g->nleaving) -
			       (int64_t)g->nready < at_once)
		if (pool_start_worker(g, false) < 0)
			return;		/* and the roll has failed */
}

/* Queues of their own: for each new one that is ready one old goes. */
static void tell_some(struct roll *r, struct generation *old)
{
	struct worker *w, *next;

	TAILQ_FOREACH_SAFE(w, &old->workers, entry, next) {
		if (r->replaced >= r->next->nready)
			return;
		if (worker_leaves(w))
			continue;
		worker_leave(w, false);
		r->replaced++;
	}
}

static void tell_old(struct roll *r)
{
	if (r->p->beside)
		tell_some(r, r->p->beside);
	tell_some(r, r->p->current);
}

static void step(void *arg)
{
	struct roll *r = arg;
	struct pool *p = r->p;

	if (r->old_first) {
		if (r->settled)
			roll_succeed(r);
		return;
	}
	if (r->settled && r->one_by_one)
		tell_old(r);
	if (r->settled && r->next->nready >= target(p)) {
		roll_take_over(p, r->next);
		roll_succeed(r);
		return;
	}
	start_next(r);
}

static void later(struct roll *r)
{
	if (!r->step.set)
		task_set(loop_of(r->p), &r->step, step, r);
}

static void on_settled(void *arg)
{
	struct roll *r = arg;
	struct generation *g = r->old_first ? r->p->current : r->next;

	r->settling = false;
	/* Who serves one and ends may be between two: the next one will do. */
	r->settled = g->nready > 0;
	later(r);
}

void roll_worker_ready(struct pool *p, struct worker *w)
{
	struct roll *r = p->roll;

	if (!r || w->generation != (r->old_first ? p->current : r->next))
		return;
	if (!r->settled && !r->settling) {
		r->settling = true;
		timer_set(loop_of(p), &r->settle, w->generation->conf->settle,
			  on_settled, r);
		service_room(p->service);
	}
	later(r);
}

/* roll = 0: the old have gone, the new ones' turn. */
static void release(struct roll *r)
{
	struct pool *p = r->p;

	r->old = NULL;
	p->held = false;
	pool_balance(p);
	if (service_workers(p->service).min == 0)
		roll_succeed(r);
	else
		service_room(p->service);
}

bool roll_worker_gone(struct pool *p, struct generation *g, bool failed,
		      const char *why)
{
	struct roll *r = p->roll;

	if (!r)
		return false;
	if (r->old_first && g == r->old && g->nworkers == 0)
		release(r);
	else if (r->old_first && g == p->current && failed)
		roll_fail(r, why);
	else if (!r->old_first && g == r->next && failed)
		return roll_fail(r, why), true;
	else if (!r->old_first && g == r->next)
		later(r);
	return false;
}

/* ---- the beginning ---- */

static void old_first(struct roll *r)
{
	struct pool *p = r->p;

	r->old = p->current;
	r->old_first = true;
	p->held = true;
	if (r->old->conf->roll_on_failure == FAILURE_REVERT) {
		r->back = conf_ref(r->old->owner);
		r->back_conf = r->old->conf;
	}
	roll_take_over(p, r->next);
	if (r->old->nworkers == 0)
		release(r);
}

static struct roll *roll_new(struct pool *p, struct generation *g,
			     roll_done *done, void *arg)
{
	struct service *s = p->service;
	struct roll *r = xcalloc(1, sizeof(*r));

	*r = (struct roll){ .p = p, .next = g, .done = done, .arg = arg,
			    .one_by_one = !g->dialect && !g->queue &&
					  !p->current->queue,
			    .old_number = p->current->number,
			    .began = loop_now(loop_of(p)) };
	p->roll = r;
	s->rolling = true;
	s->data->rolling = 1;
	service_changed(s);
	return r;
}

/* G takes over, one of the two ways. */
static void go(struct roll *r)
{
	struct pool *p = r->p;

	p->next = r->next;
	if (service_workers(p->service).min == 0) {
		roll_take_over(p, r->next);
		roll_succeed(r);
		return;
	}
	later(r);
}

/* Those that were there before R began. */
static void count_ready(struct pool *p, const struct roll *r,
			struct generation *g)
{
	struct worker *w;

	for (w = TAILQ_FIRST(&g->workers); w && p->roll == r;
	     w = TAILQ_NEXT(w, entry))
		if (w->ready && !worker_leaves(w))
			roll_worker_ready(p, w);
}

int roll_begin(struct pool *p, roll_done *done, void *arg)
{
	struct service *s = p->service;
	struct generation *g;
	struct roll *r;
	int error;

	if (!p->current || p->stopping)
		return -EOPNOTSUPP;
	roll_drop(p, -ECANCELED, "a newer roll took its place");
	g = trial_take(p);
	if (!g)
		g = generation_open(p, pool_next_number(p), s->owner, s->conf,
				    &error);
	if (!g)
		return error;
	s->data->generation = g->number;
	s->data->rolls++;
	r = roll_new(p, g, done, arg);
	if (s->conf->roll <= 0)
		old_first(r);
	else
		go(r);
	count_ready(p, r, g);
	return 0;
}

/* The old have been told already: what is left is to wait for them. */
static void resume_old_first(struct pool *p)
{
	struct generation *old = TAILQ_NEXT(p->current, entry);
	struct roll *r;

	while (old && old->nworkers == 0)
		old = TAILQ_NEXT(old, entry);
	if (!old) {
		p->service->data->rolling = 0;
		return;
	}
	r = roll_new(p, p->current, NULL, NULL);
	r->old = old;
	r->old_first = true;
	p->held = true;
}

static void resume(struct pool *p, struct generation *g)
{
	struct roll *r = roll_new(p, g, NULL, NULL);
	struct worker *w;

	TAILQ_FOREACH(w, &p->current->workers, entry)
		r->replaced += worker_leaves(w);
	go(r);
	count_ready(p, r, g);
}

void roll_resume(struct pool *p)
{
	struct generation *g = TAILQ_FIRST(&p->generations);

	while (g && g->trial)	/* a reload's that did not commit */
		g = TAILQ_NEXT(g, entry);
	if (!p->current || p->stopping)
		return;
	if (g && g != p->current && !g->retired)
		resume(p, g);
	else if (p->service->conf->roll <= 0)
		resume_old_first(p);
	else	/* nothing of the new one was there yet */
		roll_begin(p, NULL, NULL);
}

struct generation *roll_share(struct pool *p)
{
	struct roll *r = p->roll;
	uint32_t new, all;

	if (!r || !p->next || p->next->nready == 0 || !p->current)
		return p->current;
	new = p->next->nready;
	all = new + (p->current->nworkers - p->current->nleaving);
	r->turn += new;
	if (r->turn < all)
		return p->current;
	r->turn -= all;
	return p->next;
}

uint32_t roll_replaced(const struct pool *p)
{
	return p->roll && p->next ? p->roll->replaced : 0;
}
