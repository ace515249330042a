/*
 * pool_replace - workers that reached max_requests, max_age or max_memory.
 *
 * First another is started, then the old one is told to go; never more than
 * `roll` at a time.
 */
#include "work/pool.h"

#include "work/worker.h"

#define MEMORY_EVERY_MS 2000

static struct loop *loop_of(const struct pool *p)
{
	return p->service->u->loop;
}

/* Who was to be replaced is as before: its limit brings it up anew. */
static void take_back(struct pool *p, struct worker *w)
{
	w->leaving = w->replacing = false;
	if (p->replacing)
		p->replacing--;
}

void pool_replacement_lost(struct pool *p)
{
	struct worker *w;

	if (!p->current)
		return;
	TAILQ_FOREACH(w, &p->current->workers, entry)
		if (w->replacing && !worker_leaves(w)) {
			take_back(p, w);
			return;
		}
}

static bool begin_replacement(struct pool *p, struct worker *w)
{
	struct generation *g = w->generation;

	w->leaving = w->replacing = true;
	p->replacing++;
	if (p->service->conf->roll > 0 && pool_start_worker(g, true) < 0) {
		take_back(p, w);
		return false;
	}
	service_log(p->service, LOG_LEVEL_INFO,
		    "worker %d has reached %s and is replaced", (int)w->pid,
		    w->due);
	if (p->service->conf->roll <= 0)
		worker_leave(w, false);
	return true;
}

/* Never more than `roll` at a time. */
void pool_replace_due(struct pool *p)
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
void pool_finish_replacements(struct pool *p)
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

void pool_watch_memory(struct pool *p)
{
	on_memory(p);
}
