/*
 * pick - which worker gets an arrival; see pick.h.
 *
 * Each way compares two workers that can both take it; the table names them.
 * All of the current generation, of one that is about to take over, and of a
 * stopped roll's are asked; a pool has tens of workers, not thousands.
 */
#include "work/pick.h"

#include <string.h>

#include "work/worker.h"

/* What one choice goes by. */
struct asked {
	uint64_t source;	/* hash of where it comes from */
	uint64_t turn;
};

bool pick_usable(const struct worker *w)
{
	int64_t most = w->generation->conf->worker_connections;

	return w->ready && !worker_leaves(w) && !w->leaving && w->queue &&
	       (int64_t)w->outstanding < (most > 1 ? most : 1);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ (h >> 29);
}

/* An address without its port; a Unix peer by its uid. */
static uint64_t source_of(const struct conn *c)
{
	uint64_t h = 14695981039346656037ull;
	const unsigned char *b;
	size_t n;

	if (!c)
		return h;
	if (c->is_unix)
		return mix(h, c->has_cred ? c->cred.uid : 0);
	if (c->peer.u.sa.sa_family == AF_INET6) {
		b = (const void *)&c->peer.u.in6.sin6_addr;
		n = sizeof(c->peer.u.in6.sin6_addr);
	} else {
		b = (const void *)&c->peer.u.in.sin_addr;
		n = sizeof(c->peer.u.in.sin_addr);
	}
	for (size_t i = 0; i < n; i++)
		h = mix(h, b[i]);
	return h;
}

/* Each: is A better than B? */
static bool by_load(const struct worker *a, const struct worker *b,
		    const struct asked *q)
{
	(void)q;
	return a->outstanding < b->outstanding ||
	       (a->outstanding == b->outstanding &&
		a->last_used < b->last_used);
}

/* Pids that lie next after the last one's. */
static bool by_turn(const struct worker *a, const struct worker *b,
		    const struct asked *q)
{
	bool after_a = (uint64_t)a->pid > q->turn;
	bool after_b = (uint64_t)b->pid > q->turn;

	return after_a != after_b ? after_a : a->pid < b->pid;
}

/* The greatest of the hashes of source and worker: when a worker comes or
 * goes only its own sources change. */
static bool by_source(const struct worker *a, const struct worker *b,
		      const struct asked *q)
{
	return mix(q->source, (uint64_t)a->pid) >
	       mix(q->source, (uint64_t)b->pid);
}

static const struct {
	const char *name;
	bool (*better)(const struct worker *a, const struct worker *b,
		       const struct asked *q);
} ways[] = {
	[PICK_QUEUE] = { "queue", by_load },
	[PICK_LEASTCONN] = { "leastconn", by_load },
	[PICK_ROUNDROBIN] = { "roundrobin", by_turn },
	[PICK_SOURCE] = { "source", by_source },
};

const char *pick_name(enum conf_pick kind)
{
	return ways[kind].name;
}

struct worker *pick_worker(struct pool *p, const struct conn *c,
			   uint64_t turn)
{
	struct generation *all[] = { p->current, p->next, p->beside };
	struct asked q = { .source = source_of(c), .turn = turn };
	enum conf_pick kind = p->service->conf->pick;
	struct worker *w, *best = NULL;

	if (!c && kind == PICK_SOURCE)
		kind = PICK_LEASTCONN;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!all[i])
			continue;
		TAILQ_FOREACH(w, &all[i]->workers, entry)
			if (pick_usable(w) &&
			    (!best || ways[kind].better(w, best, &q)))
				best = w;
	}
	return best;
}
