/*
 * model - services: made, found, named, degraded; see model.h.
 *
 * Counters live in the state's slots and survive this process. Doors are
 * inlet's, workers are work's; here is only what all of them know of a
 * service.
 */
#include "model/model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const refusals[REFUSED_KINDS] = {
	[REFUSED_FULL] = "full",
	[REFUSED_RATE] = "rate",
	[REFUSED_SOURCE] = "source",
	[REFUSED_SOURCE_RATE] = "source_rate",
	[REFUSED_DENIED] = "denied",
	[REFUSED_PROXY] = "proxy",
	[REFUSED_BACKEND] = "backend",
	[REFUSED_START] = "start",
	[REFUSED_TORN] = "torn",
	[REFUSED_LONG] = "long",
	[REFUSED_SLOW] = "slow",
	[REFUSED_FDS] = "descriptors",
};

const char *refusal_name(enum refusal why)
{
	return (unsigned)why < REFUSED_KINDS ? refusals[why] : "?";
}

struct service *model_find(struct usher *u, const char *name)
{
	int slot = slot_find(name, false);

	return slot < 0 ? NULL : model_by_slot(u, (uint32_t)slot);
}

struct service *model_by_slot(struct usher *u, uint32_t slot)
{
	return slot < slot_max() ? u->by_slot[slot] : NULL;
}

struct service *service_new(struct usher *u, struct conf *c,
			    const struct conf_service *cs)
{
	int slot = slot_find(cs->name, true);
	struct service *s;

	if (slot < 0)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->u = u;
	s->owner = conf_ref(c);
	s->conf = cs;
	s->name = cs->name;
	s->slot = (uint32_t)slot;
	s->data = (struct slot_data *)(void *)slot_at(s->slot)->data;
	if (!s->data->since)
		s->data->since = (uint64_t)loop_now(u->loop);
	TAILQ_INIT(&s->endpoints);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->headers);
	u->by_slot[slot] = s;
	return s;
}

void service_free(struct service *s)
{
	timer_cancel(s->u->loop, &s->retry);
	timer_cancel(s->u->loop, &s->drain);
	task_cancel(s->u->loop, &s->offer);
	/* A service of the same name may have come meanwhile: it goes on
	 * with the slot. */
	if (s->u->by_slot[s->slot] == s) {
		s->u->by_slot[s->slot] = NULL;
		slot_end(s->slot);
	}
	conf_unref(&s->owner);
	free(s->degraded);
	free(s->last_line);
	free(s);
}

enum service_state service_state(const struct service *s)
{
	if (s->gone)
		return SERVICE_GONE;
	if (!s->conf->enabled)
		return SERVICE_DISABLED;
	if (s->degraded)
		return SERVICE_DEGRADED;
	if (s->draining || (s->holds & HOLD_DRAIN))
		return SERVICE_DRAINING;
	if (s->holds & HOLD_PAUSE)
		return SERVICE_PAUSED;
	if (s->rolling)
		return SERVICE_ROLLING;
	return s->starting ? SERVICE_STARTING : SERVICE_RUNNING;
}

const char *service_state_name(enum service_state state)
{
	static const char *const names[] = {
		[SERVICE_STARTING] = "starting",
		[SERVICE_RUNNING] = "running",
		[SERVICE_ROLLING] = "rolling",
		[SERVICE_PAUSED] = "paused",
		[SERVICE_DRAINING] = "draining",
		[SERVICE_DEGRADED] = "degraded",
		[SERVICE_DISABLED] = "disabled",
		[SERVICE_GONE] = "gone",
	};

	return names[state];
}

void service_changed(struct service *s)
{
	s->data->since = (uint64_t)loop_now(s->u->loop);
	if (s->u->on_change)
		s->u->on_change(s->u, s);
}

void service_degrade(struct service *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (s->degraded && strcmp(s->degraded, text) == 0)
		return;
	if (!s->degraded)
		s->degraded_since = loop_now(s->u->loop);
	free(s->degraded);
	s->degraded = xstrdup(text);
	log_write(LOG_LEVEL_ERROR,
		  &(struct log_about){ .service = s->name,
				       .event = "degraded" },
		  s->last_line ? "%s; its last line: %s" : "%s", text,
		  s->last_line);
	service_changed(s);
}

void service_recover(struct service *s)
{
	if (!s->degraded)
		return;
	free(TAKE(s->degraded));
	free(TAKE(s->last_line));
	log_write(LOG_LEVEL_NOTICE,
		  &(struct log_about){ .service = s->name,
				       .event = "recovered" },
		  "serves again after %lld s",
		  (long long)(loop_now(s->u->loop) - s->degraded_since) /
			  1000);
	service_changed(s);
}

bool service_has_room(struct service *s)
{
	return !s->handler->room || s->handler->room(s);
}

int service_roll(struct service *s,
		 void (*done)(void *arg, int result, const char *why),
		 void *arg)
{
	return s->handler->roll ? s->handler->roll(s, done, arg)
				: -EOPNOTSUPP;
}

void service_room(struct service *s)
{
	s->u->on_room(s);
}

void service_gone(struct service *s)
{
	s->u->on_gone(s);
}

struct text_range service_workers(const struct service *s)
{
	return s->data->set & SET_SCALED ? s->data->scale : s->conf->workers;
}

void service_refused(struct service *s, enum refusal why)
{
	s->data->refused[why]++;
}
