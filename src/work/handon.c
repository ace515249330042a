/*
 * handon - where an arrival goes, and what is due when it has gone.
 *
 * To the shared queue of a generation, or to a worker's own as `pick` says;
 * in a roll to the old and the new by turns. Who calls has the message and
 * the descriptors (work/pass, work/batch).
 */
#include <errno.h>

#include "work/pass.h"
#include "work/pick.h"
#include "work/roll.h"
#include "work/worker.h"

static struct loop *loop_of(const struct pool *p)
{
	return p->service->u->loop;
}

static void on_stuck(void *arg)
{
	struct worker *w = arg;

	if (w->queue && queue_count(w->queue) > 0)
		worker_fault(w, "does not read its queue");
}

/* The end that a queue's workers share is what one of them has shut down. */
static void shut_down(struct generation *g, struct worker *w)
{
	if (w)
		worker_fault(w, "has called shutdown(2) on its queue");
	else
		service_degrade(g->service, "a worker has called shutdown(2) "
				"on the queue that all share, so nothing can "
				"be handed on; a worker that leaves closes "
				"it, and 'usher roll %s' makes another",
				g->service->name);
}

int pass_hand(const struct target *t, const struct message *m, const int *fds,
	      int n, uint32_t count)
{
	struct worker *w = t->w;
	struct generation *g = t->g;
	int r = queue_send(t->q, m->buf, m->len, fds, n);

	if (r == -EPIPE)
		shut_down(g, w);
	if (r < 0)
		return r;
	g->handed += count;
	if (w) {
		pass_of(g->pool)->turn = (uint64_t)w->pid;
		w->outstanding += count;
		if (!timer_is_set(&w->stuck) && g->conf->start_timeout > 0)
			timer_set(loop_of(g->pool), &w->stuck,
				  g->conf->start_timeout, on_stuck, w);
	}
	return 0;
}

void pass_want_workers(struct pool *p, struct generation *g)
{
	if (g->nworkers == g->nleaving)
		pool_need(p, 1);
	else
		pool_wanted(p);
}

static bool aim_at_queue(struct generation *g, struct target *t)
{
	if (!g || !g->queue || !queue_room(g->queue))
		return false;
	*t = (struct target){ .g = g, .q = g->queue };
	return true;
}

static bool aim_at_worker(struct pool *p, const struct conn *c,
			  struct target *t)
{
	struct worker *w = pick_worker(p, c, pass_of(p)->turn);

	if (!w)
		return false;
	*t = (struct target){ w->generation, w, w->queue };
	return true;
}

/* In a roll one generation may have a queue and the other not. */
bool pass_aim(struct pool *p, const struct conn *c, struct target *t)
{
	struct generation *g = p->roll ? roll_share(p) : p->current;

	if (!g)
		return false;
	if (g->queue ? aim_at_queue(g, t) : aim_at_worker(p, c, t))
		return true;
	return (g != p->current && aim_at_queue(p->current, t)) ||
	       (g->queue && p->roll && aim_at_worker(p, c, t));
}

void pass_room(struct pool *p)
{
	struct pass *pass = pass_of(p);

	if (!pass->asked)
		return;
	pass->asked = false;
	service_room(p->service);
}

bool pass_no_room(struct pool *p)
{
	pass_of(p)->asked = true;
	if (p->current && !p->held)
		pass_want_workers(p, p->current);
	return false;
}

struct message_load pass_load(struct pool *p, struct queue *q)
{
	return (struct message_load){ .queued = queue_about(q),
				      .idle = reports_idle(p) };
}

void pass_gone_on(struct pool *p, const struct conn *c, struct held *h)
{
	struct service *s = p->service;

	if (!c->returned) {
		s->data->served++;
		stats_add(&s->data->to_handoff,
			  (uint64_t)(loop_us() - c->accepted_us));
	}
	if (!h) {
		struct conn_end e = {
			.cookie = c->cookie, .source = c->source,
			.accepted_us = c->accepted_us, .peer = c->peer,
			.up = -1, .down = -1,
		};

		arrival_end(s, &e);
	}
}
