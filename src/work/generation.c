/*
 * generation - settings, queue or channels, and the workers that live under
 * them: opened, told to leave, closed; see pool.h.
 */
#include "work/pool.h"

#include "work/worker.h"

struct generation *pool_generation(struct pool *p, uint32_t number)
{
	struct generation *g;

	TAILQ_FOREACH(g, &p->generations, entry)
		if (g->number == number)
			return g;
	return NULL;
}

uint32_t pool_next_number(const struct pool *p)
{
	const struct generation *newest = TAILQ_FIRST(&p->generations);
	uint32_t n = p->service->data->generation;

	return (newest && newest->number > n ? newest->number : n) + 1;
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

/* A generation that lives long would hold every configuration that was in
 * force when it began. */
void pool_same(struct service *s, const struct conf_service *old)
{
	struct pool *p = s->work;
	struct generation *g;

	if (!p)
		return;
	TAILQ_FOREACH(g, &p->generations, entry) {
		struct conf *was = g->owner;

		if (g->conf != old)
			continue;
		g->owner = conf_ref(s->owner);
		g->conf = s->conf;
		conf_unref(&was);
	}
}

void pool_serves(struct pool *p, struct generation *g)
{
	p->current = g;
	if (g)
		p->service->data->serving = g->number;
}

void generation_close(struct generation *g)
{
	struct pool *p = g->pool;

	if (p->current == g)
		p->current = NULL;
	if (p->next == g)
		p->next = NULL;
	if (p->beside == g)
		p->beside = NULL;
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
		g->retired_at = loop_now(p->service->u->loop);
		told = p->kind->leave && p->kind->leave(g);
		TAILQ_FOREACH_SAFE(w, &g->workers, entry, next)
			worker_leave(w, told);
	}
	pool_balance(p);
}
