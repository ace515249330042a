/*
 * worker - one worker's life; see worker.h.
 *
 * A worker is its record: what must outlive usher is written there when it
 * changes. It is signalled and reaped by its pidfd alone, since pids are used
 * again. What it means for the pool when one is ready or dead is work/pool's;
 * how its readiness shows is work/ready's.
 */
#include "work/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "work/output.h"
#include "work/queue.h"

static struct loop *loop_of(const struct worker *w)
{
	return w->generation->service->u->loop;
}

static const struct conf_service *conf_of(const struct worker *w)
{
	return w->generation->conf;
}

static int pidfd_of(const struct worker *w)
{
	return record_at(w->record)->fd[0];
}

void worker_save(struct worker *w)
{
	struct worker_data *d = RECORD_AS(w->record, struct worker_data);

	d->state = w->state;
	d->ready = w->ready;
	d->started = w->started;
	d->changed = w->changed;
	d->last_used = w->last_used;
	d->taken = w->taken;
	d->done = w->done;
	d->holds = w->holds;
	d->outstanding = w->outstanding;
	d->max_requests = w->max_requests;
	d->max_memory = w->max_memory;
	d->leaving = w->leaving;
	d->trial = w->generation->trial;
	d->kill_at = timer_is_set(&w->kill) ? w->kill.due : 0;
	d->queue = w->queue ? queue_record(w->queue) : -1;
	d->output = w->output;
	d->notify = w->notify ? notify_record(w->notify) : -1;
	d->readiness = w->readiness;
}

static void set_state(struct worker *w, enum worker_state state)
{
	if (state >= WORKER_STOPPING && w->state < WORKER_STOPPING)
		w->generation->nleaving++;
	w->state = state;
	w->changed = loop_now(loop_of(w));
	worker_save(w);
}

const char *worker_state_name(const struct worker *w)
{
	static const char *const names[] = {
		[WORKER_STARTING] = "starting", [WORKER_IDLE] = "idle",
		[WORKER_BUSY] = "busy",		[WORKER_STOPPING] = "stopping",
		[WORKER_KILLED] = "killed",
	};

	return names[w->state];
}

uint64_t worker_memory(const struct worker *w)
{
	char path[40];
	unsigned long long size, resident;
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)w->pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fscanf(f, "%llu %llu", &size, &resident);
	fclose(f);
	return n == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* V and up to a tenth more or less, so that not all go at once. */
static uint64_t spread(const struct worker *w, uint64_t v)
{
	uint64_t x = ((uint64_t)w->pid << 20) ^ (uint64_t)loop_us();
	double part;

	x *= 0x9e3779b97f4a7c15ull;
	part = (double)(x >> 40) / (double)(1 << 24) - 0.5;
	return v ? v + (uint64_t)(int64_t)((double)v * part / 5) : 0;
}

/* ---- the end ---- */

static void quiet(struct worker *w)
{
	struct loop *l = loop_of(w);

	timer_cancel(l, &w->limit);
	timer_cancel(l, &w->dog);
	timer_cancel(l, &w->stuck);
	ready_end(w);
}

void worker_kill(struct worker *w)
{
	quiet(w);
	timer_cancel(loop_of(w), &w->kill);
	child_kill(pidfd_of(w), SIGKILL);
	set_state(w, WORKER_KILLED);
}

static void on_stop_timeout(void *arg)
{
	struct worker *w = arg;

	log_write(LOG_LEVEL_WARNING,
		  &(struct log_about){ .service = w->generation->service->name,
				       .pid = w->pid,
				       .event = "worker-kill" },
		  "worker %d is still there stop_timeout after %s: killed",
		  (int)w->pid, text_signal_name(conf_of(w)->stop_signal));
	worker_kill(w);
}

void worker_stop(struct worker *w)
{
	int64_t patience = conf_of(w)->stop_timeout;

	quiet(w);
	timer_cancel(loop_of(w), &w->kill);
	child_kill(pidfd_of(w), conf_of(w)->stop_signal);
	if (patience > 0)
		timer_set(loop_of(w), &w->kill, patience, on_stop_timeout, w);
	set_state(w, WORKER_KILLED);
}

static void on_drain_timeout(void *arg)
{
	worker_stop(arg);
}

void worker_leave(struct worker *w, bool told)
{
	const struct pool_kind *kind = w->generation->pool->kind;

	if (worker_leaves(w))
		return;
	if (!w->ready && !told) {
		worker_stop(w);
		return;
	}
	quiet(w);
	set_state(w, WORKER_STOPPING);
	if (!told && !(kind->leave_one && kind->leave_one(w)))
		child_kill(pidfd_of(w), conf_of(w)->stop_signal);
	if (conf_of(w)->drain_timeout > 0)
		timer_set(loop_of(w), &w->kill, conf_of(w)->drain_timeout,
			  on_drain_timeout, w);
	worker_save(w);
}

void worker_fault(struct worker *w, const char *why)
{
	if (!w->fault)
		w->fault = why;
	worker_kill(w);
}

void worker_free(struct worker *w)
{
	struct generation *g = w->generation;

	quiet(w);
	timer_cancel(loop_of(w), &w->kill);
	if (w->notify)
		notify_close(&w->notify);
	output_ended(g->service, w->output, w->failed);
	queue_close(&w->queue);
	record_close(w->record);
	TAILQ_REMOVE(&g->workers, w, entry);
	g->nworkers--;
	if (w->ready)
		g->nready--;
	if (worker_leaves(w))
		g->nleaving--;
	free(w->text);
	free(w);
}

void worker_abandon(struct worker *w)
{
	child_kill(pidfd_of(w), SIGKILL);
	if (w->output >= 0)
		output_close(w->generation->service, w->output);
	w->output = -1;
	worker_free(w);
}

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

/* ---- ready, busy, idle ---- */

static void on_max_age(void *arg)
{
	struct worker *w = arg;

	w->due = "max_age";
	pool_balance(w->generation->pool);
}

static void on_watchdog(void *arg)
{
	worker_fault(arg, "was silent longer than watchdog");
}

void worker_feed_dog(struct worker *w)
{
	if (w->ready && !worker_leaves(w) && conf_of(w)->watchdog > 0)
		timer_set(loop_of(w), &w->dog, conf_of(w)->watchdog,
			  on_watchdog, w);
}

static void set_age(struct worker *w)
{
	int64_t age = (int64_t)spread(w, (uint64_t)conf_of(w)->max_age);

	timer_cancel(loop_of(w), &w->limit);
	if (age > 0)
		timer_set(loop_of(w), &w->limit,
			  w->started + age - loop_now(loop_of(w)), on_max_age,
			  w);
}

void worker_is_ready(struct worker *w)
{
	if (w->ready || worker_leaves(w))
		return;
	ready_end(w);
	w->ready = true;
	w->generation->nready++;
	w->last_used = loop_now(loop_of(w));
	set_age(w);
	worker_feed_dog(w);
	set_state(w, WORKER_IDLE);
	pool_worker_ready(w);
}

void worker_is_busy(struct worker *w)
{
	w->last_used = loop_now(loop_of(w));
	w->heard = true;
	if (w->state >= WORKER_BUSY)
		return;
	set_state(w, WORKER_BUSY);
	if (w->generation->dialect)
		pool_balance(w->generation->pool);
}

void worker_is_idle(struct worker *w)
{
	struct service *s = w->generation->service;

	if (!w->ready && conf_of(w)->ready.kind == READY_STATUS)
		worker_is_ready(w);
	if (w->state == WORKER_BUSY) {
		w->last_used = loop_now(loop_of(w));
		set_state(w, WORKER_IDLE);
		/* A channel that only says available: one use ends here. */
		if (w->generation->dialect) {
			w->done++;
			s->data->served++;
			worker_save(w);
			pool_balance(w->generation->pool);
		}
	}
	if (w->max_requests && w->done >= w->max_requests && !w->due &&
	    !worker_leaves(w)) {
		w->due = "max_requests";
		pool_balance(w->generation->pool);
	}
}

struct worker *worker_by_pid(struct generation *g, pid_t pid)
{
	struct worker *w;

	TAILQ_FOREACH(w, &g->workers, entry)
		if (w->pid == pid)
			return w;
	return NULL;
}

/* ---- start ---- */

static bool may_store(const struct conf_service *c)
{
	return c->handoff == HANDOFF_SHARE && c->protocol == PROTOCOL_SYSTEMD;
}

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

static int launch_worker(struct worker *w, char **why)
{
	struct generation *g = w->generation;
	CLEANUP(fd_closep) int child = -1;
	struct launch l;
	int r = launch_begin(&l, g->service, g->conf, g->number, why);
	int pidfd = -1;

	if (r < 0)
		return r;
	r = prepare(w, &l, &child);
	if (r < 0)
		*why = xasprintf("cannot prepare a worker: %s", strerror(-r));
	else
		r = launch_go(&l, &pidfd, why);
	launch_end(&l);
	if (r < 0)
		return r;
	w->pid = r;
	record_set_fd(w->record, 0, pidfd);
	record_at(w->record)->id = (uint64_t)w->pid;
	w->started = w->changed = loop_now(loop_of(w));
	w->max_requests = spread(w, (uint64_t)g->conf->max_requests);
	w->max_memory = spread(w, g->conf->max_memory);
	if (w->output >= 0)
		output_pid(w->output, w->pid);
	worker_save(w);
	record_commit(w->record);
	FAULT("worker-recorded");
	return loop_watch(loop_of(w), w->record, 0, EPOLLIN, on_pidfd, w);
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

	if (w->state == WORKER_KILLED && d->kill_at)
		timer_set(loop_of(w), &w->kill, d->kill_at - now,
			  on_stop_timeout, w);
	else if (w->state == WORKER_STOPPING && d->kill_at)
		timer_set(loop_of(w), &w->kill, d->kill_at - now,
			  on_drain_timeout, w);
	else if (!worker_leaves(w) && w->ready)
		set_age(w);
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
	w->leaving = d.leaving != 0;
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
