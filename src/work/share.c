/*
 * share - workers accept on the listening sockets themselves.
 *
 * Usher sees no connection. Where a dialect has a channel on which workers
 * say who is busy, the doors are looked at only while one more may be started
 * and nobody is available who has ever said a word; without it the depth of
 * the accept queues is sampled while below MAX. The doors are watched through
 * descriptors of our own (duplicates), so that inlet's view of them is left
 * alone.
 *
 * A worker that was started and has not said a word yet is on its way: one
 * arrival is left to it, for a while. It may hang before it ever accepts (a
 * smtpd that asks another service for its tables), and must not be the one
 * for whom all others wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/net.h"
#include "inlet/listener.h"
#include "model/run.h"
#include "work/roll.h"
#include "work/shelf.h"
#include "work/worker.h"

#define DOOR_EVENTS (EPOLLIN | EPOLLET)
#define SAMPLE_MS 100
/* A worker that has said nothing for so long is not counted on. */
#define YOUNG_MS  500
/* See share_served. */
#define IDLERS	  5

/* struct pool's own. */
struct share {
	int *watches;		/* RECORD_WATCH of each door */
	size_t n;
	bool looking;
	struct timer sample;
};

static struct share *share_of(const struct pool *p)
{
	return p->own;
}

static struct loop *loop_of(const struct pool *p)
{
	return p->service->u->loop;
}

/* ---- how much waits at the doors ---- */

static bool is_door(const struct endpoint *ep)
{
	return ep->use == USE_LISTEN && ep->record >= 0;
}

static uint32_t share_waiting(struct generation *g)
{
	struct endpoint *ep;
	uint32_t n = 0;

	if (g != g->pool->current)
		return 0;
	TAILQ_FOREACH(ep, &g->service->endpoints, entry) {
		struct net_queue q = { 0 };
		int bytes = 0;
		bool packets = ep->addr.kind == ADDR_UDP ||
			       ep->addr.kind == ADDR_UNIX_DGRAM;

		if (ep->addr.kind == ADDR_FIFO && is_door(ep)) {
			ioctl(record_at(ep->record)->fd[0], FIONREAD, &bytes);
			n += bytes > 0;
		} else if (is_door(ep) &&
			   net_queue(record_at(ep->record)->fd[0], &q) == 0) {
			n += packets ? q.depth > 0 : q.depth;
		}
	}
	return n;
}

/* ---- looking at the doors ---- */

static void look_away(struct pool *p)
{
	struct share *sh = share_of(p);

	for (size_t i = 0; i < sh->n; i++) {
		/* The door itself keeps what epoll knows of its duplicate. */
		loop_unwatch(loop_of(p), sh->watches[i], 0);
		record_close(sh->watches[i]);
	}
	free(sh->watches);
	sh->watches = NULL;
	sh->n = 0;
	sh->looking = false;
}

/* Somebody is there for the next arrival, or how many may be soon. */
static bool available(const struct generation *g, uint32_t *coming)
{
	int64_t now = loop_now(loop_of(g->pool));
	const struct worker *w;

	*coming = 0;
	if (!g->dialect->status)
		return g->nworkers > g->nleaving;
	TAILQ_FOREACH(w, &g->workers, entry) {
		if (w->state > WORKER_IDLE)
			continue;
		if (w->heard)
			return true;
		*coming += now - w->started < YOUNG_MS;
	}
	return false;
}

static void on_sample(void *arg);

static void sample_later(struct pool *p)
{
	struct timer *t = &share_of(p)->sample;

	if (!timer_is_set(t))
		timer_set(loop_of(p), t, SAMPLE_MS, on_sample, p);
}

/* Something arrives and nobody is there: as many as wait, but for those that
 * are on their way. */
static void on_door(void *arg, uint32_t events)
{
	struct pool *p = arg;
	struct generation *g = p->current;
	uint32_t n, coming;

	(void)events;
	if (!g || available(g, &coming))
		return;
	n = share_waiting(g);
	if (g->dialect->wait || n == 0)
		n = 1;
	if (n > coming)
		pool_need(p, n - coming);
	else
		sample_later(p);
}

/* A duplicate has an end of its own in epoll. Each arrival is told once, and
 * what waits already at each look. */
static void look_at(struct pool *p, int door)
{
	struct share *sh = share_of(p);
	int fd = fcntl(door, F_DUPFD, RECORD_LOW);
	int record = fd < 0 ? -errno
			    : record_new(RECORD_WATCH, p->service->slot, 0);

	if (record < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	record_set_fd(record, 0, fd);
	record_commit(record);
	sh->watches = xrealloc(sh->watches,
			       (sh->n + 1) * sizeof(*sh->watches));
	sh->watches[sh->n++] = record;
	loop_watch(loop_of(p), record, 0, DOOR_EVENTS, on_door, p);
}

static void look(struct pool *p)
{
	struct share *sh = share_of(p);
	struct endpoint *ep;

	if (sh->looking) {
		for (size_t i = 0; i < sh->n; i++)
			loop_change(loop_of(p), sh->watches[i], 0,
				    DOOR_EVENTS);
		return;
	}
	sh->looking = true;
	TAILQ_FOREACH(ep, &p->service->endpoints, entry)
		if (is_door(ep))
			look_at(p, record_at(ep->record)->fd[0]);
}

static bool more_may_be(const struct pool *p)
{
	uint32_t max = service_workers(p->service).max;

	return !p->held && !timer_is_set(&p->retry) && !p->stopping &&
	       pool_serving(p) < (max ? max : 1);
}

static void on_sample(void *arg)
{
	struct pool *p = arg;

	if (!p->current || !more_may_be(p))
		return;
	if (p->current->dialect->status) {
		pool_balance(p);	/* looks at the doors again */
		return;
	}
	if (share_waiting(p->current) > 0)
		pool_wanted(p);
	sample_later(p);
}

static void share_watch(struct pool *p)
{
	struct share *sh = share_of(p);
	uint32_t coming;
	bool more = p->current && more_may_be(p) &&
		    !(p->service->holds & ~(uint32_t)HOLD_SHARED);
	bool someone = p->current && available(p->current, &coming);
	bool status = p->current && p->current->dialect->status;

	if (more && !someone)
		look(p);
	else
		look_away(p);
	if (more && someone && !status)
		sample_later(p);
	else if (!more || someone)
		timer_cancel(loop_of(p), &sh->sample);
}

/* ---- generations and workers ---- */

static int share_open(struct generation *g)
{
	int index = pool_claim(g->pool, RECORD_STATUS, RECORD_ANY, g->number);

	g->dialect = dialect_of(g->conf->protocol);
	if (!g->dialect)
		return -EPROTONOSUPPORT;
	if (index < 0)
		index = pool_claim(g->pool, RECORD_READY, DIALECT_ACK,
				   g->number);
	if (index >= 0 && g->dialect->adopt)
		return g->dialect->adopt(g, index);
	record_close(index);
	return g->dialect->open ? g->dialect->open(g) : 0;
}

static void share_close(struct generation *g)
{
	if (g->dialect->close)
		g->dialect->close(g);
}

static int share_prepare(struct worker *w, struct launch *l)
{
	struct generation *g = w->generation;

	return g->dialect->prepare ? g->dialect->prepare(g, w, l) : 0;
}

static void share_started(struct worker *w)
{
	w->handed = share_waiting(w->generation);
	if (w->generation->dialect->started)
		w->generation->dialect->started(w->generation, w);
}

/* Fewer wait than when it came; where more arrive all the time that is so
 * now and then. */
static bool share_served(struct worker *w)
{
	return w->done > 0 || w->state == WORKER_BUSY ||
	       share_waiting(w->generation) < w->handed;
}

static void share_died(struct worker *w, const struct child_exit *e)
{
	(void)e;
	if (w->generation->dialect->ended)
		w->generation->dialect->ended(w->generation, w);
}

static bool share_leave(struct generation *g)
{
	if (!g->dialect->leave)
		return false;
	g->dialect->leave(g);
	return true;
}

static void share_store(struct pool *p, int fd, const char *name, bool poll)
{
	shelf_put(p->service, fd, name, poll);
}

static void share_unstore(struct pool *p, const char *name)
{
	shelf_remove(p->service, name);
}

static const struct pool_kind share_kind = {
	.name = "share",
	.open = share_open,
	.close = share_close,
	.prepare = share_prepare,
	.started = share_started,
	.served = share_served,
	.idlers = IDLERS,
	.died = share_died,
	.leave = share_leave,
	.waiting = share_waiting,
	.store = share_store,
	.unstore = share_unstore,
	.watch = share_watch,
};

/* ---- the handler ---- */

static struct pool *share_pool(struct service *s)
{
	struct pool *p = s->work;

	if (p)
		return p;
	p = pool_new(s, &share_kind);
	p->own = xcalloc(1, sizeof(struct share));
	return p;
}

static int share_start(struct service *s)
{
	struct pool *p = share_pool(s);

	service_hold(s, HOLD_SHARED);
	look_away(p);		/* doors may have come since an earlier try */
	pool_take_over(p);
	return pool_start(p);
}

/* Whoever is injected or was read from a PROXY header has no way in. */
static bool share_room(struct service *s)
{
	(void)s;
	return false;
}

static int share_arrive(struct service *s, struct conn *c)
{
	(void)s;
	(void)c;
	return -EOPNOTSUPP;
}

static int share_run(struct service *s, struct run *r)
{
	struct pool *p = s->work;
	struct generation *g = p ? p->current : NULL;
	int e;

	if (!g || !g->dialect->fire) {
		r->done(r, -1, "its program takes no triggers");
		return 0;
	}
	e = g->dialect->fire(g, r->message, r->len);
	if (e == -EAGAIN)
		return e;
	r->done(r, -1, e < 0 ? "its own door did not take the message"
			     : "given to its own door");
	return 0;
}

static void share_changed(struct service *s, const struct conf_service *old,
			  unsigned bits)
{
	struct pool *p = s->work;

	(void)old;
	if (!p)
		return;
	look_away(p);		/* the doors may be others now */
	pool_settings(p, bits);
}

static int share_try(struct service *s, const struct trial *t,
		     char **why)
{
	return pool_try(share_pool(s), t, why);
}

static int share_roll(struct service *s, roll_done *done, void *arg)
{
	return s->work ? roll_begin(s->work, done, arg) : -EOPNOTSUPP;
}

static int share_scale(struct service *s)
{
	return s->work ? pool_scale(s->work) : 0;
}

static void share_stop(struct service *s, bool now)
{
	struct pool *p = share_pool(s);

	look_away(p);
	timer_cancel(loop_of(p), &share_of(p)->sample);
	pool_stop(p, now);
}

static uint32_t share_busy(const struct service *s)
{
	const struct pool *p = s->work;
	const struct generation *g;
	const struct worker *w;
	uint32_t n = 0;

	if (!p)
		return 0;
	TAILQ_FOREACH(g, &p->generations, entry)
		TAILQ_FOREACH(w, &g->workers, entry)
			n += w->state == WORKER_BUSY;
	return n;
}

static int share_adopt(struct service *s, int index)
{
	if (record_at(index)->kind == RECORD_STORED)
		return shelf_adopt(s, index);
	return pool_found(share_pool(s), index);
}

static void share_end(struct service *s)
{
	struct pool *p = s->work;
	struct share *sh;

	if (!p)
		return;
	sh = share_of(p);
	look_away(p);
	timer_cancel(loop_of(p), &sh->sample);
	pool_free(&p);
	free(sh);
	shelf_end(s);
}

static uint32_t share_queued(const struct service *s)
{
	const struct pool *p = s->work;

	return p && p->current ? share_waiting(p->current) : 0;
}

const struct handler handler_share = {
	.name = "share",
	.start = share_start,
	.room = share_room,
	.arrive = share_arrive,
	.run = share_run,
	.changed = share_changed,
	.prepare = share_try,
	.unprepare = pool_untry,
	.same = pool_same,
	.roll = share_roll,
	.scale = share_scale,
	.stop = share_stop,
	.busy = share_busy,
	.adopt = share_adopt,
	.end = share_end,
	.workers = pool_workers,
	.queued = share_queued,
	.kill_worker = pool_kill_worker,
};
