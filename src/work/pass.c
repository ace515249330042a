/*
 * pass - arrivals reach pre-started workers as descriptors (handoff = pass).
 *
 * One shared queue for a generation (pick = queue), or one for each worker.
 * A connection costs here: its words, one sendmsg, one close. Nothing waits in
 * here: it is in a queue, in the kernel, or in the state (work/back).
 */
#include "work/pass.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/net.h"
#include "work/roll.h"
#include "work/worker.h"

/* Room for the words about a connection; longer ones don't exist. */
#define WORDS 2048

static struct loop *loop_of(const struct pool *p)
{
	return p->service->u->loop;
}

/* ---- queues ---- */

static void on_room(void *arg)
{
	struct generation *g = arg;

	pass_room(g->pool);
}

static const struct queue_events queue_events = {
	.room = on_room,
	.said = reports_said,
};

static struct queue_options options_of(const struct generation *g,
				       bool shared)
{
	const struct conf_service *c = g->conf;
	int64_t limit = shared ? c->queue_limit : c->worker_connections;
	struct queue_options o = { .generation = g->number,
				   .reports = c->reports };

	if (limit <= 0)
		limit = shared ? c->workers.max : 1;
	o.limit = (uint32_t)limit;
	if (c->batch > 1)
		o.largest = QUEUE_MESSAGE;
	else if (c->trigger.n || c->every)
		o.largest = (uint32_t)(c->trigger_max * 2 + WORDS);
	if (o.largest > QUEUE_MESSAGE)
		o.largest = QUEUE_MESSAGE;
	return o;
}

static int pass_open(struct generation *g)
{
	struct queue_options o = options_of(g, true);
	int index, r;

	if (g->conf->pick != PICK_QUEUE)
		return 0;
	index = pool_claim(g->pool, RECORD_QUEUE, g->number, 0);
	if (index < 0)
		return queue_open(g->service, &o, &queue_events, g, &g->queue);
	r = queue_hang(g->service, index, &o, &queue_events, g, &g->queue);
	if (r < 0) {
		record_close(index);
		return r;
	}
	g->retired = queue_is_shut(g->queue);
	return 0;
}

static int pass_prepare(struct worker *w, struct launch *l)
{
	struct generation *g = w->generation;
	struct queue_options o = options_of(g, false);
	int r;

	if (!g->queue) {
		o.pid = UINT32_MAX;	/* not a shared one; known later */
		r = queue_open(g->service, &o, &queue_events, g, &w->queue);
		if (r < 0)
			return r;
	}
	launch_fd(l, queue_worker_end(g->queue ? g->queue : w->queue), 3);
	launch_env(l, "USHER_FD=3");
	return 0;
}

/* How many arrivals have left G's queue. */
static uint64_t has_left(const struct generation *g)
{
	uint64_t waiting = g->queue ? queue_count(g->queue) : 0;

	return g->handed > waiting ? g->handed - waiting : 0;
}

static void pass_started(struct worker *w)
{
	w->handed = has_left(w->generation);
	if (w->queue)
		queue_set_pid(w->queue, w->pid);
}

/* What waited at its start may have been its to take. */
static bool pass_served(struct worker *w)
{
	return w->taken > 0 || has_left(w->generation) > w->handed;
}

static void pass_adopted(struct worker *w)
{
	struct generation *g = w->generation;
	struct queue_options o = options_of(g, false);
	int index = pool_claim(g->pool, RECORD_QUEUE, g->number,
			       (uint64_t)w->pid);

	if (index >= 0 &&
	    queue_hang(g->service, index, &o, &queue_events, g, &w->queue) < 0)
		record_close(index);
	worker_save(w);
}

/* ---- an arrival ---- */

static bool pass_has_room(struct service *s)
{
	struct pool *p = s->work;
	struct pass *pass = p ? pass_of(p) : NULL;
	struct target t;

	if (!p || !p->current)
		return false;
	if (p->held || (timer_is_set(&p->retry) &&
			p->current->nworkers == p->current->nleaving))
		return pass_no_room(p);
	if (pass->npending) {
		if (p->current->queue &&
		    queue_left(p->current->queue, pass->npending + 1) >
			    pass->npending)
			return true;
		batch_flush(p);
	}
	return pass_aim(p, NULL, &t) || pass_no_room(p);
}

static int pass_arrive(struct service *s, struct conn *c)
{
	struct pool *p = s->work;
	struct message_load load;
	char words[WORDS];
	struct message m = { .buf = words, .room = sizeof(words) };
	struct target t;
	struct held *h;

	if (!p || p->held || !pass_aim(p, c, &t)) {
		if (p)
			pass_no_room(p);
		return -EAGAIN;
	}
	/* What waited before has its record until it is on its way. */
	if (batch_size(t.g) > 1 && !c->kept) {
		batch_collect(p, c);
		return 0;
	}
	load = pass_load(p, t.q);
	message_connection(&m, s, t.g->number, c, &load);
	h = reports_hand(p, c, NULL, &t);
	FAULT("pass-hand");
	if (pass_hand(&t, &m, &c->fd, 1, 1) < 0) {
		reports_cancel(p, h, c);
		pass_no_room(p);
		return -EAGAIN;
	}
	FAULT("pass-handed");
	close(c->fd);
	pass_gone_on(p, c, h);
	pass_want_workers(p, t.g);
	return 0;
}

static int pass_run(struct service *s, struct run *r)
{
	struct pool *p = s->work;
	CLEANUP(freep) char *buf = xmalloc(QUEUE_MESSAGE);
	struct message m = { .buf = buf, .room = QUEUE_MESSAGE };
	struct message_load load;
	struct target t;
	struct held *h;

	if (pass_of(p)->npending)
		batch_flush(p);
	if (p->held || !pass_aim(p, NULL, &t)) {
		pass_no_room(p);
		return -EAGAIN;
	}
	load = pass_load(p, t.q);
	if (!message_trigger(&m, s, t.g->number, r, &load)) {
		r->done(r, 126, "its message is too long to be handed on");
		return 0;
	}
	h = reports_hand(p, NULL, r, &t);
	if (pass_hand(&t, &m, NULL, 0, 1) < 0) {
		reports_cancel(p, h, NULL);
		pass_no_room(p);
		return -EAGAIN;
	}
	s->data->served++;
	pass_want_workers(p, t.g);
	if (!h)
		r->done(r, -1, "handed on");
	return 0;
}

static int pass_attach(struct service *s, struct run *r)
{
	return s->work ? reports_attach(s->work, r) : -ENOENT;
}

/* ---- what no worker has taken ---- */

static void pass_move(struct generation *old, struct generation *new)
{
	(void)new;
	if (old->queue)
		back_take(old->pool, old->queue);
}

static void pass_died(struct worker *w, const struct child_exit *e)
{
	struct generation *g = w->generation;
	struct queue *q = w->queue ? w->queue : g->queue;

	if (q)
		queue_listen(q);
	if (w->queue)
		back_take(g->pool, w->queue);
	reports_died(w, e);
}

/* After a take-over: what waits in queues waits for its turn anew, and what
 * is in nobody's hands and in no queue is found out. */
static void pass_hung(struct pool *p)
{
	struct generation *g;
	struct worker *w;

	reports_adopt(p);
	TAILQ_FOREACH(g, &p->generations, entry) {
		if (g->queue)
			back_take(p, g->queue);
		TAILQ_FOREACH(w, &g->workers, entry)
			if (w->queue)
				back_take(p, w->queue);
	}
}

/* ---- told to go ---- */

static bool pass_leave(struct generation *g)
{
	if (!g->queue)
		return false;
	queue_shut(g->queue);
	return true;
}

/* What it has not taken yet goes elsewhere, where there is an elsewhere. */
static bool pass_leave_one(struct worker *w)
{
	struct pool *p = w->generation->pool;

	if (!w->queue)
		return false;
	if (!p->stopping)
		back_take(p, w->queue);
	queue_shut(w->queue);
	return true;
}

static bool pass_farewell(struct generation *g)
{
	return g->queue && queue_farewell(g->queue) == 0;
}

static void pass_close(struct generation *g)
{
	struct pool *p = g->pool;

	if (g->queue && p->current && p->current != g)
		back_take(p, g->queue);
	queue_close(&g->queue);
}

static void pass_usable(struct worker *w)
{
	pass_room(w->generation->pool);
}

/* ---- how much there is ---- */

static uint32_t at_doors(const struct service *s)
{
	struct endpoint *ep;
	struct net_queue depth;
	uint32_t n = 0;

	TAILQ_FOREACH(ep, &s->endpoints, entry)
		if (ep->use == USE_LISTEN && ep->record >= 0 &&
		    net_queue(record_at(ep->record)->fd[0], &depth) == 0)
			n += depth.depth;
	return n;
}

static uint32_t in_queues(struct pool *p, struct generation *g)
{
	const struct worker *w;
	uint32_t n = 0;

	if (g->queue) {
		n = queue_count(g->queue);
		if (g == p->current)
			n -= p->farewells < n ? p->farewells : n;
		return n;
	}
	TAILQ_FOREACH(w, &g->workers, entry)
		if (w->queue)
			n += queue_count(w->queue);
	return n;
}

/* What a worker's own queue holds waits for that worker alone. */
static uint32_t pass_waiting(struct generation *g)
{
	struct pool *p = g->pool;
	uint32_t n = g->queue ? in_queues(p, g) : 0;

	if (g != p->current)
		return n;
	n += arrival_waiting(p->service);
	return pass_of(p)->asked ? n + at_doors(p->service) : n;
}

static uint32_t pass_queued(const struct service *s)
{
	struct pool *p = s->work;
	struct generation *g;
	uint32_t n = 0;

	if (!p)
		return 0;
	TAILQ_FOREACH(g, &p->generations, entry)
		n += in_queues(p, g);
	return n + pass_of(p)->npending;
}

static uint32_t pass_busy(const struct service *s)
{
	struct pool *p = s->work;
	struct held_table *t = p ? pass_of(p)->held : NULL;

	return t ? held_count(t) : pass_queued(s);
}

/* ---- life ---- */

static const struct pool_kind pass_kind = {
	.name = "pass",
	.open = pass_open,
	.close = pass_close,
	.prepare = pass_prepare,
	.started = pass_started,
	.served = pass_served,
	.adopted = pass_adopted,
	.hung = pass_hung,
	.usable = pass_usable,
	.died = pass_died,
	.leave = pass_leave,
	.leave_one = pass_leave_one,
	.farewell = pass_farewell,
	.move = pass_move,
	.waiting = pass_waiting,
};

static struct pool *pass_pool(struct service *s)
{
	struct pool *p = s->work;
	struct pass *pass;

	if (p)
		return p;
	p = pool_new(s, &pass_kind);
	pass = xcalloc(1, sizeof(*pass));
	pass->p = p;
	p->own = pass;
	return p;
}

static int pass_start(struct service *s)
{
	struct pool *p = pass_pool(s);

	pool_take_over(p);
	return pool_start(p);
}

static int pass_adopt(struct service *s, int index)
{
	return pool_found(pass_pool(s), index);
}

static int pass_try(struct service *s, const struct trial *t,
		    char **why)
{
	return pool_try(pass_pool(s), t, why);
}

static int pass_roll(struct service *s, roll_done *done, void *arg)
{
	return s->work ? roll_begin(s->work, done, arg) : -EOPNOTSUPP;
}

/* Settings that act at once are the current generation's too. */
static void pass_changed(struct service *s, const struct conf_service *old,
			 unsigned bits)
{
	struct pool *p = s->work;

	(void)old;
	if (!p)
		return;
	pool_settings(p, bits);
	if (p->current && p->current->queue)
		queue_set_limit(p->current->queue,
				options_of(p->current, true).limit);
}

static int pass_scale(struct service *s)
{
	return s->work ? pool_scale(s->work) : 0;
}

static void pass_stop(struct service *s, bool now)
{
	struct pool *p = pass_pool(s);

	if (pass_of(p)->npending)
		batch_flush(p);
	pool_stop(p, now);
}

static void pass_end(struct service *s)
{
	struct pool *p = s->work;
	struct pass *pass;

	if (!p)
		return;
	pass = pass_of(p);
	reports_drop(p);
	batch_end(p);
	timer_cancel(loop_of(p), &pass->sweep);
	pool_free(&p);
	held_free(&pass->held);
	free(pass);
}

const struct handler handler_pass = {
	.name = "pass",
	.start = pass_start,
	.room = pass_has_room,
	.arrive = pass_arrive,
	.run = pass_run,
	.attach = pass_attach,
	.changed = pass_changed,
	.prepare = pass_try,
	.unprepare = pool_untry,
	.same = pool_same,
	.roll = pass_roll,
	.scale = pass_scale,
	.stop = pass_stop,
	.busy = pass_busy,
	.adopt = pass_adopt,
	.end = pass_end,
	.workers = pool_workers,
	.conns = reports_conns,
	.queued = pass_queued,
	.kill_conn = reports_kill_conn,
	.kill_worker = pool_kill_worker,
};
