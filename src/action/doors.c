/*
 * doors - a service's doors as its settings name them; see doors.h.
 */
#include "action/doors.h"

#include <errno.h>
#include <string.h>

#include "action/action.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/beside.h"
#include "inlet/fifo.h"
#include "inlet/leaving.h"
#include "inlet/listener.h"
#include "inlet/passed.h"
#include "inlet/proxy.h"
#include "inlet/request.h"
#include "trigger/trigger.h"

/* A port that is held, a worker that does not come up: looked at again so
 * often, doubled up to a minute. */
#define RETRY_MS     1000
#define RETRY_MAX_MS 60000

int doors_open_one(struct service *s, const struct addr *addr,
		   enum endpoint_use use, char **why)
{
	if (addr->kind == ADDR_FIFO)
		return fifo_open(s, addr, use, why);
	return listener_open(s, addr, use, why);
}

struct endpoint *doors_find(struct service *s, const struct addr *addr,
			    enum endpoint_use use)
{
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &s->endpoints, entry)
		if (ep->use == use && addr_same(&ep->addr, addr))
			return ep;
	return NULL;
}

/* Opens what is missing of LIST; the first failure is S's reason. */
static int open_list(struct service *s, const struct conf_addrs *list,
		     enum endpoint_use use)
{
	int failed = 0;

	for (size_t i = 0; i < list->n; i++) {
		CLEANUP(freep) char *why = NULL;
		const struct addr *a = &list->v[i].addr;

		if (doors_find(s, a, use) ||
		    doors_open_one(s, a, use, &why) == 0)
			continue;
		if (!failed++)
			service_degrade(s, "%s", why ?: a->text);
	}
	return failed;
}

static void try_again(void *arg)
{
	doors_begin(arg);
}

static void later(struct service *s)
{
	if (s->retry_ms < RETRY_MS)
		s->retry_ms = RETRY_MS;
	timer_set(s->u->loop, &s->retry, s->retry_ms, try_again, s);
	if (s->retry_ms < RETRY_MAX_MS)
		s->retry_ms *= 2;
}

static bool has_triggers(const struct service *s)
{
	return s->conf->trigger.n || s->conf->every;
}

/* What was set by hand before (a reload, a crash) holds on. */
static void hold_again(struct service *s)
{
	if (s->data->set & SET_PAUSED)
		s->holds |= HOLD_PAUSE;
	if (s->data->set & SET_DRAINED)
		s->holds |= HOLD_DRAIN;
}

int doors_begin(struct service *s)
{
	struct endpoint *ep;
	int failed, open = 0, r = 0;

	hold_again(s);
	admit_open(s);
	failed = open_list(s, &s->conf->listen, USE_LISTEN) +
		 open_list(s, &s->conf->trigger, USE_TRIGGER);
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		open++;
	/* A handler that has none to start would not say that all is well. */
	if (s->shut && !failed)
		service_recover(s);
	s->shut = failed > 0;
	if (!s->handler)
		s->handler = action_handler(s->conf);
	r = s->handler->start(s);
	if (r == 0 && has_triggers(s))
		r = trigger_start(s);
	if (r < 0 && !s->degraded)
		service_degrade(s, "%s can't start: %s", s->handler->name,
				strerror(-r));
	service_hold(s, 0);
	if (failed || r < 0) {
		later(s);
	} else if (s->retry_ms) {
		s->retry_ms = 0;
		service_recover(s);
	}
	return open + (s->conf->every ? 1 : 0);
}

void doors_close(struct endpoint *ep)
{
	if (ep->use == USE_TRIGGER)
		request_leave(ep);
	if (beside_parts(ep))
		leaving_begin(ep);
	listener_close(ep, true);
}

void doors_move(struct endpoint *ep, struct service *to)
{
	if (ep->use == USE_TRIGGER)
		request_leave(ep);
	listener_move(ep, to);
}

void doors_end(struct service *s)
{
	struct endpoint *ep;

	arrival_drop_waiting(s);
	proxy_drop(s);
	passed_drop(s);
	trigger_stop(s, true);
	while ((ep = TAILQ_FIRST(&s->endpoints)))
		doors_close(ep);
	if (s->handler)
		s->handler->end(s);
	trigger_free(s);	/* a handler says how its runs ended */
	admit_free(s);
}
