/*
 * backend - `exec` with `relay`: a program behind a relay, alive while needed.
 *
 * The first arrival starts it; arrivals are held until it is ready, then
 * connected. After the last connection and idle_timeout it is stopped. While
 * it stops, and in a roll, arrivals are held too: it can't overlap with
 * itself. Its life is the pool's (work/), the connections are relays.
 */
#include "backend/backend.h"

#include <errno.h>

#include "relay/relays.h"
#include "work/pool.h"
#include "work/roll.h"

/* struct pool's own. */
struct backend {
	struct relays relays;
	struct pool *pool;
	bool stopping, now;
};

static struct backend *of(const struct service *s)
{
	const struct pool *p = s->work;

	return p ? p->own : NULL;
}

static struct backend *of_pool(const struct pool *p)
{
	return p->own;
}

static int64_t now_ms(const struct pool *p)
{
	return loop_now(p->service->u->loop);
}

/* ---- held until it is ready ---- */

static bool ready(const struct pool *p)
{
	const struct worker *w;

	if (p->held || !p->current)
		return false;
	TAILQ_FOREACH(w, &p->current->workers, entry)
		if (w->ready && w->state <= WORKER_BUSY && !w->leaving)
			return true;
	return false;
}

static bool starting(const struct pool *p)
{
	return p->current && p->current->nworkers > p->current->nleaving;
}

/* A client waits as long as a start may take; not for what stops. */
static void on_patience(void *arg)
{
	struct relay *r = arg;
	struct pool *p = r->home->service->work;
	struct loop *l = p->service->u->loop;
	int64_t most = p->service->conf->start_timeout;

	if (p->held || (p->current && p->current->nleaving))
		timer_set(l, &r->timer, most, on_patience, r);
	else
		relay_refuse(r);
}

static void hold(struct relay *r)
{
	struct pool *p = r->home->service->work;
	int64_t most = p->service->conf->start_timeout;

	r->state = RELAY_HELD;
	if (most > 0)
		timer_set(p->service->u->loop, &r->timer, most, on_patience,
			  r);
	pool_balance(p);
}

static struct relay *held(const struct backend *b)
{
	struct relay *r;

	TAILQ_FOREACH(r, &b->relays.conns, entry)
		if (r->state == RELAY_HELD)
			return r;
	return NULL;
}

static void dial(struct relay *r)
{
	struct pool *p = r->home->service->work;

	p->current->handed++;	/* its worker has served */
	relay_dial(r);
}

static void take_all(struct backend *b, void (*fn)(struct relay *r))
{
	struct relay *r, *next;

	TAILQ_FOREACH_SAFE(r, &b->relays.conns, entry, next) {
		if (r->state != RELAY_HELD)
			continue;
		timer_cancel(b->pool->service->u->loop, &r->timer);
		fn(r);
	}
}

/* ---- what the pool asks ---- */

static int backend_open(struct generation *g)
{
	(void)g;
	return 0;
}

static void backend_close(struct generation *g)
{
	(void)g;
}

static int backend_prepare(struct worker *w, struct launch *l)
{
	(void)w;
	(void)l;
	return 0;
}

static void backend_started(struct worker *w)
{
	(void)w;
}

/* Connections end where they are: there is nobody to hand them to. */
static void backend_move(struct generation *old, struct generation *new)
{
	(void)old;
	(void)new;
}

static void backend_usable(struct worker *w)
{
	struct pool *p = w->generation->pool;

	if (ready(p))
		take_all(of_pool(p), dial);
}

/* One that was too slow takes those with it who waited for it; one that
 * failed otherwise is started again, while they wait. */
static void backend_died(struct worker *w, const struct child_exit *e)
{
	struct backend *b = of_pool(w->generation->pool);
	struct relay *r;

	(void)e;
	if (trial_has(w))
		return;
	if (w->fault && !w->ready)
		take_all(b, relay_refuse);
	/* Who was about to be connected to it waits for the next one. */
	TAILQ_FOREACH(r, &b->relays.conns, entry)
		if (r->state == RELAY_CONNECTING || r->state == RELAY_RETRY) {
			relay_undial(r);
			hold(r);
		}
}

/* Who has connections is not idle. */
static uint32_t backend_waiting(struct generation *g)
{
	return of_pool(g->pool)->relays.n;
}

/* After each change in the pool. */
static void backend_watch(struct pool *p)
{
	if (!held(of_pool(p)))
		return;
	if (ready(p))
		take_all(of_pool(p), dial);
	else if (!starting(p) && !p->held && !timer_is_set(&p->retry) &&
		 !(p->current && p->current->nleaving))
		pool_need(p, 1);
}

static const struct pool_kind backend_kind = {
	.name = "backend",
	.open = backend_open,
	.close = backend_close,
	.prepare = backend_prepare,
	.started = backend_started,
	.move = backend_move,
	.usable = backend_usable,
	.died = backend_died,
	.waiting = backend_waiting,
	.watch = backend_watch,
};

/* ---- the handler ---- */

static void stop_pool(struct backend *b)
{
	if (b->stopping)
		pool_stop(b->pool, b->now);
}

static void on_idle(struct relays *h)
{
	struct backend *b = CONTAINER_OF(h, struct backend, relays);

	b->pool->waited_at = now_ms(b->pool);
	if (!b->pool->stopping)		/* else NOW would be said twice */
		stop_pool(b);
}

static struct backend *make(struct service *s)
{
	struct backend *b = of(s);

	if (!b) {
		struct pool *p = pool_new(s, &backend_kind);

		p->own = b = xcalloc(1, sizeof(*b));
		b->pool = p;
		b->relays.idle = on_idle;
		b->relays.patient = true;
	}
	relays_open(&b->relays, s);
	if (!b->relays.ups)
		b->relays.ups = upstreams_open(s);
	return b;
}

static int start(struct service *s)
{
	struct backend *b = make(s);
	int r;

	pool_take_over(b->pool);
	r = pool_start(b->pool);
	pool_balance(b->pool);
	return r;
}

static bool room(struct service *s)
{
	return relays_room(&of(s)->relays);
}

static int arrive(struct service *s, struct conn *c)
{
	struct backend *b = of(s);
	struct relay *r = relay_new(&b->relays, c, RELAY_TWO);

	if (!r) {
		b->relays.said_no = true;
		return -EAGAIN;
	}
	if (relay_announce(r, c) < 0 || relay_begin(r) < 0)
		relay_refuse(r);
	else if (ready(b->pool))
		dial(r);
	else
		hold(r);
	return 0;
}

static void changed(struct service *s, const struct conf_service *old,
		    unsigned bits)
{
	struct backend *b = of(s);

	(void)old;
	if (!b)
		return;
	relays_changed(&b->relays);
	pool_settings(b->pool, bits);
}

static int prepare(struct service *s, const struct trial *t,
		   char **why)
{
	return pool_try(make(s)->pool, t, why);
}

static int roll(struct service *s, roll_done *done, void *arg)
{
	return s->work ? roll_begin(s->work, done, arg) : -EOPNOTSUPP;
}

static int scale(struct service *s)
{
	return s->work ? pool_scale(s->work) : 0;
}

/* Connections first, they need it. */
static void stop(struct service *s, bool now)
{
	struct backend *b = make(s);

	b->stopping = true;
	b->now = now;
	relays_stop(&b->relays, now);
	if (b->relays.n == 0)
		stop_pool(b);
}

static uint32_t busy(const struct service *s)
{
	const struct backend *b = of(s);

	return b ? b->relays.n : 0;
}

static int adopt(struct service *s, int index)
{
	struct backend *b = make(s);
	struct relay *r;

	if (record_at(index)->kind != RECORD_RELAY)
		return pool_found(b->pool, index);
	r = relay_hang(&b->relays, index);
	if (r && (relay_data(r)->flags & RELAY_CONNECTED))
		relay_go_on(r);
	else if (r && relay_watch(r, 0) < 0)
		relay_refuse(r);	/* it was killed before it could */
	else if (r)
		hold(r);
	return 0;
}

static void end(struct service *s)
{
	struct backend *b = of(s);
	struct pool *p = s->work;

	if (!b)
		return;
	relays_close(&b->relays);
	pool_free(&p);
	free(b);
}

static uint32_t queued(const struct service *s)
{
	const struct backend *b = of(s);
	const struct relay *r;
	uint32_t n = 0;

	if (!b)
		return 0;
	TAILQ_FOREACH(r, &b->relays.conns, entry)
		n += r->state == RELAY_HELD;
	return n;
}

static void conns(const struct service *s, conn_info_fn *fn, void *arg)
{
	if (of(s))
		relays_conns(&of(s)->relays, fn, arg);
}

static int kill_conn(struct service *s, uint64_t cookie, pid_t *holder)
{
	(void)holder;
	return of(s) ? relays_kill(&of(s)->relays, cookie) : -ENOENT;
}

const struct handler handler_backend = {
	.name = "backend",
	.start = start,
	.room = room,
	.arrive = arrive,
	.changed = changed,
	.prepare = prepare,
	.unprepare = pool_untry,
	.same = pool_same,
	.roll = roll,
	.scale = scale,
	.stop = stop,
	.busy = busy,
	.adopt = adopt,
	.end = end,
	.workers = pool_workers,
	.conns = conns,
	.queued = queued,
	.kill_conn = kill_conn,
	.kill_worker = pool_kill_worker,
};
