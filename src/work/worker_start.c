/*
 * worker_start - how a worker comes to be: launched, or taken over.
 *
 * Either way it ends as a record whose pidfd is watched, with its channels
 * (notify, output) and its timers. A take-over finds all of that in the
 * record's data, which may be another usher's and is checked.
 *
 * Its later life is work/worker's, what happens in the child work/launch's.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "work/output.h"
#include "work/worker_private.h"

static void on_pidfd(void *arg, uint32_t events)
{
	struct worker *w = arg;
	struct child_exit e;
	int r = child_reap(pidfd_of(w), &e);

	(void)events;
	if (r == 0)
		return;
	/* Its last words may still say that it is ready. */
	if (w->notify)
		notify_close(&w->notify);
	pool_worker_ended(w, &e);
}

static void on_start_timeout(void *arg)
{
	worker_fault(arg, "was not ready within start_timeout");
}

static struct worker *worker_new(struct generation *g, int record)
{
	struct worker *w = xcalloc(1, sizeof(*w));

	w->generation = g;
	w->record = record;
	w->output = w->readiness = -1;
	w->handed = g->handed;
	TAILQ_INSERT_TAIL(&g->workers, w, entry);
	g->nworkers++;
	return w;
}

static bool may_store(const struct conf_service *c)
{
	return c->handoff == HANDOFF_SHARE && c->protocol == PROTOCOL_SYSTEMD;
}

/* ---- launching ---- */

static bool named(const struct launch *l, int to)
{
	for (int i = 0; i < l->nfds; i++)
		if (l->fds[i].to == to)
			return true;
	return false;
}

/* Where a dialect did not say otherwise (FastCGI's 0) output is 1 and 2. */
static int prepare_output(struct worker *w, struct launch *l, int *child)
{
	bool inherit = false;
	int r;

	/* inetd's wait: both are the door. */
	if (named(l, 1) && named(l, 2))
		return 0;
	r = output_open(w->generation->service, conf_of(w), child, &inherit);
	if (r < -1)
		return r;
	w->output = r;
	for (int fd = 1; fd <= 2; fd++) {
		if (named(l, fd))
			continue;
		if (inherit)
			launch_fd(l, fd, fd);
		else if (*child >= 0)
			launch_fd(l, *child, fd);
	}
	return 0;
}

static int prepare_notify(struct worker *w, struct launch *l)
{
	const struct conf_service *c = conf_of(w);
	uid_t uid = c->who.identity.set_user ? c->who.identity.uid : getuid();
	int r = notify_open(w->generation->service, uid, may_store(c),
			    &worker_notify_events, w, &w->notify);

	if (r < 0)
		return r;
	launch_env(l, "NOTIFY_SOCKET=%s", notify_address(w->notify));
	if (c->watchdog > 0)
		launch_env(l, "WATCHDOG_USEC=%lld",
			   (long long)c->watchdog * 1000);
	return 0;
}

static int prepare(struct worker *w, struct launch *l, int *child)
{
	int r = w->generation->pool->kind->prepare(w, l);

	if (r >= 0)
		r = ready_prepare(w, l);
	if (r >= 0)
		r = prepare_notify(w, l);
	if (r >= 0)
		r = prepare_output(w, l, child);
	return r;
}

/* Written down before it is there: the rest of it fills the kernel in. */
static int go(struct worker *w, struct launch *l, char **why)
{
	const struct conf_service *c = conf_of(w);

	w->started = w->changed = loop_now(loop_of(w));
	w->max_requests = worker_spread(w, (uint64_t)c->max_requests);
	w->max_memory = worker_spread(w, c->max_memory);
	worker_save(w);
	record_commit(w->record);
	return launch_go(l, w->record, why);
}

static int launch_worker(struct worker *w, char **why)
{
	struct generation *g = w->generation;
	CLEANUP(fd_closep) int child = -1;
	struct launch l;
	int r = launch_begin(&l, g->service, g->conf, g->number, why);

	if (r < 0)
		return r;
	r = prepare(w, &l, &child);
	if (r < 0)
		*why = xasprintf("cannot prepare a worker: %s", strerror(-r));
	else
		r = go(w, &l, why);
	launch_end(&l);
	if (r < 0)
		return r;
	w->pid = r;
	FAULT("worker-recorded");
	if (w->output >= 0)
		output_pid(w->output, w->pid);
	return loop_watch(loop_of(w), w->record, 0, EPOLLIN, on_pidfd, w);
}

int worker_start(struct generation *g, struct worker **out, char **why)
{
	struct service *s = g->service;
	int record = record_new(RECORD_WORKER, s->slot, g->number);
	struct worker *w;
	int r;

	if (record < 0) {
		*why = xstrdup("all descriptors are in use: "
			       "raise max_descriptors");
		return record;
	}
	w = worker_new(g, record);
	r = launch_worker(w, why);
	if (r < 0) {
		if (!*why)
			*why = xasprintf("cannot look after a worker: %s",
					 strerror(-r));
		if (record_at(record)->fd[0] >= 0)
			worker_kill(w);
		worker_free(w);
		return r;
	}
	g->pool->kind->started(w);
	worker_save(w);
	*out = w;
	if (g->conf->start_timeout > 0)
		timer_set(loop_of(w), &w->limit, g->conf->start_timeout,
			  on_start_timeout, w);
	ready_began(w);
	return 0;
}

/* ---- taking over ---- */

static void adopt_timers(struct worker *w, const struct worker_data *d)
{
	int64_t now = loop_now(loop_of(w));

	if (worker_leaves(w) && d->kill_at)
		worker_await_end(w, d->kill_at - now);
	else if (!worker_leaves(w) && w->ready)
		worker_set_age(w);
	else if (!worker_leaves(w) && conf_of(w)->start_timeout > 0)
		timer_set(loop_of(w), &w->limit,
			  w->started + conf_of(w)->start_timeout - now,
			  on_start_timeout, w);
	worker_feed_dog(w);
	if (!worker_leaves(w) && !w->ready)
		ready_adopt(w);
}

static void adopt_channels(struct worker *w, const struct worker_data *d)
{
	struct service *s = w->generation->service;

	if (d->notify >= 0 &&
	    notify_adopt(s, d->notify, may_store(conf_of(w)),
			 &worker_notify_events, w, &w->notify) < 0)
		w->notify = NULL;
	w->output = -1;
	if (d->output >= 0 && output_adopt(s, d->output) >= 0)
		w->output = d->output;
	output_pid(w->output, w->pid);
}

int worker_adopt(struct generation *g, int record, struct worker **out)
{
	struct worker_data d = *RECORD_AS(record, struct worker_data);
	struct worker *w;

	if (record_at(record)->fd[0] < RECORD_LOW ||
	    d.state > WORKER_KILLED || record_at(record)->id > INT32_MAX)
		return -EINVAL;
	w = worker_new(g, record);
	w->pid = (pid_t)record_at(record)->id;
	w->state = d.state;
	w->ready = d.ready != 0;
	w->started = d.started;
	w->changed = d.changed;
	w->last_used = d.last_used;
	w->taken = d.taken;
	w->done = d.done;
	w->heard = d.done > 0 || d.state == WORKER_BUSY;
	w->holds = d.holds;
	w->outstanding = d.outstanding;
	w->max_requests = d.max_requests;
	w->max_memory = d.max_memory;
	/* Who was waiting for a replacement reaches its limit anew. */
	w->readiness = d.readiness;
	g->nready += w->ready;
	g->nleaving += worker_leaves(w);
	/* It may have died in between: a level gives its event still. */
	loop_resume(loop_of(w), record, 0, EPOLLIN, on_pidfd, w);
	adopt_channels(w, &d);
	*out = w;
	adopt_timers(w, &d);
	return 0;
}
