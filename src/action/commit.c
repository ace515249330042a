/*
 * commit - one turn of the loop in which doors and settings change hands.
 *
 * Nothing here can fail: all that could was done by prepare. Doors that stay
 * keep socket, queue and counters; what the file no longer names is drained
 * and closed, and its service retired.
 */
#include <stdio.h>

#include "action/doors.h"
#include "action/reload.h"
#include "base/net.h"
#include "inlet/admit.h"
#include "inlet/beside.h"
#include "inlet/fifo.h"
#include "inlet/listener.h"
#include "trigger/trigger.h"

/* Its workers accept; arrivals are to wait. */
#define NOT_OURS (HOLD_SHARED | HOLD_PAUSE | HOLD_DRAIN)

static void take_doors(struct service *s, struct step *st)
{
	struct endpoint *ep;

	if (!st->staging)
		return;
	while ((ep = TAILQ_FIRST(&st->staging->endpoints)))
		doors_move(ep, s);
	free(st->staging->degraded);
	free(TAKE(st->staging));
}

/* Doors that CS names and another service still has come over with their
 * queue. */
static void fetch_doors(struct usher *u, struct service *s,
			const struct conf_addrs *list, enum endpoint_use use)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct addr *a = &list->v[i].addr;
		struct endpoint *ep;

		while (!reload_door(s, a, use) &&
		       (ep = reload_door_anywhere(u, a, use)) &&
		       ep->service != s) {
			struct service *from = ep->service;

			/* All names of one address move together. */
			for (; ep; ep = reload_door(from, a, use))
				doors_move(ep, s);
		}
	}
}

static void note(void *arg, const char *text)
{
	service_log((struct service *)arg, LOG_LEVEL_WARNING, "%s", text);
}

/* What a door that stays can change while it lives. */
static void change_options(struct service *s, struct endpoint *ep,
			   const struct conf_addrs *list)
{
	const struct net_note n = { note, s };
	CLEANUP(freep) char *why = NULL;

	for (size_t i = 0; i < list->n; i++) {
		if (!addr_same(&list->v[i].addr, &ep->addr))
			continue;
		addr_free(&ep->addr);
		addr_copy(&ep->addr, &list->v[i].addr);
	}
	listener_changed(ep);
	if (ep->addr.kind != ADDR_FIFO)
		net_apply(record_at(ep->record)->fd[0], &ep->addr, &n);
	else if (fifo_apply(ep, &why) < 0)
		note(s, why);
}

/* Doors that are no longer named, or were bound anew, are drained and
 * closed. */
static void settle_doors(struct service *s, const struct conf_service *cs)
{
	struct endpoint *ep, *next;

	for (ep = TAILQ_FIRST(&s->endpoints); ep; ep = next) {
		const struct conf_addrs *list =
			ep->use == USE_LISTEN ? &cs->listen : &cs->trigger;

		next = TAILQ_NEXT(ep, entry);
		if (ep->adopted)
			continue;
		if (reload_wants(cs, ep)) {
			change_options(s, ep, list);
			continue;
		}
		if (ep->use == USE_LISTEN && !(s->holds & NOT_OURS))
			listener_drain(ep);
		doors_close(ep);
	}
}

/* A key that the file changed takes back what was set by hand. */
static void reset_by_hand(struct service *s, const struct conf_service *old,
			  const struct conf_service *cs)
{
	if (old->workers.min != cs->workers.min ||
	    old->workers.max != cs->workers.max)
		s->data->set &= ~(uint32_t)SET_SCALED;
}

static void commit_change(struct reload *r, struct step *st)
{
	struct service *s = st->s;
	const struct conf_service *old = s->conf;
	struct conf *owner = s->owner;

	s->owner = conf_ref(r->conf);
	s->conf = st->cs;
	s->name = st->cs->name;
	if (st->diff == 0) {
		if (s->handler->same)
			s->handler->same(s, old);
		conf_unref(&owner);
		return;
	}
	r->changed++;
	take_doors(s, st);
	fetch_doors(r->u, s, &st->cs->listen, USE_LISTEN);
	fetch_doors(r->u, s, &st->cs->trigger, USE_TRIGGER);
	settle_doors(s, st->cs);
	reset_by_hand(s, old, st->cs);
	admit_changed(s);
	if (s->handler->changed)
		s->handler->changed(s, old, st->diff);
	if (s->triggers)
		trigger_changed(s);
	conf_unref(&owner);
	doors_begin(s);
}

static void commit_new(struct reload *r, struct step *st)
{
	struct service *s = st->s;

	r->u->by_slot[s->slot] = s;
	TAILQ_INSERT_TAIL(&r->u->services, s, entry);
	s->holds &= ~(uint32_t)HOLD_WORK;
	r->opened++;
	if (!st->cs->enabled)
		return;
	fetch_doors(r->u, s, &st->cs->listen, USE_LISTEN);
	fetch_doors(r->u, s, &st->cs->trigger, USE_TRIGGER);
	doors_begin(s);
}

/* Paths that were bound beside an old door's are that door's place now,
 * before any old one is drained. */
static void put_in_place(struct reload *r)
{
	struct endpoint *ep;

	for (size_t i = 0; i < r->n; i++) {
		struct step *st = &r->steps[i];
		struct service *s = st->fresh ? st->s : st->staging;

		if (s && st->deferred)
			TAILQ_FOREACH(ep, &s->endpoints, entry)
				beside_put(ep);
	}
}

static void retire_rest(struct reload *r)
{
	struct usher *u = r->u;
	struct service *s, *next;

	for (s = TAILQ_FIRST(&u->services); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!s->retiring)
			continue;
		TAILQ_REMOVE(&u->services, s, entry);
		TAILQ_INSERT_TAIL(&u->gone, s, entry);
		r->closed++;
		action_retire(s, false);
	}
}

void reload_commit(struct reload *r)
{
	struct usher *u = r->u;

	if (r->deferred) {
		beside_part(u);
		put_in_place(r);
	}
	for (size_t i = 0; i < r->n; i++)
		if (!r->steps[i].fresh)
			commit_change(r, &r->steps[i]);
	for (size_t i = 0; i < r->n; i++)
		if (r->steps[i].fresh)
			commit_new(r, &r->steps[i]);
	retire_rest(r);
	if (r->deferred)
		beside_end(u);
	conf_unref(&u->conf);
	u->conf = conf_ref(r->conf);
	if (u->on_conf)
		u->on_conf(u);
}
