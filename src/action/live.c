/*
 * live - pause, resume, drain, roll, scale: what is set by hand outlives
 * reload, upgrade and crash (in the slot), until it is undone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "action/action.h"
#include "inlet/listener.h"
#include "trigger/trigger.h"

#define DRAIN_LOOK_MS 50	/* --wait: how often emptiness is looked at */

int action_pause(struct service *s)
{
	s->data->set |= SET_PAUSED;
	service_hold(s, HOLD_PAUSE);
	service_changed(s);
	service_log(s, LOG_LEVEL_NOTICE,
		    "paused: arrivals wait in the kernel's queue");
	return 0;
}

int action_resume(struct service *s)
{
	s->data->set &= ~(uint32_t)(SET_PAUSED | SET_DRAINED);
	s->draining = false;
	timer_cancel(s->u->loop, &s->drain);
	service_release(s, HOLD_PAUSE | HOLD_DRAIN);
	service_room(s);
	service_changed(s);
	service_log(s, LOG_LEVEL_NOTICE, "resumed");
	return 0;
}

/* ---- drain ---- */

struct waiter {
	TAILQ_ENTRY(waiter) entry;
	struct service *s;
	uint32_t slot;
	struct usher *u;
	struct timer look;
	action_done *done;
	void *arg;
	int64_t began;
};

static TAILQ_HEAD(, waiter) waiters = TAILQ_HEAD_INITIALIZER(waiters);

static uint32_t in_flight(struct service *s)
{
	return s->handler->busy(s) + trigger_pending(s) + trigger_running(s);
}

static void answer(struct waiter *w, int result, const char *text)
{
	TAILQ_REMOVE(&waiters, w, entry);
	timer_cancel(w->u->loop, &w->look);
	w->done(w->arg, result, text);
	free(w);
}

static void look_again(void *arg)
{
	struct waiter *w = arg;
	struct service *s = model_by_slot(w->u, w->slot);
	char text[128];

	if (!s || s != w->s) {
		answer(w, -ECANCELED, "the service went meanwhile");
	} else if (!s->draining && !(s->holds & HOLD_DRAIN)) {
		answer(w, -ECANCELED, "resumed meanwhile");
	} else if ((s->holds & HOLD_DRAIN) && in_flight(s) == 0) {
		snprintf(text, sizeof(text), "%s: empty after %.1f s",
			 s->name,
			 (double)(loop_now(w->u->loop) - w->began) / 1000);
		answer(w, 0, text);
	} else {
		timer_set(w->u->loop, &w->look, DRAIN_LOOK_MS, look_again, w);
	}
}

static void stop_accepting(void *arg)
{
	struct service *s = arg;

	s->data->set |= SET_DRAINED;
	service_hold(s, HOLD_DRAIN);
	service_changed(s);
	service_log(s, LOG_LEVEL_NOTICE, "draining: accepting has stopped");
}

int action_drain(struct service *s, int64_t after_ms, bool wait,
		 action_done *done, void *arg)
{
	struct waiter *w;
	char text[128];

	s->draining = true;	/* the agent says so from now on */
	if (after_ms > 0)
		timer_set(s->u->loop, &s->drain, after_ms, stop_accepting, s);
	else
		stop_accepting(s);
	if (!done)
		return 0;
	if (!wait) {
		snprintf(text, sizeof(text), "%s: draining, %u in flight",
			 s->name, in_flight(s));
		done(arg, 0, text);
		return 0;
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct waiter){ .s = s, .slot = s->slot, .u = s->u,
			      .done = done, .arg = arg,
			      .began = loop_now(s->u->loop) };
	TAILQ_INSERT_TAIL(&waiters, w, entry);
	timer_set(s->u->loop, &w->look, 0, look_again, w);
	return 0;
}

void action_drain_end(void)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&waiters)))
		answer(w, -ECANCELED, "usher ended meanwhile");
}

/* ---- roll ---- */

struct rolling {
	struct usher *u;
	char name[SLOT_NAME];
	int64_t began;
	uint64_t refused;
	action_done *done;
	void *arg;
};

static uint64_t all_refused(const struct service *s)
{
	uint64_t n = 0;

	for (int i = 0; i < REFUSED_KINDS; i++)
		n += s->data->refused[i];
	return n;
}

static void rolled(void *arg, int result, const char *why)
{
	struct rolling *r = arg;
	struct service *s = model_find(r->u, r->name);
	char text[512];

	if (result == 0 && s)
		snprintf(text, sizeof(text),
			 "%s: generation %u ready in %.1f s, %llu refused, "
			 "%u in flight", r->name, s->data->generation,
			 (double)(loop_now(r->u->loop) - r->began) / 1000,
			 (unsigned long long)(all_refused(s) - r->refused),
			 s->handler->busy(s));
	else
		snprintf(text, sizeof(text), "%s: roll failed: %s", r->name,
			 why ?: strerror(-result));
	r->done(r->arg, result, text);
	free(r);
}

int action_roll(struct service *s, bool wait, action_done *done, void *arg)
{
	struct rolling *r;
	char text[128];
	int result;

	if (!done || !wait) {
		result = service_roll(s, NULL, NULL);
		snprintf(text, sizeof(text), "%s: %s", s->name,
			 result < 0 ? "nothing to roll" : "rolling");
		if (done)
			done(arg, result, text);
		return result;
	}
	r = xcalloc(1, sizeof(*r));
	*r = (struct rolling){ .u = s->u, .done = done, .arg = arg,
			       .began = loop_now(s->u->loop),
			       .refused = all_refused(s) };
	snprintf(r->name, sizeof(r->name), "%s", s->name);
	result = service_roll(s, rolled, r);
	if (result < 0)
		rolled(r, result, "nothing to roll");
	return 0;
}

int action_scale(struct service *s, struct text_range range)
{
	if (!s->handler->scale)
		return -EOPNOTSUPP;
	s->data->scale = range;
	s->data->set |= SET_SCALED;
	service_log(s, LOG_LEVEL_NOTICE, "workers set to %u-%u", range.min,
		    range.max);
	return s->handler->scale(s);
}
