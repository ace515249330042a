/*
 * revive - records into a new model; see revive.h.
 */
#include "continuity/revive.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/net.h"
#include "continuity/strays.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/fifo.h"
#include "inlet/leaving.h"
#include "inlet/listener.h"
#include "inlet/passed.h"
#include "inlet/proxy.h"
#include "inlet/request.h"
#include "inlet/spool.h"
#include "trigger/trigger.h"
#include "work/worker.h"

/* How long what got SIGKILL may take to be gone. */
#define KILLED_MS 1000

/* ---- doors ---- */

static bool same_path(const struct service *s, const struct addr *a,
		      const char *path)
{
	CLEANUP(freep) char *fifo = a->kind == ADDR_FIFO ? fifo_path(s, a)
							 : NULL;

	return a->path && (strcmp(a->path, path) == 0 ||
			   (fifo && strcmp(fifo, path) == 0));
}

/* All addresses may be those of IPv4 alone here, see net_listen. */
static bool same_name(const struct addr *a, const struct addr_name *want,
		      const struct addr_name *name)
{
	if (net_is_all(a) && name->u.sa.sa_family == AF_INET)
		return name->u.in.sin_addr.s_addr == INADDR_ANY &&
		       addr_port(want) == addr_port(name);
	return want->len == name->len &&
	       memcmp(&want->u, &name->u, name->len) == 0;
}

static const struct addr *configured(struct service *s,
				     const struct door_data *d,
				     const struct addr_name *name,
				     enum endpoint_use use)
{
	const struct conf_addrs *list = use == USE_LISTEN ? &s->conf->listen
							  : &s->conf->trigger;

	for (size_t i = 0; i < list->n; i++) {
		const struct addr *a = &list->v[i].addr;

		if ((uint32_t)a->kind != d->kind)
			continue;
		if (d->path[0]) {
			if (same_path(s, a, d->path))
				return a;
			continue;
		}
		for (size_t k = 0; k < a->nnames; k++)
			if (same_name(a, &a->names[k], name))
				return a;
	}
	return NULL;
}

/* An adopted door that the file does not name: described from its socket. */
static int describe(const struct door_data *d, const struct addr_name *name,
		    struct addr *out)
{
	char text[ADDR_TEXT], word[ADDR_TEXT + 24];
	char *why = NULL;
	int r;

	if (d->path[0])
		snprintf(word, sizeof(word), "%s:%s",
			 addr_kind_name((enum addr_kind)d->kind), d->path);
	else
		snprintf(word, sizeof(word), "%s:%s",
			 addr_kind_name((enum addr_kind)d->kind),
			 addr_print(name, text, sizeof(text)));
	r = addr_parse(word, out, &why);
	free(why);
	return r;
}

static bool hang_door(struct service *s, int i, bool own)
{
	const struct door_data *d = RECORD_AS(i, struct door_data);
	struct addr_name name;
	const struct addr *a;
	struct addr addr;

	if (!memchr(d->path, 0, sizeof(d->path)) ||
	    record_at(i)->arg > USE_TRIGGER || d->kind > ADDR_FD)
		return false;
	listener_name(i, &name);
	a = configured(s, d, &name, record_at(i)->arg);
	if (a) {
		listener_as_noted(listener_hang(s, i, a, &name));
		return true;
	}
	if (!own || !d->adopted || describe(d, &name, &addr) < 0)
		return false;
	listener_hang(s, i, &addr, &name);
	addr_free(&addr);
	return true;
}

/* Usher was killed in a reload's commit, when a door had gone to a service
 * that the last good configuration does not have: who has it there? */
static bool hang_moved(struct usher *u, int i)
{
	struct service *s;

	TAILQ_FOREACH(s, &u->services, entry)
		if (hang_door(s, i, false)) {
			record_move(i, s->slot);
			return true;
		}
	return false;
}

/* ---- records ---- */

static bool hang(struct usher *u, struct service *s, int i)
{
	const struct record *r = record_at(i);

	switch (r->kind) {
	case RECORD_SOURCES:
		return admit_adopt(s, i) == 0;
	case RECORD_DOOR:
		return hang_door(s, i, true);
	case RECORD_REQUEST:
	case RECORD_RUN:
		/* Before trigger_start, which makes what was not found. */
		return trigger_adopt(s, i) == 0;
	case RECORD_CONN:
		if (r->arg == CONN_WAITING && arrival_was_offered(i) &&
		    stray_was_handed_on(r->fd[0]))
			return false;
		if (r->arg == CONN_WAITING)
			return arrival_adopt(s, i) == 0;
		if (r->arg == CONN_PROXY)
			return proxy_adopt(s, i) == 0;
		if (r->arg == CONN_PASSED)
			return passed_adopt(s, i) == 0;
		break;
	default:
		break;
	}
	(void)u;
	return s->handler->adopt && s->handler->adopt(s, i) == 0;
}

static void count(struct revived *out, const struct record *r)
{
	switch (r->kind) {
	case RECORD_DOOR:
		out->doors++;
		break;
	case RECORD_WORKER:
		out->workers++;
		break;
	case RECORD_RELAY:
		out->relays++;
		break;
	default:
		out->others++;
	}
}

static bool is_control(const struct record *r)
{
	/* What a service's own workers stored is the service's. */
	return r->kind == RECORD_LEASE || r->kind == RECORD_CLIENT ||
	       ((r->kind == RECORD_DOOR || r->kind == RECORD_STORED) &&
		r->service == RECORD_NOBODY);
}

/* Sources before who is counted there, doors, then what serves, workers after
 * their queues. */
static const enum record_kind order[] = {
	RECORD_SOURCES,
	RECORD_DOOR,   RECORD_QUEUE,   RECORD_STATUS, RECORD_FLOW,
	RECORD_WORKER, RECORD_OUTPUT,  RECORD_NOTIFY, RECORD_READY,
	RECORD_RELAY,  RECORD_CONN,    RECORD_RUN,    RECORD_REQUEST,
	RECORD_STORED, RECORD_LEASE,   RECORD_CLIENT,
};

/* A worker that a reload was trying for a service that was yet to come, when
 * usher was killed: in nobody's service, it would stay for ever. */
static void end_trial(int i)
{
	struct record *r = record_at(i);
	struct pollfd p = { .fd = r->fd[0], .events = POLLIN };
	struct child_exit e;

	if (r->kind != RECORD_WORKER || r->fd[0] < RECORD_LOW ||
	    !RECORD_AS(i, struct worker_data)->trial)
		return;
	child_kill(r->fd[0], SIGKILL);
	poll(&p, 1, KILLED_MS);
	child_reap(r->fd[0], &e);
	log_notice("a worker (pid %d) that a reload was trying is ended",
		   (int)r->id);
}

/* Written down before it was started, which the kill may have prevented; and
 * a process that has not run yet has not written its pid. */
static bool was_started(struct record *r)
{
	pid_t pid = r->fd[0] < RECORD_LOW ? -ESRCH
		    : r->id ? (pid_t)r->id : child_pid(r->fd[0]);

	if (pid > 0)
		r->id = (uint64_t)pid;
	return pid > 0;
}

static bool is_ordered(uint16_t kind)
{
	for (size_t k = 0; k < ARRAY_SIZE(order); k++)
		if (order[k] == kind)
			return true;
	return false;
}

static void revive_one(struct usher *u, int i,
		       int (*control)(struct usher *u, int i),
		       struct revived *out)
{
	struct record *r = record_at(i);
	struct service *s = model_by_slot(u, r->service);
	struct record copy = *r;
	bool kept;

	if (r->kind == RECORD_RELAY)
		FAULT("record-hung");

	if (r->kind == RECORD_DOOR && leaving_adopt(u, i) == 0)
		kept = true;
	else if (is_control(r))
		kept = control(u, i) == 0;
	else if (r->kind == RECORD_WORKER && !was_started(r))
		kept = false;
	else if (r->kind == RECORD_FLOW)
		kept = true;	/* of all Postfix services, found by kind */
	else
		kept = s && hang(u, s, i);
	if (!kept && r->kind == RECORD_DOOR)
		kept = hang_moved(u, i);
	if (kept) {
		count(out, &copy);
		return;
	}
	out->dropped++;
	end_trial(i);
	log_debug("take-over: record %d (kind %u, service %s) is nobody's",
		  i, copy.kind, s ? s->name : "none");
	if (atomic_load(&r->used) == 1 && r->serial == copy.serial)
		record_close(i);
}

/* ---- relays, later ---- */

/*
 * Bytes wait in the kernel, so relays need not be hung before the doors are
 * attended: each is when its first event comes, the rest some at a time in
 * the loop. Whose service counts by source is hung at once: there a limit
 * would let too many in meanwhile.
 */
#define SLICE 64

static struct {
	struct usher *u;
	struct revived *told;
	int (*control)(struct usher *u, int i);
	void (*done)(void *arg);
	void *arg;
	struct timer turn;
	int *list;
	size_t n, at;
} later;

static bool can_wait(struct usher *u, int i)
{
	const struct record *r = record_at(i);
	const struct service *s = model_by_slot(u, r->service);

	/* Who leaves does so when it has none. */
	return r->kind == RECORD_RELAY && s && !s->gone &&
	       !s->conf->max_per_source &&
	       s->conf->rate_per_source.per_second <= 0;
}

/* Its own place, until it is counted in order. */
static void wait_for_turn(struct usher *u, int i)
{
	admit_expect(model_by_slot(u, record_at(i)->service), 1);
	later.list[later.n++] = i;
}

/* It may have been hung, and even ended, when its event came. */
static void hang_late(int i)
{
	struct service *s;

	if (atomic_load(&record_at(i)->used) != 1 || !record_is_old(i) ||
	    record_at(i)->kind != RECORD_RELAY ||
	    loop_arg(later.u->loop, i))
		return;
	s = model_by_slot(later.u, record_at(i)->service);
	if (s)
		admit_expect(s, -1);
	revive_one(later.u, i, later.control, later.told);
}

static void on_strange(void *arg, int index)
{
	(void)arg;
	hang_late(index);
}

static void finish(void)
{
	timer_cancel(later.u->loop, &later.turn);
	loop_strange(later.u->loop, NULL, NULL);
	free(TAKE(later.list));
	record_buffers_claimed();
	if (later.done)
		later.done(later.arg);
}

static void hang_some(void *arg)
{
	(void)arg;
	for (int i = 0; i < SLICE && later.at < later.n; i++)
		hang_late(later.list[later.at++]);
	if (later.at < later.n)
		timer_set(later.u->loop, &later.turn, 0, hang_some, NULL);
	else
		finish();
}

void revive_rest(void)
{
	if (!later.list)
		return;
	while (later.at < later.n)
		hang_late(later.list[later.at++]);
	finish();
}

void revive_later(void (*done)(void *arg), void *arg)
{
	later.done = done;
	later.arg = arg;
	loop_strange(later.u->loop, on_strange, NULL);
	timer_set(later.u->loop, &later.turn, 0, hang_some, NULL);
}

/* ---- all ---- */

/* All that were there, in order: what is made meanwhile is not among them. */
static int *in_order(size_t *n)
{
	int *list = xcalloc(record_count() + 1, sizeof(*list));
	size_t at[RECORD_KINDS + 1] = { 0 };

	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		if (record_at(i)->kind < RECORD_KINDS)
			at[record_at(i)->kind]++;
	*n = 0;
	for (size_t k = 0; k < ARRAY_SIZE(order); k++) {
		size_t have = at[order[k]];

		at[order[k]] = *n;
		*n += have;
	}
	for (int i = -1; (i = record_next(RECORD_NONE, i)) >= 0;)
		if (is_ordered(record_at(i)->kind))
			list[at[record_at(i)->kind]++] = i;
	return list;
}

void revive_records(struct usher *u, int (*control)(struct usher *u, int i),
		    struct revived *out)
{
	CLEANUP(freep) int *list = NULL;
	size_t n;

	*out = (struct revived){ 0 };
	if (!record_was_clean())
		record_own();
	for (int i = -1; (i = record_next(RECORD_WATCH, i)) >= 0;)
		if (record_is_old(i) && spool_adopt(u, i) < 0)
			record_close(i);	/* each part opens its own */
	if (!record_was_clean())
		strays_collect();
	list = in_order(&n);
	later.u = u;
	later.told = out;
	later.control = control;
	later.list = xcalloc(n + 1, sizeof(*later.list));
	later.n = later.at = 0;
	for (size_t i = 0; i < n; i++) {
		if (can_wait(u, list[i]))
			wait_for_turn(u, list[i]);
		else
			revive_one(u, list[i], control, out);
	}
}

void revive_strays(struct usher *u, struct revived *out)
{
	spool_settle(u);
	if (record_was_clean())
		strays_sweep(u, out);
	else
		strays_revive(u, out);
}
