/*
 * pool_failures - a worker has started, is ready, has ended: what that means.
 *
 * Failures in a row make the next start wait twice as long each time, and
 * are told once. Who ends with status 0 after work, or after a while, is
 * replaced at once.
 */
#include "work/pool.h"

#include <stdio.h>

#include "work/roll.h"
#include "work/worker.h"

/* Who lived so long after it was ready was no failure at once. */
#define PROVED_MS  1000
#define HEALTHY_MS 10000

static struct loop *loop_of(const struct pool *p)
{
	return p->service->u->loop;
}

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

/* Those who are there prove it anew, or nobody would be started beside them
 * ever again. */
void pool_prove(struct pool *p)
{
	const struct generation *g = p->current;

	if (g && g->nready > g->nleaving && !p->proved &&
	    !timer_is_set(&p->healthy))
		timer_set(loop_of(p), &p->healthy, PROVED_MS, on_healthy, p);
}

static void on_retry(void *arg)
{
	struct pool *p = arg;

	pool_prove(p);
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

	if (trial_has(w)) {
		trial_ready(w);
		return;
	}
	if (g == p->current) {
		if (p->service->starting) {
			p->service->starting = false;
			service_changed(p->service);
		}
		pool_prove(p);
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
	if (w->generation != p->current)
		return;		/* counted anew at the roll */
	if (w->replacing && p->replacing)
		p->replacing--;
	if (w->replacement)
		pool_replacement_lost(p);
}

static void ended(struct worker *w, const struct child_exit *e)
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

void pool_worker_ended(struct worker *w, const struct child_exit *e)
{
	if (trial_has(w))
		trial_ended(w, e);
	else
		ended(w, e);
}
