/*
 * open - every service of a configuration: at a cold start with its doors,
 * after a take-over without, until the records are hung in.
 */
#include <errno.h>

#include "action/action.h"
#include "action/doors.h"

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
