/*
 * open - every service of a configuration: at a cold start with its doors,
 * after a take-over without, until the records are hung in. Then those too
 * that an earlier file named and that have something to finish.
 */
#include <errno.h>

#include "action/action.h"
#include "action/doors.h"
#include "inlet/admit.h"
#include "trigger/trigger.h"

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

/* A service has its slot until it has ended, and no new name is new in it. */
void action_revive_leaving(struct usher *u, struct conf *c)
{
	struct conf_service *cs;

	TAILQ_FOREACH(cs, &c->services, entry) {
		struct service *s;

		if (model_find(u, cs->name) || slot_find(cs->name, false) < 0)
			continue;
		/* Nobody is started to take part in its end. */
		cs->workers.min = 0;
		s = service_new(u, c, cs);
		if (!s)
			return;
		s->data->set &= ~(uint32_t)SET_SCALED;
		s->gone = true;
		s->handler = action_handler(cs);
		TAILQ_INSERT_TAIL(&u->gone, s, entry);
	}
}

static void leave_on(struct usher *u)
{
	struct service *s, *next;

	for (s = TAILQ_FIRST(&u->gone); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		admit_open(s);
		s->handler->start(s);
		if (s->triggers)
			trigger_start(s);
		action_retire(s, false);
	}
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
	leave_on(u);
}

int action_open(struct usher *u, struct conf *c)
{
	int r = action_revive(u, c);

	return r < 0 ? r : begin_all(u);
}
