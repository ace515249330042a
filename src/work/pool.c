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
#include <stdio.h>
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
/* Who lived so long after it was ready was no failure at once. */
#define PROVED_MS	1000
#define HEALTHY_MS	10000
#define MEMORY_EVERY_MS 2000
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

/* ---- generations ---- */

struct generation *pool_generation(struct pool *p, uint32_t number)
{
	struct generation *g;

	TAILQ_FOREACH(g, &p->generations, entry)
		if (g->number == number)
			return g;
	return NULL;
}

struct generation *generation_open(struct pool *p, uint32_t number,
				   struct conf *owner,
				   const struct conf_service *conf, int *error)
{
	struct generation *g = xcalloc(1, sizeof(*g)), *after;

	g->service = p->service;
	g->pool = p;
	g->number = number;
	g->owner = conf_ref(owner);
	g->conf = conf;
	TAILQ_INIT(&g->workers);
	*error = p->kind->open(g);
	if (*error < 0) {
		conf_unref(&g->owner);
		free(g);
		return NULL;
	}
	TAILQ_FOREACH(after, &p->generations, entry)
		if (after->number < number)
			break;
	if (after)
		TAILQ_INSERT_BEFORE(after, g, entry);
	else
		TAILQ_INSERT_TAIL(&p->generations, g, entry);
	return g;
}

void generation_close(struct generation *g)
{
	struct pool *p = g->pool;

	if (p->current == g)
		p->current = NULL;
	if (p->next == g)
		p->next = NULL;
	TAILQ_REMOVE(&p->generations, g, entry);
	p->kind->close(g);
	conf_unref(&g->owner);
	free(g);
}

void generation_retire(struct generation *g)
{
	struct pool *p = g->pool;
	struct worker *w, *next;
	bool told;

	if (!g->retired) {
		g->retired = true;
		g->retired_at = loop_now(loop_of(p));
		told = p->kind->leave && p->kind->leave(g);
		TAILQ_FOREACH_SAFE(w, &g->workers, entry, next)
			worker_leave(w, told);
	}
	pool_balance(p);
}

/* ---- failures ---- */

/* It has worked for a while: the service is well, failures count anew after
 * ten seconds of it. */
static void on_healthy(void *arg)
{
	struct pool *p = arg;

	if (!p->proved) {
		p->proved = true;
		service_recover(p->service);
		timer_set(loop_of(p), &p->healthy, HEALTHY_MS - PROVED_MS,
			  on_healthy, p);
		pool_balance(p);
		return;
	}
	p->failures = 0;
}

static void on_retry(void *arg)
{
	struct pool *p = arg;

	pool_balance(p);
	if (!p->stopping)
		service_room(p->service);
}

static int64_t delay_of(const struct pool *p)
{
	const struct conf_service *c = p->service->conf;
	int64_t delay = c->respawn_delay > 0 ? c->respawn_delay : 1;

	for (unsigned i = 1; i < p->failures && delay < c->respawn_max; i++)
		delay *= 2;
	return delay < c->respawn_max || c->respawn_max <= 0
		? delay : c->respawn_max;
}

/* One more failure; SERVED: it had work to do, so the delay stays short. */
static int64_t failed(struct pool *p, bool served)
{
	if (timer_is_set(&p->retry))
		return p->retry.due - loop_now(loop_of(p));
	if (!served || p->failures == 0)
		p->failures++;
	p->proved = false;
	timer_cancel(loop_of(p), &p->healthy);
	timer_set(loop_of(p), &p->retry, delay_of(p), on_retry, p);
	return delay_of(p);
}

void pool_start_failed(struct generation *g, const char *why)
{
	struct pool *p = g->pool;
	char text[300];

	p->service->data->failures++;
	snprintf(text, sizeof(text), "could not be started: %s", why);
	if (roll_worker_gone(p, g, true, text))
		return;
	failed(p, false);
	service_degrade(p->service, "%s", why);
}

int pool_start_worker(struct generation *g, bool replacement)
{
	CLEANUP(freep) char *why = NULL;
	struct worker *w;
	int r = worker_start(g, &w, &why);

	if (r < 0) {
		pool_start_failed(g, why);
		return r;
	}
	w->replacement = replacement;
	log_write(LOG_LEVEL_DEBUG,
		  &(struct log_about){ .service = g->service->name,
				       .pid = w->pid,
				       .event = "worker-start" },
		  "worker %d started, generation %u", (int)w->pid, g->number);
	return 0;
}

void pool_worker_ready(struct worker *w)
{
	struct generation *g = w->generation;
	struct pool *p = g->pool;

	if (g == p->current) {
		if (p->service->starting) {
			p->service->starting = false;
			service_changed(p->service);
		}
		if (!p->proved && !timer_is_set(&p->healthy))
			timer_set(loop_of(p), &p->healthy, PROVED_MS,
				  on_healthy, p);
	}
	if (p->kind->usable)
		p->kind->usable(w);
	if (g == p->next || p->roll)
		roll_worker_ready(p, w);
	pool_balance(p);
}

/* ---- a worker has ended ---- */

/* It took one of the empty messages, as far as can be known. */
static bool took_farewell(struct pool *p, const struct worker *w,
			  const struct child_exit *e)
{
	if (!p->farewells || w->generation != p->current ||
	    worker_leaves(w) || w->fault ||
	    (e->known && (e->signaled || e->status)))
		return false;
	p->farewells--;
	return true;
}

static bool is_failure(const struct worker *w, const struct child_exit *e,
		       bool served)
{
	struct pool *p = w->generation->pool;
	int64_t lived = loop_now(loop_of(p)) - w->started;

	if (w->fault)
		return true;
	if (worker_leaves(w))
		return false;
	if (e->known && (e->signaled || e->status != 0))
		return true;
	if (served || lived >= PROVED_MS) {
		p->idlers = 0;
		return false;
	}
	return ++p->idlers > p->kind->idlers;
}

/* The first of a row is told; what it is like again and again is not. */
static void tell_end(const struct worker *w, const char *how, bool failure,
		     int64_t again)
{
	const struct pool *p = w->generation->pool;
	int64_t lived = loop_now(loop_of(p)) - w->started;
	enum log_level level = !failure ? LOG_LEVEL_DEBUG
		: p->failures > 1 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING;
	char wait[64] = "", ms[32];

	if (failure && p->failures > 2)
		level = LOG_LEVEL_DEBUG;
	if (failure && again >= 0)
		snprintf(wait, sizeof(wait), "; started anew in %s",
			 text_duration_print(again, ms, sizeof(ms)));
	log_write(level,
		  &(struct log_about){ .service = p->service->name,
				       .pid = w->pid,
				       .event = "worker-exit" },
		  "worker %d %s after %lld ms%s", (int)w->pid, how,
		  (long long)lived, wait);
}

static void clear_replacing(struct pool *p, const struct worker *w)
{
	if (w->replacing && p->replacing)
		p->replacing--;
}

void pool_worker_ended(struct worker *w, const struct child_exit *e)
{
	struct generation *g = w->generation;
	struct pool *p = g->pool;
	bool served = p->kind->served ? p->kind->served(w)
				      : g->handed > w->handed || w->taken > 0;
	bool failure = !took_farewell(p, w, e) && is_failure(w, e, served);
	bool faulty = w->fault != NULL;
	bool lived = loop_now(loop_of(p)) - w->started >= PROVED_MS;
	char buf[96], how[160];
	int64_t again = -1;

	child_exit_text(e, buf, sizeof(buf));
	snprintf(how, sizeof(how), "%s", faulty ? w->fault : buf);
	clear_replacing(p, w);
	w->failed = failure;
	p->service->data->failures += failure;
	if (failure && !g->retired && g != p->next)
		again = failed(p, served && !faulty);
	tell_end(w, how, failure, again);
	p->kind->died(w, e);
	worker_free(w);
	if (!roll_worker_gone(p, g, failure, how) && failure && !g->retired &&
	    ((g->nready == 0 && !served && !lived) || p->failures > 2))
		service_degrade(p->service, "a worker %s", how);
	pool_balance(p);
}

/* ---- limits that were reached ---- */

static bool begin_replacement(struct pool *p, struct worker *w)
{
	struct generation *g = w->generation;

	service_log(p->service, LOG_LEVEL_INFO,
		    "worker %d has reached %s and is replaced", (int)w->pid,
		    w->due);
	w->leaving = w->replacing = true;
	p->replacing++;
	if (p->service->conf->roll <= 0) {
		worker_leave(w, false);
		return true;
	}
	return pool_start_worker(g, true) == 0;
}

/* Never more than `roll` at a time. */
static void replace_due(struct pool *p)
{
	int64_t roll = p->service->conf->roll;
	uint32_t at_once = roll > 1 ? (uint32_t)roll : 1;
	struct worker *w, *next;

	if (!p->current || p->roll || timer_is_set(&p->retry))
		return;
	TAILQ_FOREACH_SAFE(w, &p->current->workers, entry, next) {
		if (!w->due || w->leaving || worker_leaves(w))
			continue;
		if (p->replacing >= at_once)
			return;
		if (!begin_replacement(p, w))
			return;
	}
}

/* A replacement is ready: the one that it was started for may go. */
static void finish_replacements(struct pool *p)
{
	struct worker *w, *fresh, *next;

	if (!p->current)
		return;
	TAILQ_FOREACH(fresh, &p->current->workers, entry) {
		if (!fresh->replacement || !fresh->ready)
			continue;
		fresh->replacement = false;
		TAILQ_FOREACH_SAFE(w, &p->current->workers, entry, next) {
			if (!w->leaving || worker_leaves(w))
				continue;
			worker_leave(w, false);
			break;
		}
	}
}

static void on_memory(void *arg)
{
	struct pool *p = arg;
	struct generation *g;
	struct worker *w;
	bool wanted = false;

	TAILQ_FOREACH(g, &p->generations, entry) {
		TAILQ_FOREACH(w, &g->workers, entry) {
			wanted |= w->max_memory > 0;
			if (w->max_memory && !w->due && !worker_leaves(w) &&
			    worker_memory(w) > w->max_memory) {
				w->due = "max_memory";
				pool_balance(p);
			}
		}
	}
	if (wanted || p->service->conf->max_memory)
		timer_set(loop_of(p), &p->memory, MEMORY_EVERY_MS, on_memory,
			  p);
}

/* ---- enough ---- */

/* Does nothing where no more may be, or a failure is waited out. */
static uint32_t start_some(struct pool *p, uint32_t want)
{
	struct generation *g = p->current;
	uint32_t started = 0;

	if (timer_is_set(&p->retry) || p->held)
		return 0;
	if (p->failures > 1 && !p->proved)
		want = serving(p, g) == 0 && want ? 1 : 0;
	for (; started < want && started < STARTS_A_ROUND; started++)
		if (pool_start_worker(g, false) < 0)
			return started;
	if (started < want)
		pool_balance(p);
	return started;
}

static uint32_t missing(const struct pool *p)
{
	uint32_t have = pool_serving(p);
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
		timer_cancel(loop_of(p), &p->retry);
		timer_cancel(loop_of(p), &p->grow);
		timer_cancel(loop_of(p), &p->rest);
		TAILQ_FOREACH(g, &p->generations, entry)
			generation_retire(g);
	}
	pool_balance(p);
}

/* ---- the one task ---- */

static void close_finished(struct pool *p)
{
	struct generation *g, *next;

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
	finish_replacements(p);
	replace_due(p);
	start_some(p, missing(p));
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
		on_memory(p);
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

int pool_start(struct pool *p)
{
	struct service *s = p->service;
	int error = 0;

	if (!p->current) {
		if (s->data->generation == 0)
			s->data->generation = 1;
		p->current = generation_open(p, s->data->generation, s->owner,
					     s->conf, &error);
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
		on_memory(p);
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
	while ((g = TAILQ_FIRST(&p->generations))) {
		while (!TAILQ_EMPTY(&g->workers))
			worker_abandon(TAILQ_FIRST(&g->workers));
		generation_close(g);
	}
	timer_cancel(l, &p->retry);
	timer_cancel(l, &p->grow);
	timer_cancel(l, &p->rest);
	timer_cancel(l, &p->memory);
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
