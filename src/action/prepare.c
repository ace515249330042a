/*
 * prepare - the part of a reload that may fail: doors are opened beside what
 * runs, and one worker of each new or changed program is started.
 *
 * New doors of a running service lie in a staging service that nobody sees;
 * a new service is made, but is in no list. Where two doors overlap (a port,
 * a path), both can't be had before the moment in which one goes: those are
 * opened right before the commit. Any failure ends all of it.
 */
#include <errno.h>
#include <string.h>

#include "action/doors.h"
#include "action/reload.h"
#include "base/fault.h"
#include "inlet/beside.h"

/* Workers that are tried at the same time, and started in one turn. */
#define TRIALS	     16
#define TRIALS_A_TURN 4

/* ---- which door is which ---- */

/* Said again by who gave it: its options are not the file's. */
bool reload_same_door(const struct endpoint *ep, const struct addr *a)
{
	return addr_same(&ep->addr, a) &&
	       (ep->adopted || ep->foreign || addr_same_bound(&ep->addr, a));
}

struct endpoint *reload_door(struct service *s, const struct addr *a,
			     enum endpoint_use use)
{
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &s->endpoints, entry)
		if (ep->use == use && reload_same_door(ep, a))
			return ep;
	return NULL;
}

struct endpoint *reload_door_anywhere(struct usher *u, const struct addr *a,
				      enum endpoint_use use)
{
	struct service *s;
	struct endpoint *ep;

	TAILQ_FOREACH(s, &u->services, entry) {
		ep = reload_door(s, a, use);
		if (ep)
			return ep;
	}
	return NULL;
}

bool reload_wants(const struct conf_service *cs, const struct endpoint *ep)
{
	const struct conf_addrs *list =
		ep->use == USE_LISTEN ? &cs->listen : &cs->trigger;

	for (size_t i = 0; cs->enabled && i < list->n; i++)
		if (reload_same_door(ep, &list->v[i].addr))
			return true;
	return false;
}

/* ---- doors ---- */

/* Its own service is the likeliest to name it again. */
static bool wanted(const struct reload *r, const struct endpoint *ep)
{
	const struct conf_service *own = conf_find(r->conf, ep->service->name);

	if (own && reload_wants(own, ep))
		return true;
	for (size_t i = 0; i < r->n; i++)
		if (reload_wants(r->steps[i].cs, ep))
			return true;
	return false;
}

/* Doors that no service of the new file has make room for those that it has
 * (tcp:127.0.0.1:80 becomes tcp:*:80): they are closed at commit. */
static void mark_yielding(struct reload *r)
{
	struct service *s;
	struct endpoint *ep;

	TAILQ_FOREACH(s, &r->u->services, entry)
		TAILQ_FOREACH(ep, &s->endpoints, entry)
			ep->yields = (!ep->adopted || s->retiring) &&
				     !wanted(r, ep);
}

/* Is all that is in A's way a door of ours that goes? */
static bool gets_room(struct reload *r, const struct addr *a)
{
	const struct endpoint *ep;
	bool room = false;

	mark_yielding(r);
	for (size_t i = 0; i < a->nnames; i++) {
		ep = beside_door(r->u, a, &a->names[i]);
		if (!ep)
			continue;
		room = ep->yields;
		if (!room)
			break;
	}
	beside_end(r->u);
	return room;
}

static struct service *stage(struct step *st)
{
	struct service *s;

	if (st->fresh)
		return st->s;
	if (st->staging)
		return st->staging;
	s = xcalloc(1, sizeof(*s));
	s->u = st->r->u;
	s->conf = st->cs;
	s->name = st->cs->name;
	s->slot = st->s->slot;
	s->holds = HOLD_WORK;	/* nobody looks at its doors yet */
	TAILQ_INIT(&s->endpoints);
	TAILQ_INIT(&s->waiting);
	return st->staging = s;
}

static bool staged(struct step *st, const struct addr *a,
		   enum endpoint_use use)
{
	struct service *s = st->fresh ? st->s : st->staging;

	return s && reload_door(s, a, use);
}

static int open_list(struct step *st, const struct conf_addrs *list,
		     enum endpoint_use use, bool last, char **why)
{
	struct reload *r = st->r;

	for (size_t i = 0; i < list->n; i++) {
		const struct addr *a = &list->v[i].addr;
		CLEANUP(freep) char *text = NULL;
		int res;

		if ((!st->fresh && reload_door(st->s, a, use)) ||
		    staged(st, a, use) || reload_door_anywhere(r->u, a, use))
			continue;
		res = doors_open_one(stage(st), a, use, &text);
		if (res == 0)
			continue;
		if (res == -EADDRINUSE && !last && gets_room(r, a)) {
			st->deferred = r->deferred = true;
			continue;
		}
		*why = xasprintf("%s:%u: [service %s] %s: %s",
				 list->v[i].where.file, list->v[i].where.line,
				 st->cs->name,
				 use == USE_LISTEN ? "listen" : "trigger",
				 text ?: strerror(-res));
		return res;
	}
	return 0;
}

static int open_both(struct step *st, bool last, char **why)
{
	int res = open_list(st, &st->cs->listen, USE_LISTEN, last, why);

	if (res == 0)
		res = open_list(st, &st->cs->trigger, USE_TRIGGER, last, why);
	return res;
}

/* Nobody finds a new service by its name before the commit. */
static int make_service(struct step *st, char **why)
{
	struct usher *u = st->r->u;
	struct service *before = model_find(u, st->cs->name);
	struct service *s = service_new(u, st->r->conf, st->cs);

	if (!s) {
		*why = xasprintf("%s: no room for more services (%u)",
				 st->cs->name, slot_max());
		return -ENOSPC;
	}
	if (!before || !before->gone)
		u->by_slot[s->slot] = before;
	s->holds = HOLD_WORK;
	s->handler = action_handler(st->cs);
	st->s = s;
	st->fresh = true;
	return 0;
}

/* A degraded service's doors may go on failing: it is tried again anyway. */
static int open_step(struct step *st, char **why)
{
	int res = st->s ? 0 : make_service(st, why);

	if (res < 0 || !st->cs->enabled || (!st->fresh && st->diff == 0))
		return res;
	return open_both(st, false, why);
}

int reload_open_deferred(struct reload *r, char **why)
{
	int res = 0;

	if (!r->deferred)
		return 0;
	mark_yielding(r);
	for (size_t i = 0; i < r->n && res == 0; i++)
		if (r->steps[i].deferred)
			res = open_both(&r->steps[i], true, why);
	if (res < 0)
		beside_end(r->u);
	return res;
}

/* Which running service each step keeps: by name, unless another handler
 * altogether deals with it from now on (the old goes, a new comes). */
static void match(struct reload *r)
{
	struct service *s;

	TAILQ_FOREACH(s, &r->u->services, entry)
		s->retiring = true;
	for (size_t i = 0; i < r->n; i++) {
		struct step *st = &r->steps[i];

		s = model_find(r->u, st->cs->name);
		if (!s || s->gone || !st->cs->enabled || !s->conf->enabled ||
		    action_handler(st->cs) != s->handler)
			continue;
		st->s = s;
		s->retiring = false;
	}
}

/* ---- trials ---- */

static uint32_t least_workers(const struct step *st)
{
	const struct service *s = st->s;

	if (!st->fresh && (s->data->set & SET_SCALED) &&
	    st->cs->workers.min == s->conf->workers.min &&
	    st->cs->workers.max == s->conf->workers.max)
		return s->data->scale.min;
	return st->cs->workers.min;
}

static bool is_share(const struct conf_service *cs)
{
	return cs->handler == HANDLER_EXEC && cs->handoff == HANDOFF_SHARE;
}

/* With roll = 0 its program can't be beside itself. One that needs a door
 * which is not there yet can't either. */
static bool to_try(const struct step *st)
{
	if (!st->cs->enabled || !st->s->handler->prepare || st->s->gone)
		return false;
	if (!st->fresh && (!(st->diff & CONF_WORKERS) || !st->s->work))
		return false;
	return st->cs->roll > 0 && least_workers(st) > 0 &&
	       !(st->deferred && is_share(st->cs));
}

struct doors {
	struct endpoint **v;
	size_t n;
};

static void add_door(struct doors *d, struct endpoint *ep)
{
	d->v = xrealloc(d->v, (d->n + 1) * sizeof(ep));
	d->v[d->n++] = ep;
}

static bool has_door(const struct doors *d, const struct addr *a)
{
	for (size_t i = 0; i < d->n; i++)
		if (addr_same(&d->v[i]->addr, a))
			return true;
	return false;
}

/* Those that the service will have, in that order. */
static void collect_doors(struct step *st, struct doors *out)
{
	const struct conf_addrs *list = &st->cs->listen;
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &st->s->endpoints, entry)
		if (ep->use == USE_LISTEN &&
		    (ep->adopted || reload_wants(st->cs, ep)))
			add_door(out, ep);
	if (st->staging)
		TAILQ_FOREACH(ep, &st->staging->endpoints, entry)
			if (ep->use == USE_LISTEN)
				add_door(out, ep);
	for (size_t i = 0; i < list->n; i++) {
		const struct addr *a = &list->v[i].addr;

		if (has_door(out, a))
			continue;
		ep = reload_door_anywhere(st->r->u, a, USE_LISTEN);
		for (; ep; ep = TAILQ_NEXT(ep, entry))
			if (ep->use == USE_LISTEN && reload_same_door(ep, a))
				add_door(out, ep);
	}
}

static void refuse(struct step *st, int result, const char *why)
{
	CLEANUP(freep) char *text = xasprintf(
		"%s: %s; everything goes on as before", st->cs->name, why);

	reload_refuse(st->r, result, text);
}

static void try_more(void *arg);

static void tried(void *arg, int result, const char *why)
{
	struct step *st = arg;
	struct reload *r = st->r;

	if (result < 0) {
		refuse(st, result, why);
		return;
	}
	st->trial = TRIAL_READY;
	r->trying--;
	try_more(r);
}

static int begin_trial(struct step *st, char **why)
{
	struct doors doors = { 0 };
	struct trial t = { .owner = st->r->conf, .conf = st->cs,
			   .done = tried, .arg = st };
	int res;

	collect_doors(st, &doors);
	t.doors = doors.v;
	t.ndoors = doors.n;
	res = st->s->handler->prepare(st->s, &t, why);
	free(doors.v);
	if (res < 0)
		return res;
	st->trial = TRIAL_RUNS;
	st->r->trying++;
	return 0;
}

static void try_more(void *arg)
{
	struct reload *r = arg;

	for (int begun = 0; r->next < r->n; r->next++) {
		struct step *st = &r->steps[r->next];
		CLEANUP(freep) char *why = NULL;
		int res;

		if (!to_try(st))
			continue;
		if (r->trying == TRIALS)
			return;
		if (begun++ == TRIALS_A_TURN) {
			timer_set(r->u->loop, &r->more, 0, try_more, r);
			return;
		}
		res = begin_trial(st, &why);
		if (res < 0) {
			refuse(st, res, why ?: strerror(-res));
			return;
		}
	}
	FAULT("reload-tries");
	if (r->trying == 0 && !timer_is_set(&r->more))
		reload_tried(r);
}

/* ---- all of it ---- */

void reload_prepare(struct reload *r)
{
	CLEANUP(freep) char *why = NULL;
	int res = 0;

	r->preparing = true;
	match(r);
	for (size_t i = 0; i < r->n && res == 0; i++)
		res = open_step(&r->steps[i], &why);
	if (res < 0)
		reload_refuse(r, res, why);
	else
		try_more(r);
}

static void unstage(struct step *st)
{
	struct endpoint *ep;

	if (!st->staging)
		return;
	while ((ep = TAILQ_FIRST(&st->staging->endpoints))) {
		beside_back(st->r->u, ep);
		doors_close(ep);
	}
	free(st->staging->degraded);
	free(TAKE(st->staging));
}

/* It goes like one that was removed, which it never was in a list for. */
static void discard(struct step *st)
{
	struct service *s = st->s;
	struct usher *u = s->u;
	struct endpoint *ep;

	if (!u->by_slot[s->slot])
		u->by_slot[s->slot] = s;
	s->gone = true;
	while ((ep = TAILQ_FIRST(&s->endpoints))) {
		beside_back(u, ep);
		doors_close(ep);
	}
	TAILQ_INSERT_TAIL(&u->gone, s, entry);
	action_retire(s, true);
}

void reload_unprepare(struct reload *r)
{
	timer_cancel(r->u->loop, &r->more);
	for (size_t i = 0; r->preparing && i < r->n; i++) {
		struct step *st = &r->steps[i];

		if (st->trial && st->s->handler->unprepare)
			st->s->handler->unprepare(st->s);
		if (st->fresh)
			discard(st);
		unstage(st);
	}
	r->preparing = false;
}
