/*
 * pool - the workers of a service: enough, throttled, ended; see pool.h.
 *
 * Whatever happens (an arrival that waits, a death, a new range, a limit that
 * was reached) sets one task, and that task compares what there is with what
 * there should be. Failures in a row make a start wait twice as long each
 * time; arrivals then wait in the kernel.
 */
#include "work/pool.h"

#include <errno.h>
#include <string.h>

#include "work/queue.h"
#include "work/roll.h"
#include "work/worker.h"

/* So many starts in a round of the loop: others want their turn. */
#define STARTS_A_ROUND	16
/* Arrivals that still wait after this want more workers. */
#define GROW_MS		5
#define GROW_AGAIN_MS	50
/* A worker so young may not have come to its queue yet. */
#define YOUNG_MS	1000
/* Messages left when all workers have gone: so many more try. */
#define LAST_TRIES	3

static struct loop *loop_of(const struct pool *p)
{
	return p->service->u->loop;
}

/* ---- counting ---- */

static uint32_t least(const struct pool *p)
{
	return service_workers(p->service).min;
}

static uint32_t most(const struct pool *p)
{
	uint32_t max = service_workers(p->service).max;

	return max ? max : 1;
}

static uint32_t serving(const struct pool *p, const struct generation *g)
{
	uint32_t n = g ? g->nworkers - g->nleaving : 0;

	if (g && g == p->current)
		n -= p->farewells < n ? p->farewells : n;
	return n;
}

uint32_t pool_serving(const struct pool *p)
{
	return serving(p, p->current);
}

/* Started for waiting arrivals, and perhaps not there yet. */
static uint32_t young(const struct pool *p, const struct generation *g)
{
	int64_t now = loop_now(loop_of(p));
	const struct worker *w;
	uint32_t n = 0;

	TAILQ_FOREACH(w, &g->workers, entry)
		if (!worker_leaves(w) && w->taken == 0 &&
		    (!w->ready || now - w->started < YOUNG_MS))
			n++;
	return n;
}

/* ---- enough ---- */

static void on_burst(void *arg)
{
	pool_balance(arg);
}

/* Does nothing where no more may be, or a failure is waited out. */
static uint32_t start_some(struct pool *p, uint32_t want)
{
	struct generation *g = p->current;
	uint32_t started = 0;

	if (timer_is_set(&p->retry) || p->held)
		return 0;
	/* A program that can't overlap: who leaves goes first. */
	if (p->service->conf->roll <= 0 && g->nleaving)
		return 0;
	if (p->failures > 1 && !p->proved)
		want = serving(p, g) == 0 && want ? 1 : 0;
	for (; started < want && started < STARTS_A_ROUND; started++)
		if (pool_start_worker(g, false) < 0)
			return started;
	if (started < want)
		timer_set(loop_of(p), &p->burst, 0, on_burst, p);
	return started;
}

static uint32_t missing(const struct pool *p)
{
	uint32_t have = pool_serving(p) + serving(p, p->beside) +
			roll_replaced(p);
	struct worker *w;

	if (p->wanted > have && most(p) > have)
		return (p->wanted < most(p) ? p->wanted : most(p)) - have;
	/* Those who are about to be replaced are doubled for a while. */
	TAILQ_FOREACH(w, &p->current->workers, entry)
		if (w->leaving && !worker_leaves(w) && have)
			have--;
	return have < least(p) ? least(p) - have : 0;
}

static void on_rest(void *arg);

/* Is somebody above MIN? Then look from time to time who is not needed. */
static void watch_rest(struct pool *p)
{
	int64_t idle = p->service->conf->idle_timeout, every = idle / 10;

	if (timer_is_set(&p->rest) || idle <= 0 || !p->current ||
	    pool_serving(p) <= least(p))
		return;
	if (every > 10000)
		every = 10000;
	timer_set(loop_of(p), &p->rest, every > 20 ? every : 20, on_rest, p);
}

static struct worker *idlest(struct generation *g)
{
	struct worker *w, *best = NULL;

	TAILQ_FOREACH(w, &g->workers, entry)
		if (w->state == WORKER_IDLE && w->ready && !w->leaving &&
		    (!best || w->last_used < best->last_used))
			best = w;
	return best;
}

static bool sees_idle(const struct generation *g)
{
	return g->conf->reports || (g->dialect && g->dialect->status);
}

/* Lets one go that is not needed. */
static bool let_go(struct pool *p)
{
	struct worker *w = idlest(p->current);

	if (p->kind->farewell && p->kind->farewell(p->current)) {
		p->farewells++;
		return true;
	}
	if (!w)
		return false;
	worker_leave(w, false);
	return true;
}

static void on_rest(void *arg)
{
	struct pool *p = arg;
	int64_t now = loop_now(loop_of(p));
	int64_t idle = p->service->conf->idle_timeout;
	struct worker *w;

	if (!p->current || p->roll || p->stopping)
		return;
	if (p->kind->waiting(p->current) > 0)
		p->waited_at = now;
	if (pool_serving(p) > least(p)) {
		w = idlest(p->current);
		if (sees_idle(p->current)
			    ? w && now - w->last_used >= idle
			    : now - p->waited_at >= idle)
			let_go(p);
	}
	watch_rest(p);
}

static void on_grow(void *arg)
{
	struct pool *p = arg;
	uint32_t waiting, coming;

	if (!p->current || p->stopping)
		return;
	waiting = p->kind->waiting(p->current);
	if (waiting == 0)
		return;
	p->waited_at = loop_now(loop_of(p));
	coming = young(p, p->current);
	if (waiting > coming)
		pool_need(p, waiting - coming);
	if (pool_serving(p) < most(p))
		timer_set(loop_of(p), &p->grow, GROW_AGAIN_MS, on_grow, p);
}

void pool_wanted(struct pool *p)
{
	if (!timer_is_set(&p->grow) && p->current &&
	    p->current->nworkers - p->current->nleaving < most(p))
		timer_set(loop_of(p), &p->grow, GROW_MS, on_grow, p);
}

void pool_need(struct pool *p, uint32_t n)
{
	uint32_t want = pool_serving(p) + n;

	if (want > p->wanted) {
		p->wanted = want;
		pool_balance(p);
	}
}

/* ---- the end of it all ---- */

static void on_end(void *arg)
{
	struct pool *p = arg;

	if (!p->gone) {
		p->gone = true;
		service_gone(p->service);
	}
}

static void stop_step(struct pool *p)
{
	struct generation *g, *next;

	TAILQ_FOREACH_SAFE(g, &p->generations, entry, next) {
		struct worker *w, *nw;

		TAILQ_FOREACH_SAFE(w, &g->workers, entry, nw)
			if (p->now > 1)
				worker_kill(w);
			else if (p->now && w->state != WORKER_KILLED)
				worker_stop(w);
		if (g->nworkers)
			continue;
		if (!p->now && p->kind->waiting(g) > 0 &&
		    p->tries++ < LAST_TRIES &&
		    pool_start_worker(g, false) == 0)
			continue;
		generation_close(g);
	}
	if (TAILQ_EMPTY(&p->generations))
		task_set(loop_of(p), &p->end, on_end, p);
}

void pool_stop(struct pool *p, bool now)
{
	struct generation *g;

	p->now += now && p->now < 2;
	if (!p->stopping) {
		roll_drop(p, -ECANCELED, "the service is stopped");
		p->stopping = true;
		pool_untry(p->service);
		timer_cancel(loop_of(p), &p->retry);
		timer_cancel(loop_of(p), &p->grow);
		timer_cancel(loop_of(p), &p->rest);
		timer_cancel(loop_of(p), &p->burst);
		TAILQ_FOREACH(g, &p->generations, entry)
			generation_retire(g);
	}
	pool_balance(p);
}

/* ---- the one task ---- */

static void close_finished(struct pool *p)
{
	struct generation *g, *next;

	if (p->beside && p->beside->nworkers == 0)
		p->beside->retired = true;
	TAILQ_FOREACH_SAFE(g, &p->generations, entry, next)
		if (g->retired && g->nworkers == 0 && g != p->current)
			generation_close(g);
}

static void shed(struct pool *p)
{
	while (pool_serving(p) > most(p) && p->replacing == 0 && let_go(p))
		;
}

static void on_balance(void *arg)
{
	struct pool *p = arg;

	if (p->stopping) {
		stop_step(p);
		return;
	}
	close_finished(p);
	if (!p->current)
		return;
	pool_finish_replacements(p);
	pool_replace_due(p);
	start_some(p, missing(p));
	if (!timer_is_set(&p->burst))
		p->wanted = 0;
	shed(p);
	watch_rest(p);
	if (p->kind->watch)
		p->kind->watch(p);
}

void pool_balance(struct pool *p)
{
	if (!p->balance.set)
		task_set(loop_of(p), &p->balance, on_balance, p);
}

void pool_settings(struct pool *p, unsigned bits)
{
	struct service *s = p->service;
	struct generation *g = p->current;

	if (g && !(bits & CONF_WORKERS)) {
		struct conf *was = g->owner;

		g->owner = conf_ref(s->owner);
		g->conf = s->conf;
		conf_unref(&was);
	}
	if (s->conf->max_memory)
		pool_watch_memory(p);
	pool_scale(p);
}

int pool_scale(struct pool *p)
{
	pool_balance(p);
	service_room(p->service);
	return 0;
}

/* ---- life ---- */

struct pool *pool_new(struct service *s, const struct pool_kind *kind)
{
	struct pool *p = xcalloc(1, sizeof(*p));

	p->service = s;
	p->kind = kind;
	p->waited_at = loop_now(s->u->loop);
	TAILQ_INIT(&p->generations);
	s->work = p;
	return p;
}

/* The generation that a reload has tried, or a new one. */
static void begin_with(struct pool *p, int *error)
{
	struct service *s = p->service;
	struct generation *g = trial_take(p);
	struct worker *w;

	if (g)
		s->data->generation = g->number;
	else if (s->data->generation == 0)
		s->data->generation = 1;
	pool_serves(p, g ? g : generation_open(p, s->data->generation,
					       s->owner, s->conf, error));
	if (!g)
		return;
	pool_prove(p);
	TAILQ_FOREACH(w, &g->workers, entry)
		if (w->ready && p->kind->usable)
			p->kind->usable(w);
}

int pool_start(struct pool *p)
{
	struct service *s = p->service;
	int error = 0;

	if (!p->current) {
		begin_with(p, &error);
		if (!p->current) {
			service_degrade(s, "no queue for its workers: %s",
					strerror(-error));
			return error;
		}
	}
	if (least(p) && p->current->nready == 0)
		s->starting = true;
	p->started = true;
	if (s->conf->max_memory)
		pool_watch_memory(p);
	if (p->resume)
		roll_resume(p);
	p->resume = false;
	start_some(p, missing(p));
	if (p->kind->watch)
		p->kind->watch(p);
	watch_rest(p);
	return s->degraded ? -ECHILD : 0;
}

void pool_free(struct pool **pp)
{
	struct pool *p = TAKE(*pp);
	struct loop *l;
	struct generation *g;

	if (!p)
		return;
	l = loop_of(p);
	roll_drop(p, -ECANCELED, "the service is gone");
	pool_untry(p->service);
	while ((g = TAILQ_FIRST(&p->generations))) {
		while (!TAILQ_EMPTY(&g->workers))
			worker_abandon(TAILQ_FIRST(&g->workers));
		generation_close(g);
	}
	timer_cancel(l, &p->retry);
	timer_cancel(l, &p->grow);
	timer_cancel(l, &p->rest);
	timer_cancel(l, &p->memory);
	timer_cancel(l, &p->burst);
	timer_cancel(l, &p->healthy);
	task_cancel(l, &p->balance);
	task_cancel(l, &p->end);
	p->service->work = NULL;
	free(p);
}

/* ---- for status and kill ---- */

void pool_workers(const struct service *s, worker_info_fn *fn, void *arg)
{
	const struct pool *p = s->work;
	const struct generation *g;
	const struct worker *w;

	if (!p)
		return;
	TAILQ_FOREACH(g, &p->generations, entry) {
		TAILQ_FOREACH(w, &g->workers, entry) {
			struct worker_info i = {
				.pid = w->pid,
				.generation = g->number,
				.state = worker_state_name(w),
				.age_ms = loop_now(loop_of(p)) - w->started,
				.requests = w->done > w->taken ? w->done
							       : w->taken,
				.holds = w->holds,
				.text = w->text,
			};

			fn(arg, &i);
		}
	}
}

int pool_kill_worker(struct service *s, pid_t pid)
{
	struct pool *p = s->work;
	struct generation *g;
	struct worker *w;

	if (!p)
		return -ENOENT;
	TAILQ_FOREACH(g, &p->generations, entry) {
		w = worker_by_pid(g, pid);
		if (!w)
			continue;
		worker_stop(w);
		pool_balance(p);
		return 0;
	}
	return -ENOENT;
}
