/*
 * reports - avail, taken ID, done ID: what workers of `pass` say.
 *
 * Gossip: a pid that is none of the pool's, a number that nobody was handed,
 * a `done` by who does not hold it are counted and have no other effect.
 *
 * What becomes of what nobody will say a word about is reports_lost's.
 */
#include <errno.h>
#include <stdio.h>

#include "inlet/admit.h"
#include "inlet/packed.h"
#include "work/pass.h"
#include "work/worker.h"

/* So many in that time without a word: they don't report. */
#define MUTE_MANY 16

/* RECORD_CONN's data with CONN_HANDED; its id is the arrival's. */
struct handed_data {
	int64_t accepted_us, handed_us;
	int32_t pid;		/* who shall take it, or took it; 0 */
	uint32_t taken, is_run;
	uint32_t pad;
	struct packed peer;
};

static void gossip(struct pool *p)
{
	p->service->data->gossip++;
}

int64_t reports_idle(const struct pool *p)
{
	const struct worker *w;
	int64_t n = 0;

	if (!p->current || !p->current->conf->reports)
		return -1;
	TAILQ_FOREACH(w, &p->current->workers, entry)
		n += w->state == WORKER_IDLE;
	return n;
}

struct held *reports_find(const struct pool *p, uint64_t id)
{
	struct held_table *t = pass_of(p)->held;

	return t ? held_find(t, id) : NULL;
}

static struct held *add(struct pool *p, uint64_t id)
{
	struct pass *pass = pass_of(p);

	if (!pass->held)
		pass->held = held_new();
	return held_add(pass->held, id);
}

void reports_forget(struct pool *p, struct held *h)
{
	record_close(h->record);
	held_remove(pass_of(p)->held, h);
}

/* What changes, into its record. */
static void save(const struct held *h)
{
	struct handed_data *d;

	if (h->record < 0)
		return;
	d = RECORD_AS(h->record, struct handed_data);
	d->pid = h->worker ? h->worker->pid : 0;
	d->taken = h->taken;
}

static void make_record(const struct pool *p, struct held *h,
			const struct conn *c)
{
	struct handed_data *d;

	h->record = record_new(RECORD_CONN, p->service->slot, CONN_HANDED);
	if (h->record < 0)	/* it is not known after a kill, then */
		return;
	d = RECORD_AS(h->record, struct handed_data);
	d->handed_us = h->handed_us;
	d->is_run = h->is_run;
	if (c) {
		d->accepted_us = c->accepted_us;
		packed_peer(&d->peer, c);
	}
	record_at(h->record)->id = h->id;
	save(h);
	record_commit(h->record);
}

/* Workers that take and never say so: what is in flight would only grow. What
 * lies in a queue is nobody's silence. */
static void listen_for_words(struct pool *p, const struct generation *g)
{
	struct pass *pass = pass_of(p);
	uint64_t waiting = g->queue ? queue_count(g->queue) : 0;

	if (pass->mute++ == 0)
		pass->mute_us = loop_us();
	if (pass->mute_told || pass->mute < MUTE_MANY + waiting ||
	    loop_us() - pass->mute_us < REPORTS_LOST_MS * 1000)
		return;
	pass->mute_told = true;
	service_log(p->service, LOG_LEVEL_WARNING,
		    "%llu hand-offs were taken without a word: with reports = "
		    "yes a worker says taken ID and done ID "
		    "(usher-worker(7)); without them all count as in flight",
		    (unsigned long long)(pass->mute - waiting));
}

struct held *reports_hand(struct pool *p, const struct conn *c, struct run *r,
			  const struct target *t)
{
	uint64_t id = r ? r->id : c->cookie;
	struct held *h;

	if (!t->g->conf->reports)
		return NULL;
	h = reports_find(p, id);
	if (h) {		/* it came back */
		if (c && !c->returned)
			admit_leave(p->service, c->source);
		h->worker = t->w;
		h->handed_us = loop_us();
		save(h);
		return h;
	}
	h = add(p, id);
	listen_for_words(p, t->g);
	h->worker = t->w;
	h->is_run = r != NULL;
	h->run = r;
	h->handed_us = loop_us();
	if (c)
		h->end = (struct conn_end){
			.cookie = c->cookie, .source = c->source,
			.accepted_us = c->accepted_us, .peer = c->peer,
			.up = -1, .down = -1, .ended = true,
		};
	make_record(p, h, c);
	return h;
}

void reports_cancel(struct pool *p, struct held *h, const struct conn *c)
{
	if (!h)
		return;
	if (c && c->returned) {
		h->worker = NULL;
		save(h);
	} else {
		reports_forget(p, h);
	}
}

void reports_back(struct pool *p, struct held *h)
{
	(void)p;
	if (h->worker && h->taken && h->worker->holds)
		h->worker->holds--;
	if (h->worker && h->worker->outstanding)
		h->worker->outstanding--;
	h->worker = NULL;
	h->taken = false;
	save(h);
}

static bool is_full(const struct worker *w)
{
	int64_t most = w->generation->conf->worker_connections;

	return w->holds >= (most > 1 ? (uint64_t)most : 1);
}

static void taken(struct worker *w, uint64_t id)
{
	struct pool *p = w->generation->pool;
	struct held *h = reports_find(p, id);

	if (!h || h->taken || (h->worker && h->worker != w)) {
		gossip(p);
		return;
	}
	h->taken = true;
	h->worker = w;
	save(h);
	pass_of(p)->mute = 0;
	stats_add(&p->service->data->to_taken,
		  (uint64_t)(loop_us() - h->handed_us));
	timer_cancel(p->service->u->loop, &w->stuck);
	w->taken++;
	w->holds++;
	if (is_full(w))
		worker_is_busy(w);
	w->last_used = loop_now(p->service->u->loop);
	worker_save(w);
}

/* A run whose trigger is not there yet (a take-over) is told then. */
static void run_done(struct pool *p, struct held *h)
{
	struct run *r = h->run;

	if (!r) {
		h->finished = true;
		h->worker = NULL;
		return;
	}
	reports_forget(p, h);
	r->done(r, 0, "done");
}

/* What only a process of relay_workers can tell of a connection. */
static void relayed(struct pool *p, struct held *h,
		    const struct queue_report *said)
{
	struct service *s = p->service;

	if (s->conf->handler != HANDLER_RELAY)
		return;
	h->end.refused = said->word == QUEUE_REFUSED;
	h->end.up = said->up;
	h->end.down = said->down;
	if (said->up >= 0) {
		s->data->bytes_up += (uint64_t)said->up;
		s->data->bytes_down += (uint64_t)said->down;
	}
	s->data->served -= h->end.refused;
}

static void done(struct worker *w, const struct queue_report *said)
{
	struct pool *p = w->generation->pool;
	struct held *h = reports_find(p, said->id);

	if (!h || !h->taken || h->worker != w) {
		gossip(p);
		return;
	}
	w->done++;
	w->holds--;
	if (w->outstanding)
		w->outstanding--;
	w->last_used = loop_now(p->service->u->loop);
	if (h->is_run) {
		run_done(p, h);
	} else {
		relayed(p, h, said);
		reports_ended(p, h, w->pid);
		reports_forget(p, h);
	}
	if (!is_full(w))
		worker_is_idle(w);
	worker_save(w);
	if (w->queue)
		pass_room(p);
}

void reports_said(void *arg, pid_t pid, const struct queue_report *said)
{
	struct generation *g = arg;
	struct worker *w = worker_by_pid(g, pid);

	if (!w || said->word == QUEUE_GOSSIP)
		gossip(g->pool);
	else if (said->word == QUEUE_AVAIL)
		worker_is_idle(w);
	else if (said->word == QUEUE_TAKEN)
		taken(w, said->id);
	else
		done(w, said);
}

/* ---- after a take-over ---- */

static struct worker *find_worker(const struct pool *p, pid_t pid)
{
	struct generation *g;
	struct worker *w = NULL;

	TAILQ_FOREACH(g, &p->generations, entry)
		if (!w)
			w = worker_by_pid(g, pid);
	return w;
}

static void adopt_one(struct pool *p, int record)
{
	const struct handed_data *d = RECORD_AS(record, struct handed_data);
	struct held *h = add(p, record_at(record)->id);
	struct conn c = { .accepted_us = d->accepted_us };

	h->record = record;
	h->is_run = d->is_run != 0;
	h->handed_us = d->handed_us;
	h->worker = d->pid > 0 ? find_worker(p, d->pid) : NULL;
	h->taken = d->taken && h->worker;
	if (h->worker) {
		h->worker->holds += h->taken;
		h->worker->outstanding += h->worker->queue != NULL;
	}
	if (h->is_run)
		return;
	packed_to_peer(&d->peer, &c);
	admit_enter(p->service, &c);
	h->end = (struct conn_end){
		.cookie = h->id, .source = c.source,
		.accepted_us = c.accepted_us, .peer = c.peer,
		.up = -1, .down = -1, .ended = true,
	};
}

void reports_adopt(struct pool *p)
{
	struct generation *g;
	struct worker *w;

	TAILQ_FOREACH(g, &p->generations, entry)
		TAILQ_FOREACH(w, &g->workers, entry)
			w->holds = w->outstanding = 0;
	for (size_t i = 0; i < p->nfound; i++) {
		int record = p->found[i];

		if (record < 0 || record_at(record)->kind != RECORD_CONN ||
		    record_at(record)->arg != CONN_HANDED ||
		    reports_find(p, record_at(record)->id))
			continue;
		p->found[i] = -1;
		adopt_one(p, record);
	}
	if (pass_of(p)->held)
		reports_sweep(p);
}

int reports_attach(struct pool *p, struct run *r)
{
	struct held *h = reports_find(p, r->id);

	if (!h || !h->is_run || h->run)
		return -ENOENT;
	h->run = r;
	if (h->finished)
		run_done(p, h);
	return 0;
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

	if (!h->is_run)
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
	struct held *h = p ? reports_find(p, cookie) : NULL;

	if (!h || h->is_run)
		return -ENOENT;
	*holder = h->worker ? h->worker->pid : 0;
	return -EOPNOTSUPP;
}
