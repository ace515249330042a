/*
 * reload - a new configuration against the running model.
 *
 * The file is read in a thread. Prepare: every door that is new is opened
 * beside what runs (in a staging service that nobody sees); any failure
 * closes those again and is the answer. Commit: in one turn of the loop doors
 * and settings change hands. Retire: what the file no longer names is drained
 * and closed. Doors that stay keep socket, queue and counters.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "action/action.h"
#include "action/doors.h"
#include "base/net.h"
#include "base/offload.h"
#include "inlet/admit.h"
#include "inlet/beside.h"
#include "inlet/listener.h"
#include "trigger/trigger.h"

/* What becomes of one service of the new file. */
struct step {
	struct service *s;	/* the running one, or NULL: new */
	const struct conf_service *cs;
	struct service *staging;	/* holds the doors opened for it */
	unsigned diff;
};

struct reload {
	struct usher *u;
	struct conf_source source;
	struct conf *conf, *old;
	struct conf_report report;
	int result;
	bool wait;
	action_done *done;
	void *arg;
	struct step *steps;
	size_t n;
	unsigned rolling;	/* rolls that are waited for */
	int64_t began;
	size_t opened, changed, closed;
	char *failed;		/* a roll's reason */
};

/* One at a time. */
static struct reload *under_way;

static void reload_free(struct reload *r)
{
	conf_unref(&r->conf);
	conf_unref(&r->old);
	conf_report_free(&r->report);
	free(r->steps);
	free(r->failed);
	free(r);
}

static void answer(struct reload *r, int result, const char *text)
{
	if (under_way == r)
		under_way = NULL;
	if (r->done)
		r->done(r->arg, result, text);
	reload_free(r);
}

/* ---- prepare ---- */

/* A door of the running model, whoever has it now. */
static struct endpoint *find_anywhere(struct usher *u, const struct addr *a,
				      enum endpoint_use use)
{
	struct service *s;
	struct endpoint *ep;

	TAILQ_FOREACH(s, &u->services, entry) {
		ep = doors_find(s, a, use);
		if (ep)
			return ep;
	}
	return NULL;
}

static struct service *stage(struct reload *r, struct step *st)
{
	struct service *s;

	if (st->staging)
		return st->staging;
	s = xcalloc(1, sizeof(*s));
	s->u = r->u;
	s->conf = st->cs;
	s->name = st->cs->name;
	s->slot = RECORD_NOBODY;
	s->holds = HOLD_WORK;	/* nobody looks at its doors yet */
	TAILQ_INIT(&s->endpoints);
	TAILQ_INIT(&s->waiting);
	return st->staging = s;
}

static void unstage(struct step *st)
{
	struct endpoint *ep;

	if (!st->staging)
		return;
	while ((ep = TAILQ_FIRST(&st->staging->endpoints)))
		doors_close(ep);
	free(st->staging->degraded);
	free(TAKE(st->staging));
}

static bool wanted_by(const struct conf_service *cs, const struct endpoint *ep)
{
	const struct conf_addrs *list =
		ep->use == USE_LISTEN ? &cs->listen : &cs->trigger;

	for (size_t i = 0; cs->enabled && i < list->n; i++)
		if (addr_same(&list->v[i].addr, &ep->addr))
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
		TAILQ_FOREACH(ep, &s->endpoints, entry) {
			ep->yields = !ep->adopted || s->retiring;
			for (size_t i = 0; ep->yields && i < r->n; i++)
				ep->yields = !wanted_by(r->steps[i].cs, ep);
		}
}

static int prepare_list(struct reload *r, struct step *st,
			const struct conf_addrs *list, enum endpoint_use use,
			char **why)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct addr *a = &list->v[i].addr;
		CLEANUP(freep) char *text = NULL;
		int res;

		if (find_anywhere(r->u, a, use))
			continue;
		res = doors_open_one(stage(r, st), a, use, &text);
		if (res == 0)
			continue;
		*why = xasprintf("%s:%u: [service %s] %s: %s",
				 list->v[i].where.file, list->v[i].where.line,
				 st->cs->name,
				 use == USE_LISTEN ? "listen" : "trigger",
				 text ?: strerror(-res));
		return res;
	}
	return 0;
}

/* A degraded service's doors may go on failing: it is tried again anyway. */
static int prepare_step(struct reload *r, struct step *st, char **why)
{
	int res;

	if (!st->cs->enabled || (st->s && st->diff == 0))
		return 0;
	res = prepare_list(r, st, &st->cs->listen, USE_LISTEN, why);
	if (res == 0)
		res = prepare_list(r, st, &st->cs->trigger, USE_TRIGGER, why);
	return res;
}

/* In the thread: both configurations are constants. */
static void compare_all(struct reload *r)
{
	struct conf_service *cs;

	r->steps = xcalloc(r->conf->nservices, sizeof(*r->steps));
	TAILQ_FOREACH(cs, &r->conf->services, entry) {
		struct step *st = &r->steps[r->n++];
		const struct conf_service *old = conf_find(r->old, cs->name);

		st->cs = cs;
		if (old)
			st->diff = conf_compare(old, cs, NULL);
		if (cs->protocol == PROTOCOL_POSTFIX)
			st->diff |= CONF_WORKERS;	/* main.cf may have */
	}
}

/* Which running service each step keeps: by name, unless another handler
 * altogether deals with it from now on (the old goes, a new comes). */
static void plan(struct reload *r)
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

/* ---- commit ---- */

static void rolled(void *arg, int result, const char *why)
{
	struct reload *r = arg;

	if (result < 0 && result != -ECANCELED && !r->failed)
		r->failed = xstrdup(why ?: strerror(-result));
	if (--r->rolling > 0)
		return;
	if (r->failed) {
		CLEANUP(freep) char *text = xasprintf("reloaded, but a roll "
						      "failed: %s", r->failed);

		answer(r, -EIO, text);
		return;
	}
	answer(r, 0, "reloaded");
}

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

		while (!doors_find(s, a, use) &&
		       (ep = find_anywhere(u, a, use)) && ep->service != s) {
			struct service *from = ep->service;

			/* All names of one address move together. */
			for (; ep; ep = doors_find(from, a, use))
				doors_move(ep, s);
		}
	}
}

static bool names(const struct conf_addrs *list, const struct endpoint *ep)
{
	for (size_t i = 0; i < list->n; i++)
		if (addr_same(&list->v[i].addr, &ep->addr))
			return true;
	return false;
}

static void note(void *arg, const char *text)
{
	service_log((struct service *)arg, LOG_LEVEL_WARNING, "%s", text);
}

/* Doors that are no longer named are drained and closed; of those that stay,
 * options that a live socket can change are changed. */
static void settle_doors(struct service *s, const struct conf_service *cs)
{
	struct endpoint *ep, *next;

	for (ep = TAILQ_FIRST(&s->endpoints); ep; ep = next) {
		const struct conf_addrs *list =
			ep->use == USE_LISTEN ? &cs->listen : &cs->trigger;
		const struct net_note n = { note, s };

		next = TAILQ_NEXT(ep, entry);
		if (ep->adopted)
			continue;
		if (!names(list, ep)) {
			if (ep->use == USE_LISTEN && !s->holds)
				listener_drain(ep);
			doors_close(ep);
			continue;
		}
		for (size_t i = 0; i < list->n; i++) {
			if (!addr_same(&list->v[i].addr, &ep->addr))
				continue;
			addr_free(&ep->addr);
			addr_copy(&ep->addr, &list->v[i].addr);
		}
		if (ep->addr.kind != ADDR_FIFO)
			net_apply(record_at(ep->record)->fd[0], &ep->addr, &n);
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
	s->handler->changed(s, old, st->diff);
	if (s->triggers)
		trigger_changed(s);
	conf_unref(&owner);
	doors_begin(s);
}

static void commit_new(struct reload *r, struct step *st)
{
	struct service *s = service_new(r->u, r->conf, st->cs);

	if (!s) {
		log_error("%s: no room for more services", st->cs->name);
		unstage(st);
		return;
	}
	TAILQ_INSERT_TAIL(&r->u->services, s, entry);
	s->handler = action_handler(st->cs);
	r->opened++;
	if (!st->cs->enabled)
		return;
	take_doors(s, st);
	fetch_doors(r->u, s, &st->cs->listen, USE_LISTEN);
	fetch_doors(r->u, s, &st->cs->trigger, USE_TRIGGER);
	doors_begin(s);
}

static void commit(struct reload *r)
{
	struct usher *u = r->u;
	struct service *s, *next;

	for (size_t i = 0; i < r->n; i++)
		if (r->steps[i].s)
			commit_change(r, &r->steps[i]);
	for (size_t i = 0; i < r->n; i++)
		if (!r->steps[i].s)
			commit_new(r, &r->steps[i]);
	for (s = TAILQ_FIRST(&u->services); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!s->retiring)
			continue;
		TAILQ_REMOVE(&u->services, s, entry);
		TAILQ_INSERT_TAIL(&u->gone, s, entry);
		r->closed++;
		action_retire(s, false);
	}
	conf_unref(&u->conf);
	u->conf = conf_ref(r->conf);
	if (u->on_conf)
		u->on_conf(u);
}

/* Who waits is answered when all have settled, the others now. The next
 * reload may begin: a roll that it overtakes is dropped. */
static void roll_changed(struct reload *r)
{
	under_way = NULL;
	if (!r->wait && r->done)
		r->done(r->arg, 0, "reloaded");
	if (!r->wait)
		r->done = NULL;
	r->rolling = 1;		/* ours, so that it is not over at once */
	for (size_t i = 0; i < r->n; i++) {
		struct step *st = &r->steps[i];

		if (!st->s || !(st->diff & CONF_WORKERS))
			continue;
		r->rolling++;
		if (st->s->handler->roll(st->s, rolled, r) < 0)
			r->rolling--;
	}
	rolled(r, 0, NULL);
}

/* ---- the way ---- */

static void read_file(void *arg)
{
	struct reload *r = arg;

	r->result = conf_load(&r->source, &r->conf, &r->report);
	if (r->result == 0)
		compare_all(r);
}

static char *all_errors(const struct reload *r)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < r->report.errors.n; i++) {
		char *more = xasprintf("%s%s%s", text, i ? "\n" : "",
				       r->report.errors.v[i]);

		free(text);
		text = more;
	}
	return text;
}

static void go_on(void *arg)
{
	struct reload *r = arg;
	CLEANUP(freep) char *why = NULL;
	CLEANUP(freep) char *text = NULL;

	if (r->u->stopping)
		r->result = -ESHUTDOWN;
	if (r->result < 0) {
		text = all_errors(r);
		answer(r, r->result, *text ? text : strerror(-r->result));
		return;
	}
	plan(r);
	mark_yielding(r);
	for (size_t i = 0; i < r->n && r->result == 0; i++)
		r->result = prepare_step(r, &r->steps[i], &why);
	if (r->result < 0) {
		for (size_t i = 0; i < r->n; i++)
			unstage(&r->steps[i]);
		beside_end(r->u);
		answer(r, r->result, why);
		return;
	}
	beside_deafen(r->u);
	commit(r);
	beside_end(r->u);
	log_notice("reloaded: %zu service%s, %zu new, %zu changed, %zu gone",
		   r->conf->nservices, r->conf->nservices == 1 ? "" : "s",
		   r->opened, r->changed, r->closed);
	roll_changed(r);
}

int action_reload(struct usher *u, bool wait, action_done *done, void *arg)
{
	struct reload *r;
	int result;

	if (under_way)
		return -EBUSY;
	r = xcalloc(1, sizeof(*r));
	r->u = u;
	r->source = u->source;
	r->old = conf_ref(u->conf);
	r->wait = wait;
	r->done = done;
	r->arg = arg;
	r->began = loop_now(u->loop);
	result = offload(read_file, go_on, r);
	if (result < 0)
		reload_free(r);
	else
		under_way = r;
	return result;
}

int action_revive(struct usher *u, struct conf *c)
{
	struct conf_service *cs;

	u->conf = conf_ref(c);
	TAILQ_FOREACH(cs, &c->services, entry) {
		struct service *s = service_new(u, c, cs);

		if (!s)
			return -ENOSPC;
		TAILQ_INSERT_TAIL(&u->services, s, entry);
		s->handler = action_handler(cs);
	}
	return 0;
}

static int begin_all(struct usher *u)
{
	struct service *s;
	int open = 0;

	TAILQ_FOREACH(s, &u->services, entry)
		if (s->conf->enabled && doors_begin(s) > 0)
			open++;
	return open;
}

void action_resume_all(struct usher *u)
{
	begin_all(u);
}

int action_open(struct usher *u, struct conf *c)
{
	int r = action_revive(u, c);

	return r < 0 ? r : begin_all(u);
}
