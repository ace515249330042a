/*
 * worker - one worker's life; see worker.h.
 *
 * A worker is its record: what must outlive usher is written there when it
 * changes. It is signalled by its pidfd alone, since pids are used again.
 * How it is launched, or taken over, is work/worker_start's; what it means
 * for the pool when one is ready or dead is work/pool's; how its readiness
 * shows is work/ready's.
 */
#include "work/worker.h"

#include <stdio.h>
#include <unistd.h>

#include "work/output.h"
#include "work/queue.h"
#include "work/worker_private.h"

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

uint64_t worker_spread(const struct worker *w, uint64_t v)
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

void worker_await_end(struct worker *w, int64_t ms)
{
	if (w->state == WORKER_KILLED)
		timer_set(loop_of(w), &w->kill, ms, on_stop_timeout, w);
	else
		timer_set(loop_of(w), &w->kill, ms, on_drain_timeout, w);
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

void worker_set_age(struct worker *w)
{
	int64_t age =
		(int64_t)worker_spread(w, (uint64_t)conf_of(w)->max_age);

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
	worker_set_age(w);
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
