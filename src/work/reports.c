/*
 * reports - avail, taken ID, done ID: what workers of `pass` say.
 *
 * Gossip: a pid that is none of the pool's, a number that nobody was handed,
 * a `done` by who does not hold it are counted and have no other effect.
 */
#include <errno.h>
#include <stdio.h>

#include "work/pass.h"
#include "work/worker.h"

static void gossip(struct pool *p)
{
	p->service->data->gossip++;
}

int64_t reports_idle(const struct pool *p)
{
	const struct worker *w;
	int64_t n = 0;

	if (!pass_of(p)->held || !p->current)
		return -1;
	TAILQ_FOREACH(w, &p->current->workers, entry)
		n += w->state == WORKER_IDLE;
	return n;
}

void reports_hand(struct pool *p, const struct conn *c, struct run *r,
		  struct worker *w)
{
	struct held_table *t = pass_of(p)->held;
	struct held *h;

	if (!t)
		return;
	h = held_add(t, r ? r->id : c->cookie);
	h->worker = w;
	h->run = r;
	h->handed_us = loop_us();
	if (c)
		h->end = (struct conn_end){
			.cookie = c->cookie, .source = c->source,
			.accepted_us = c->accepted_us, .peer = c->peer,
			.up = -1, .down = -1, .ended = true,
		};
}

static void conn_ended(struct pool *p, struct held *h, pid_t pid)
{
	h->end.worker = pid;
	arrival_end(p->service, &h->end);
}

static bool is_full(const struct worker *w)
{
	int64_t most = w->generation->conf->worker_connections;

	return w->holds >= (most > 1 ? (uint64_t)most : 1);
}

static void taken(struct worker *w, uint64_t id)
{
	struct pool *p = w->generation->pool;
	struct held *h = held_find(pass_of(p)->held, id);

	if (!h && !w->generation->adopted) {
		gossip(p);
		return;
	}
	if (h && (h->taken || (h->worker && h->worker != w))) {
		gossip(p);
		return;
	}
	if (h) {
		h->taken = true;
		h->worker = w;
		stats_add(&p->service->data->to_taken,
			  (uint64_t)(loop_us() - h->handed_us));
	}
	timer_cancel(p->service->u->loop, &w->stuck);
	w->taken++;
	w->holds++;
	if (is_full(w))
		worker_is_busy(w);
	w->last_used = loop_now(p->service->u->loop);
	worker_save(w);
}

static void done(struct worker *w, uint64_t id)
{
	struct pool *p = w->generation->pool;
	struct held_table *t = pass_of(p)->held;
	struct held *h = held_find(t, id);

	if (h ? !h->taken || h->worker != w
	      : !w->generation->adopted || w->holds == 0) {
		gossip(p);
		return;
	}
	w->done++;
	w->holds--;
	if (w->outstanding)
		w->outstanding--;
	w->last_used = loop_now(p->service->u->loop);
	if (h) {
		struct run *r = h->run;

		if (!r)
			conn_ended(p, h, w->pid);
		held_remove(t, h);
		if (r)
			r->done(r, 0, "done");
	}
	if (!is_full(w))
		worker_is_idle(w);
	worker_save(w);
	pass_unspill(p);
	if (w->queue)
		pass_room(p);
}

void reports_said(void *arg, pid_t pid, enum queue_word word, uint64_t id)
{
	struct generation *g = arg;
	struct worker *w = worker_by_pid(g, pid);

	if (!w || word == QUEUE_GOSSIP)
		gossip(g->pool);
	else if (word == QUEUE_AVAIL)
		worker_is_idle(w);
	else if (word == QUEUE_TAKEN)
		taken(w, id);
	else
		done(w, id);
}

struct death {
	struct worker *w;
	const struct child_exit *e;
};

static void lose(void *arg, struct held *h)
{
	const struct death *d = arg;
	struct pool *p = d->w->generation->pool;
	struct run *r = h->run;
	char how[96];
	int status = -1;

	if (h->worker != d->w)
		return;
	if (!h->taken) {	/* it was in its queue, and goes elsewhere */
		h->worker = NULL;
		return;
	}
	if (!r) {
		conn_ended(p, h, d->w->pid);
		held_remove(pass_of(p)->held, h);
		return;
	}
	if (d->e->known)
		status = d->e->signaled ? 128 + d->e->status
		       : d->e->status ? d->e->status : 1;
	child_exit_text(d->e, how, sizeof(how));
	held_remove(pass_of(p)->held, h);
	r->done(r, status, how);
}

void reports_died(struct worker *w, const struct child_exit *e)
{
	struct death d = { w, e };
	struct held_table *t = pass_of(w->generation->pool)->held;

	if (t)
		held_each(t, lose, &d);
}

static void drop(void *arg, struct held *h)
{
	struct pool *p = arg;
	struct run *r = h->run;

	if (!r)
		conn_ended(p, h, h->worker ? h->worker->pid : 0);
	held_remove(pass_of(p)->held, h);
	if (r)
		r->done(r, -1, "usher ended its worker");
}

void reports_drop(struct pool *p)
{
	if (pass_of(p)->held)
		held_each(pass_of(p)->held, drop, p);
}

/* ---- for status ---- */

struct telling {
	conn_info_fn *fn;
	void *arg;
};

static void tell(void *arg, struct held *h)
{
	const struct telling *t = arg;
	struct conn_info i = {
		.cookie = h->id, .peer = &h->end.peer,
		.age_ms = (loop_us() - h->end.accepted_us) / 1000,
		.worker = h->worker ? h->worker->pid : 0,
		.up = -1, .down = -1,
		.state = h->taken ? "open" : "queued",
	};

	if (!h->run)
		t->fn(t->arg, &i);
}

void reports_conns(const struct service *s, conn_info_fn *fn, void *arg)
{
	struct telling t = { fn, arg };
	const struct pool *p = s->work;

	if (p && pass_of(p)->held)
		held_each(pass_of(p)->held, tell, &t);
}

int reports_kill_conn(struct service *s, uint64_t cookie, pid_t *holder)
{
	const struct pool *p = s->work;
	struct held *h = p && pass_of(p)->held
		? held_find(pass_of(p)->held, cookie) : NULL;

	if (!h || h->run)
		return -ENOENT;
	*holder = h->worker ? h->worker->pid : 0;
	return -EOPNOTSUPP;
}
