/*
 * trial - one worker of a changed program, before a reload commits.
 *
 * It lives in a generation of its own, to which nothing is handed on; a
 * worker that shares its doors may accept, as in a roll. Once it is ready the
 * reload may commit, and the roll that follows begins with it. A program that
 * counts as ready as soon as it runs is looked at a moment longer: most that
 * can't live end at once. After a kill its record tells what it is
 * (worker_data's trial), and it is ended.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "work/worker.h"

/* ready = exec: it must live so long. */
#define GRACE_MS 200
/* start_timeout = 0: nobody can reload while a trial goes on. */
#define MOST_MS 30000

struct trying {
	struct generation *g;
	void (*done)(void *arg, int result, const char *why);
	void *arg;
	struct timer timer;	/* the grace; without start_timeout: the end */
};

static struct loop *loop_of(const struct pool *p)
{
	return p->service->u->loop;
}

bool trial_has(const struct worker *w)
{
	const struct pool *p = w->generation->pool;

	return p->trying && p->trying->g == w->generation;
}

/* What was tried goes. Who shares a door may hold a client, and is told; the
 * others hold nothing. */
static void drop(struct pool *p)
{
	struct trying *t = TAKE(p->trying);
	struct generation *g = t->g;
	struct worker *w, *next;

	timer_cancel(loop_of(p), &t->timer);
	free(t);
	generation_retire(g);
	TAILQ_FOREACH_SAFE(w, &g->workers, entry, next)
		if (!g->dialect && w->state != WORKER_KILLED)
			worker_stop(w);
}

static void fail(struct pool *p, const char *why, const char *last_line)
{
	void (*done)(void *arg, int result, const char *why) = p->trying->done;
	void *arg = p->trying->arg;
	char text[512];

	snprintf(text, sizeof(text), "a worker of its new settings %s%s%s",
		 why, last_line ? "; its last line: " : "", last_line ?: "");
	drop(p);
	done(arg, -ECHILD, text);
}

static void on_ready(void *arg)
{
	struct trying *t = arg;

	t->done(t->arg, 0, NULL);
}

void trial_ready(struct worker *w)
{
	struct trying *t = w->generation->pool->trying;
	bool at_once = w->generation->conf->ready.kind == READY_EXEC;

	timer_set(loop_of(w->generation->pool), &t->timer,
		  at_once ? GRACE_MS : 0, on_ready, t);
}

static void on_late(void *arg)
{
	struct pool *p = arg;

	fail(p, "was not ready after 30 s", NULL);
}

/* Who was ready, did its work and ended is well. */
static bool ended_well(const struct worker *w, const struct child_exit *e)
{
	const struct pool_kind *kind = w->generation->pool->kind;

	return w->ready && !w->fault && e->known && !e->signaled &&
	       e->status == 0 && (kind->idlers || w->taken > 0);
}

void trial_ended(struct worker *w, const struct child_exit *e)
{
	struct service *s = w->generation->service;
	struct pool *p = w->generation->pool;
	CLEANUP(freep) char *before = TAKE(s->last_line);
	CLEANUP(freep) char *line = NULL;
	char how[160];
	bool well = ended_well(w, e);

	if (w->fault)
		snprintf(how, sizeof(how), "%s", w->fault);
	else
		child_exit_text(e, how, sizeof(how));
	log_write(LOG_LEVEL_DEBUG,
		  &(struct log_about){ .service = s->name, .pid = w->pid,
				       .event = "worker-exit" },
		  "worker %d, which a reload tried, %s", (int)w->pid, how);
	w->failed = !well;
	s->data->failures += !well;
	p->kind->died(w, e);
	worker_free(w);
	line = TAKE(s->last_line);
	s->last_line = TAKE(before);
	if (!well)
		fail(p, how, line);
	pool_balance(p);
}

int pool_try(struct pool *p, const struct trial *t, char **why)
{
	struct generation *g;
	struct worker *w;
	int r;

	if (p->trying)
		drop(p);
	g = generation_open(p, pool_next_number(p), t->owner, t->conf, &r);
	if (!g) {
		*why = xasprintf("no queue for its workers: %s",
				 strerror(-r));
		return r;
	}
	g->trial = true;
	p->trying = xcalloc(1, sizeof(*p->trying));
	*p->trying = (struct trying){ .g = g, .done = t->done,
					 .arg = t->arg };
	if (t->conf->start_timeout <= 0)
		timer_set(loop_of(p), &p->trying->timer, MOST_MS, on_late, p);
	g->doors = t->doors;
	g->ndoors = t->ndoors;
	r = worker_start(g, &w, why);
	g->doors = NULL;
	if (r < 0) {
		p->service->data->failures++;
		drop(p);
		return r;
	}
	log_write(LOG_LEVEL_DEBUG,
		  &(struct log_about){ .service = p->service->name,
				       .pid = w->pid,
				       .event = "worker-start" },
		  "worker %d started, which a reload tries, generation %u",
		  (int)w->pid, g->number);
	return 0;
}

void pool_untry(struct service *s)
{
	struct pool *p = s->work;

	if (p && p->trying)
		drop(p);
}

struct generation *trial_take(struct pool *p)
{
	struct trying *t = p->trying;
	struct generation *g;
	struct worker *w;

	if (!t || t->g->conf != p->service->conf)
		return NULL;
	if (t->g->number < pool_next_number(p) - 1) {
		drop(p);	/* rolled by hand meanwhile */
		return NULL;
	}
	g = t->g;
	timer_cancel(loop_of(p), &t->timer);
	free(TAKE(p->trying));
	g->trial = false;
	TAILQ_FOREACH(w, &g->workers, entry)
		worker_save(w);
	return g;
}
