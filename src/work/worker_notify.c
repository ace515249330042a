/*
 * worker_notify - what a worker says on its NOTIFY_SOCKET, and what follows.
 */
#include <stdlib.h>
#include <unistd.h>

#include "work/worker.h"

static struct loop *loop_of(const struct worker *w)
{
	return w->generation->service->u->loop;
}

static const struct conf_service *conf_of(const struct worker *w)
{
	return w->generation->conf;
}

static void said_ready(void *arg)
{
	struct worker *w = arg;

	if (conf_of(w)->ready.kind == READY_NOTIFY)
		worker_is_ready(w);
}

static void said_stopping(void *arg)
{
	struct worker *w = arg;
	const struct pool_kind *kind = w->generation->pool->kind;

	if (worker_leaves(w) || !w->ready)
		return;
	if (kind->leave_one)
		kind->leave_one(w);
	worker_leave(w, true);
	pool_balance(w->generation->pool);
}

static void said_watchdog(void *arg)
{
	worker_feed_dog(arg);
}

static void said_trigger(void *arg)
{
	struct worker *w = arg;

	if (!worker_leaves(w))
		worker_fault(w, "asked for it with WATCHDOG=trigger");
}

/* The step that is under way may take US from now on, if that is longer. */
static void said_extend(void *arg, int64_t us)
{
	struct worker *w = arg;
	struct timer *t = worker_leaves(w) ? &w->kill : &w->limit;
	int64_t ms = us / 1000;

	if ((!worker_leaves(w) && w->ready) || !timer_is_set(t) ||
	    t->due >= loop_now(loop_of(w)) + ms)
		return;
	timer_set_named(loop_of(w), t, ms, t->fn, t->arg, t->name);
	worker_save(w);
}

static void said_status(void *arg, const char *text)
{
	struct worker *w = arg;

	free(w->text);
	w->text = xstrdup(text);
}

static void said_store(void *arg, int fd, const char *name, bool poll)
{
	struct worker *w = arg;
	struct pool *p = w->generation->pool;

	if (p->kind->store)
		p->kind->store(p, fd, name, poll);
	else
		close(fd);
}

static void said_unstore(void *arg, const char *name)
{
	struct worker *w = arg;
	struct pool *p = w->generation->pool;

	if (p->kind->unstore)
		p->kind->unstore(p, name);
}

const struct notify_events worker_notify_events = {
	.ready = said_ready,
	.stopping = said_stopping,
	.watchdog = said_watchdog,
	.trigger = said_trigger,
	.extend = said_extend,
	.status = said_status,
	.store = said_store,
	.unstore = said_unstore,
};
