/*
 * trigger - "run this now", and it is certain that a run follows; see
 * trigger.h.
 *
 * A message waits at most once: a trigger that finds its message waiting is
 * one with it, a trigger that finds it running makes another run wait. What
 * waits lies in the state, so it waits on through a crash. Jobs move from
 * `later` (coalescing, or before another try) to `ready`, where they start in
 * order as the handler and `rate` let them, to `running`.
 *
 * The table of messages is in queue.c, how a job ends in job.c.
 */
#include "trigger/trigger.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "inlet/request.h"
#include "trigger/private.h"

static struct triggers *triggers_of(struct service *s)
{
	struct triggers *t = s->triggers;

	if (t)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->service = s;
	t->every_record = -1;
	TAILQ_INIT(&t->later);
	TAILQ_INIT(&t->ready);
	TAILQ_INIT(&t->running);
	t->requests = requests_new(s, trigger_request);
	s->triggers = t;
	return t;
}

/* ---- starting what is ready ---- */

static void on_start(void *arg);

static void on_rate(void *arg)
{
	struct triggers *t = arg;

	task_set(t->service->u->loop, &t->start, on_start, t);
}

/* Takes a token of `rate`, the service's for all that arrives, or sets the
 * timer for when there is one. */
static bool take_token(struct triggers *t)
{
	const struct text_rate *r = &t->service->conf->rate;
	struct bucket *b = &t->service->data->rate;

	if (r->per_second <= 0)
		return true;
	bucket_fill(b, r, loop_us(), 0);
	if (bucket_take(b))
		return true;
	timer_set(t->service->u->loop, &t->rate,
		  (bucket_wait(b, r) + 999) / 1000, on_rate, t);
	return false;
}

static void start_ready(struct triggers *t)
{
	struct service *s = t->service;
	struct job *j;

	while ((j = TAILQ_FIRST(&t->ready))) {
		if (((s->holds & HOLD_PAUSE) && !t->stopping) ||
		    !take_token(t))
			return;
		/* Running before it is, so that what arrives meanwhile, and
		 * what a crash leaves, is another run. */
		queue_run(t, j);
		FAULT("run-start");
		if (s->handler->run(s, &j->run) == -EAGAIN) {
			queue_back(t, j);
			if (s->conf->rate.per_second > 0)
				s->data->rate.tokens += 1;
			return;
		}
		s->data->runs++;
	}
}

static bool has_room(const struct triggers *t)
{
	return !t->stopping &&
	       (t->draining ||
		t->nwaiting < t->service->conf->trigger_queue);
}

/* A task of the round, not a call: equal triggers of a round are one. */
static void on_start(void *arg)
{
	struct triggers *t = arg;

	start_ready(t);
	if (t->requests && has_room(t))
		requests_room(t->requests);
}

void trigger_soon(struct triggers *t)
{
	task_set(t->service->u->loop, &t->start, on_start, t);
}

void trigger_room(struct service *s)
{
	if (s->triggers)
		trigger_soon(s->triggers);
}

/* ---- taking ---- */

static void add_wait(struct job *j, struct trigger_wait *w)
{
	if (!w)
		return;
	TAILQ_INSERT_TAIL(&j->waits, w, entry);
	w->on = &j->waits;
	if (w->kept)
		*w->kept = j->run.id;
}

int trigger_wait_again(struct service *s, struct trigger_wait *w)
{
	struct triggers *t = s->triggers;
	struct jobs *const lists[] = { &t->running, &t->ready, &t->later };
	struct job *j;

	for (size_t i = 0; t && i < ARRAY_SIZE(lists); i++)
		TAILQ_FOREACH(j, lists[i], entry)
			if (j->run.id == *w->kept) {
				add_wait(j, w);
				return 0;
			}
	return -ENOENT;
}

int trigger_take(struct service *s, const char *message, size_t len,
		 struct trigger_wait *w)
{
	struct triggers *t = triggers_of(s);
	uint32_t hash = queue_hash(message, len);
	struct job *j = queue_find(t, hash, message, len);

	if (t->stopping)
		return -ESHUTDOWN;
	if (j) {
		s->data->coalesced++;
		/* Somebody asks anew: no reason to wait out a failure. */
		if (j->run.tries && j->where == JOB_LATER)
			queue_delay(t, j, s->conf->coalesce);
	} else {
		if (!has_room(t))
			return -EAGAIN;
		j = queue_add(t, hash, message, len);
		if (!j)
			return -EAGAIN;
		queue_delay(t, j, s->conf->coalesce);
	}
	stats_count(&s->data->triggers, 1);
	add_wait(j, w);
	return 0;
}

int trigger_return(struct service *s, const char *message, size_t len)
{
	struct triggers *t = triggers_of(s);
	uint32_t hash = queue_hash(message, len);
	struct job *j = queue_find(t, hash, message, len);

	if (j)
		return 0;
	j = queue_add(t, hash, message, len);
	if (!j)
		return -EAGAIN;
	queue_delay(t, j, 0);
	return 0;
}

/* The first of N stands for all: no run starts in between. */
int trigger_request(struct service *s, const char *message, size_t len,
		    size_t n)
{
	int r = trigger_take(s, message, len, NULL);

	if (r == 0 && n > 1) {
		s->data->coalesced += n - 1;
		stats_count(&s->data->triggers, n - 1);
	}
	return r;
}

void trigger_forget(struct trigger_wait *w)
{
	if (w->on)
		TAILQ_REMOVE(w->on, w, entry);
	w->on = NULL;
	if (w->kept)
		*w->kept = 0;
}

/* ---- every ---- */

/* MS, 5 % less or more: not all machines and services at once. */
static int64_t jitter(struct triggers *t, int64_t ms)
{
	uint64_t x = t->random ? t->random : (uint64_t)loop_us() | 1;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	t->random = x;
	return ms - ms / 20 + (int64_t)(x % (uint64_t)(ms / 10 + 1));
}

static void arm_every(struct triggers *t, int64_t ms);

static void on_every(void *arg)
{
	struct triggers *t = arg;
	int r = 0;

	if (!(t->service->holds & HOLD_DRAIN))
		r = trigger_take(t->service, "", 0, NULL);

	/* A full queue: soon again, it is still owed. */
	arm_every(t, r == -EAGAIN ? 1000
				  : jitter(t, t->service->conf->every));
}

/* When it is due lies in the state: a restart does not put it off. */
static void arm_every(struct triggers *t, int64_t ms)
{
	struct loop *l = t->service->u->loop;

	timer_set(l, &t->every, ms, on_every, t);
	if (t->every_record < 0) {
		t->every_record = record_new(RECORD_RUN, t->service->slot,
					     RUN_EVERY);
		if (t->every_record < 0)
			return;
		record_commit(t->every_record);
	}
	RECORD_AS(t->every_record, struct run_data)->due = t->every.due;
	RECORD_AS(t->every_record, struct run_data)->period =
		t->service->conf->every;
}

static void end_every(struct triggers *t)
{
	timer_cancel(t->service->u->loop, &t->every);
	record_close(t->every_record);
	t->every_record = -1;
}

static void set_every(struct triggers *t)
{
	int64_t every = t->service->conf->every;
	int64_t left = -1;

	if (t->every_record >= 0) {
		struct run_data *d = RECORD_AS(t->every_record,
					       struct run_data);

		left = d->due - loop_us() / 1000;
		if (d->period != every || left > every + every / 10)
			left = -1;
		else if (left < 0)
			left = 0;
	}
	if (!every)
		end_every(t);
	else if (left < 0)
		arm_every(t, jitter(t, every));
	else if (!timer_is_set(&t->every))
		arm_every(t, left);
}

/* ---- life ---- */

static int watch_doors(struct triggers *t)
{
	struct endpoint *ep;
	int r = 0;

	TAILQ_FOREACH(ep, &t->service->endpoints, entry) {
		if (ep->use == USE_TRIGGER && ep->record >= 0 && r == 0)
			r = request_watch(t->requests, ep);
	}
	return r;
}

int trigger_start(struct service *s)
{
	struct triggers *t;
	int r;

	/* Workers that share the doors read them themselves; `every` is
	 * theirs too, if the handler can tell them. */
	if (!s->handler->run)
		return 0;
	t = triggers_of(s);
	t->stopping = false;
	queue_settle(t);
	if (s->conf->handoff != HANDOFF_SHARE) {
		r = watch_doors(t);
		if (r < 0)
			return r;
	}
	set_every(t);
	trigger_soon(t);
	return 0;
}

void trigger_changed(struct service *s)
{
	struct triggers *t = s->triggers;

	if (!t)
		return;
	timer_cancel(s->u->loop, &t->rate);
	trigger_start(s);
}

int trigger_adopt(struct service *s, int record)
{
	struct triggers *t;

	if (!s->handler->run)	/* a damaged record */
		return -EINVAL;
	t = triggers_of(s);
	if (record_at(record)->kind == RECORD_REQUEST)
		return request_adopt(t->requests, record);
	if (record_at(record)->arg == RUN_EVERY) {
		record_close(t->every_record);
		t->every_record = record;
		return 0;
	}
	return queue_adopt(t, record);
}

/* A FIFO that nobody has open forgets what is in it. */
static void take_the_rest(struct triggers *t)
{
	struct endpoint *ep;

	if (!t->requests || (t->service->holds & HOLD_PAUSE))
		return;
	t->draining = true;
	requests_room(t->requests);
	TAILQ_FOREACH(ep, &t->service->endpoints, entry)
		request_drain(ep);
	t->draining = false;
}

uint32_t trigger_stop(struct service *s, bool now)
{
	struct triggers *t = s->triggers;
	struct job *j;

	if (!t)
		return 0;
	if (!now && !t->stopping)
		take_the_rest(t);
	t->stopping = true;
	requests_free(&t->requests);
	end_every(t);
	while ((j = TAILQ_FIRST(&t->later))) {
		j->run.tries = UINT16_MAX;	/* its last try */
		queue_delay(t, j, 0);
	}
	while (now && (j = TAILQ_FIRST(&t->ready)))
		job_end(t, j, -1, "usher stops");
	trigger_soon(t);
	return trigger_pending(s) + trigger_running(s);
}

void trigger_free(struct service *s)
{
	struct triggers *t = s->triggers;
	struct job *j;

	if (!t)
		return;
	trigger_stop(s, true);
	while ((j = TAILQ_FIRST(&t->running)))
		job_end(t, j, -1, "usher stops");
	timer_cancel(s->u->loop, &t->rate);
	task_cancel(s->u->loop, &t->start);
	free(t->table);
	free(t);
	s->triggers = NULL;
}

uint32_t trigger_pending(const struct service *s)
{
	const struct triggers *t = s->triggers;

	return t ? (uint32_t)t->nwaiting : 0;
}

uint32_t trigger_running(const struct service *s)
{
	const struct triggers *t = s->triggers;

	return t ? t->nrunning : 0;
}
