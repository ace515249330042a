/*
 * pass - arrivals reach pre-started workers as descriptors (handoff = pass).
 *
 * One shared queue for a generation (pick = queue), or one for each worker.
 * A connection costs here: its words, one sendmsg, one close. Only what finds
 * no room after it was read back from a queue (spilt) waits in here; all else
 * waits in a queue or in the kernel.
 */
#include "work/pass.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net.h"
#include "work/pick.h"
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

	pass_unspill(g->pool);
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
	struct pass *pass = pass_of(g->pool);
	struct queue_options o = options_of(g, true);
	int index, r;

	if (!pass->shared)
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

static void pass_started(struct worker *w)
{
	if (w->queue)
		queue_set_pid(w->queue, w->pid);
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

/* ---- handing on ---- */

static void on_stuck(void *arg)
{
	struct worker *w = arg;

	if (w->queue && queue_count(w->queue) > 0)
		worker_fault(w, "does not read its queue");
}

/* One message with COUNT arrivals to G's queue or W's own. */
static int hand(struct generation *g, struct worker *w,
		const struct message *m, const int *fds, int n,
		uint32_t count)
{
	int r = queue_send(w ? w->queue : g->queue, m->buf, m->len, fds, n);

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

/* Somebody has to be there for what was handed on. */
static void want_workers(struct pool *p, struct generation *g)
{
	if (g->nworkers == g->nleaving)
		pool_need(p, 1);
	else
		pool_wanted(p);
}

struct target {
	struct generation *g;
	struct worker *w;	/* its own queue */
	struct queue *q;
};

/* Where the next one goes. false: nowhere now. */
static bool aim(struct pool *p, const struct conn *c, struct target *t)
{
	struct pass *pass = pass_of(p);

	if (!pass->shared) {
		t->w = pick_worker(p, c, pass->turn);
		t->g = t->w ? t->w->generation : NULL;
		t->q = t->w ? t->w->queue : NULL;
		return t->w != NULL;
	}
	t->w = NULL;
	t->g = p->roll ? roll_share(p) : p->current;
	if (!t->g || !t->g->queue)
		return false;
	if (!queue_room(t->g->queue) && t->g != p->current)
		t->g = p->current;
	t->q = t->g->queue;
	return queue_room(t->q);
}

void pass_room(struct pool *p)
{
	struct pass *pass = pass_of(p);

	if (!pass->asked)
		return;
	pass->asked = false;
	service_room(p->service);
}

static bool no_room(struct pool *p)
{
	pass_of(p)->asked = true;
	if (p->current && !p->held)
		want_workers(p, p->current);
	return false;
}

static bool pass_has_room(struct service *s)
{
	struct pool *p = s->work;
	struct pass *pass = p ? pass_of(p) : NULL;
	struct target t;

	if (!p || !p->current)
		return false;
	if (p->held || !TAILQ_EMPTY(&pass->spill) ||
	    (timer_is_set(&p->retry) &&
	     p->current->nworkers == p->current->nleaving))
		return no_room(p);
	if (pass->npending)
		return true;
	if (pass->shared && !p->roll && queue_room(p->current->queue))
		return true;
	return aim(p, NULL, &t) || no_room(p);
}

static struct message_load load_of(struct pool *p, struct queue *q)
{
	return (struct message_load){ .queued = queue_about(q),
				      .idle = reports_idle(p) };
}

/* It is on its way, as far as usher sees. */
static void gone_on(struct pool *p, const struct conn *c, struct worker *w)
{
	struct service *s = p->service;

	s->data->served++;
	stats_add(&s->data->to_handoff, (uint64_t)(loop_us() - c->accepted_us));
	if (pass_of(p)->held) {
		reports_hand(p, c, NULL, w);
	} else {
		struct conn_end e = {
			.cookie = c->cookie, .source = c->source,
			.accepted_us = c->accepted_us, .peer = c->peer,
			.up = -1, .down = -1,
		};

		arrival_end(s, &e);
	}
}

/* ---- batches ---- */

static void on_flush(void *arg)
{
	struct pool *p = arg;
	struct pass *pass = pass_of(p);
	int n = (int)pass->npending;
	struct target t;

	task_cancel(loop_of(p), &pass->flush);
	if (!n)
		return;
	pass->npending = 0;
	if (!aim(p, NULL, &t) ||
	    hand(t.g, t.w, &pass->pending, pass->fds, n, (uint32_t)n) < 0) {
		pass_spill(p, pass->pending.buf, pass->pending.len, pass->fds,
			   n);
	} else {
		for (int i = 0; i < n; i++)
			close(pass->fds[i]);
		want_workers(p, t.g);
	}
	pass->pending.len = 0;
}

static int batch_size(const struct pool *p)
{
	int64_t batch = pass_of(p)->shared ? p->service->conf->batch : 1;

	return (int)(batch > FD_BATCH ? FD_BATCH : batch);
}

static int collect(struct pool *p, struct conn *c, const struct target *t)
{
	struct pass *pass = pass_of(p);
	struct message_load load = load_of(p, t->q);

	if (!pass->fds) {
		pass->fds = xcalloc(FD_BATCH, sizeof(*pass->fds));
		pass->pending.room = QUEUE_MESSAGE;
		pass->pending.buf = xmalloc(QUEUE_MESSAGE);
	}
	load.queued += pass->npending;
	if (!message_connection(&pass->pending, p->service, t->g->number, c,
				&load)) {
		on_flush(p);
		message_connection(&pass->pending, p->service, t->g->number,
				   c, &load);
	}
	pass->fds[pass->npending++] = c->fd;
	gone_on(p, c, t->w);
	if ((int)pass->npending >= batch_size(p))
		on_flush(p);
	else if (!pass->flush.set)
		task_set(loop_of(p), &pass->flush, on_flush, p);
	return 0;
}

/* ---- an arrival ---- */

static int pass_arrive(struct service *s, struct conn *c)
{
	struct pool *p = s->work;
	struct message_load load;
	char words[WORDS];
	struct message m = { .buf = words, .room = sizeof(words) };
	struct target t;

	if (p->held || !aim(p, c, &t)) {
		no_room(p);
		return -EAGAIN;
	}
	if (batch_size(p) > 1)
		return collect(p, c, &t);
	load = load_of(p, t.q);
	message_connection(&m, s, t.g->number, c, &load);
	if (hand(t.g, t.w, &m, &c->fd, 1, 1) < 0) {
		no_room(p);
		return -EAGAIN;
	}
	close(c->fd);
	gone_on(p, c, t.w);
	want_workers(p, t.g);
	return 0;
}

static int pass_run(struct service *s, struct run *r)
{
	struct pool *p = s->work;
	CLEANUP(freep) char *buf = xmalloc(QUEUE_MESSAGE);
	struct message m = { .buf = buf, .room = QUEUE_MESSAGE };
	struct message_load load;
	struct target t;

	if (pass_of(p)->npending)
		on_flush(p);
	if (p->held || !aim(p, NULL, &t)) {
		no_room(p);
		return -EAGAIN;
	}
	load = load_of(p, t.q);
	if (!message_trigger(&m, s, t.g->number, r, &load)) {
		r->done(r, 126, "its message is too long to be handed on");
		return 0;
	}
	if (hand(t.g, t.w, &m, NULL, 0, 1) < 0) {
		no_room(p);
		return -EAGAIN;
	}
	s->data->served++;
	want_workers(p, t.g);
	if (pass_of(p)->held)
		reports_hand(p, NULL, r, t.w);
	else
		r->done(r, -1, "handed on");
	return 0;
}

/* ---- what was read back ---- */

void pass_spill(struct pool *p, const char *buf, size_t len, const int *fds,
		int n)
{
	struct spilt *x = xmalloc(sizeof(*x) + len);

	x->len = len;
	x->n = n;
	x->fds = xcalloc((size_t)n + 1, sizeof(*x->fds));
	memcpy(x->fds, fds, (size_t)n * sizeof(*fds));
	memcpy(x->data, buf, len);
	TAILQ_INSERT_TAIL(&pass_of(p)->spill, x, entry);
}

static void spilt_free(struct pass *pass, struct spilt *x)
{
	TAILQ_REMOVE(&pass->spill, x, entry);
	for (int i = 0; i < x->n; i++)
		close(x->fds[i]);
	free(x->fds);
	free(x);
}

void pass_unspill(struct pool *p)
{
	struct pass *pass = pass_of(p);
	struct spilt *x;
	struct target t;

	while ((x = TAILQ_FIRST(&pass->spill)) && aim(p, NULL, &t)) {
		struct message m = { .buf = x->data, .len = x->len };

		if (hand(t.g, t.w, &m, x->fds, x->n, 1) < 0)
			break;
		want_workers(p, t.g);
		spilt_free(pass, x);
	}
	if (TAILQ_EMPTY(&pass->spill))
		pass_room(p);
	else
		pass->asked = true;
}

static void take_one(void *arg, const char *buf, size_t len, const int *fds,
		     int n)
{
	pass_spill(arg, buf, len, fds, n);
}

static void pass_move(struct generation *old, struct generation *new)
{
	(void)new;
	if (old->queue)
		queue_take_back(old->queue, take_one, old->pool);
	pass_unspill(old->pool);
}

static void pass_died(struct worker *w, const struct child_exit *e)
{
	struct generation *g = w->generation;
	struct pool *p = g->pool;
	struct queue *q = w->queue ? w->queue : g->queue;

	if (q)
		queue_listen(q);
	reports_died(w, e);
	if (w->queue)
		queue_take_back(w->queue, take_one, p);
	pass_unspill(p);
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
		queue_take_back(w->queue, take_one, p);
	queue_shut(w->queue);
	pass_unspill(p);
	return true;
}

static bool pass_farewell(struct generation *g)
{
	return g->queue && queue_farewell(g->queue) == 0;
}

static void pass_close(struct generation *g)
{
	struct pool *p = g->pool;

	if (g->queue && p->current && p->current != g) {
		queue_take_back(g->queue, take_one, p);
		pass_unspill(p);
	}
	queue_close(&g->queue);
}

static void pass_usable(struct worker *w)
{
	pass_unspill(w->generation->pool);
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
	struct pass *pass = pass_of(p);
	const struct spilt *x;
	uint32_t n = g->queue ? in_queues(p, g) : 0;

	if (g != p->current)
		return n;
	TAILQ_FOREACH(x, &pass->spill, entry)
		n++;
	if (pass->asked)
		n += at_doors(p->service) + arrival_waiting(p->service);
	return n;
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
	.adopted = pass_adopted,
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
	pass->shared = s->conf->pick == PICK_QUEUE;
	TAILQ_INIT(&pass->spill);
	if (s->conf->reports)
		pass->held = held_new();
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
		on_flush(p);
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
	while (!TAILQ_EMPTY(&pass->spill))
		spilt_free(pass, TAILQ_FIRST(&pass->spill));
	for (uint32_t i = 0; i < pass->npending; i++)
		close(pass->fds[i]);
	pass->npending = 0;
	task_cancel(loop_of(p), &pass->flush);
	pool_free(&p);
	held_free(&pass->held);
	free(pass->pending.buf);
	free(pass->fds);
	free(pass);
}

const struct handler handler_pass = {
	.name = "pass",
	.start = pass_start,
	.room = pass_has_room,
	.arrive = pass_arrive,
	.run = pass_run,
	.changed = pass_changed,
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
