/*
 * agent - HAProxy's agent-check: how is a service doing?
 *
 * One line and the end (HAProxy's manual, "agent-check"): `ready up N%`, the
 * weight by what is idle; `drain` once a drain was asked for, while the doors
 * may still be open; `maint` when paused; `down` when it can't serve. What
 * the asker says (agent-send) is read and forgotten, so that no reset
 * overtakes the line.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "builtin/builtin.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"

/* An asker that does not close is left. */
#define PATIENCE_MS 2000

struct asker {
	TAILQ_ENTRY(asker) entry;
	struct service *service;
	int record;
	struct timer timer;
	struct conn_end end;
};

struct agent {
	TAILQ_HEAD(, asker) askers;
	uint32_t n;
	bool stopping;
};

/* ---- the answer ---- */

static void count_busy(void *arg, const struct worker_info *w)
{
	uint32_t *busy = arg;

	*busy += strcmp(w->state, "busy") == 0;
}

/* What is free of what there may be, in percent, 1 at least: 0 is drain. */
static unsigned share(uint32_t busy, uint32_t most)
{
	unsigned free_share = busy >= most ? 0 : 100 * (most - busy) / most;

	return free_share ? free_share : 1;
}

static unsigned weight(struct service *s)
{
	const struct conf_service *c = s->conf;
	uint32_t busy = 0;

	if (c->handler == HANDLER_EXEC && c->handoff != HANDOFF_SPAWN &&
	    s->handler->workers && s->work) {
		s->handler->workers(s, count_busy, &busy);
		return share(busy, service_workers(s).max
				   ? service_workers(s).max : 1);
	}
	if (c->max_connections)
		return share(admit_inside(s), (uint32_t)c->max_connections);
	return 100;
}

static void answer(struct service *s, char *buf, size_t len)
{
	switch (s ? service_state(s) : SERVICE_GONE) {
	case SERVICE_DRAINING:
		snprintf(buf, len, "drain\n");
		break;
	case SERVICE_PAUSED:
	case SERVICE_DISABLED:
		snprintf(buf, len, "maint\n");
		break;
	case SERVICE_GONE:
		snprintf(buf, len, "down #no such service\n");
		break;
	case SERVICE_DEGRADED:
		/* Its text is ours, but may hold a line's end. */
		snprintf(buf, len, "down #%.100s\n", s->degraded);
		break;
	case SERVICE_STARTING:
	case SERVICE_RUNNING:
	case SERVICE_ROLLING:
		snprintf(buf, len, "ready up %u%%\n", weight(s));
		break;
	}
}

/* ---- askers ---- */

static void gone_if_done(struct service *s)
{
	struct agent *a = s->work;

	if (a->stopping && a->n == 0) {
		a->stopping = false;
		service_gone(s);
	}
}

static void leave(struct asker *k)
{
	struct service *s = k->service;
	struct agent *a = s->work;

	s->data->served++;
	arrival_end(s, &k->end);
	timer_cancel(s->u->loop, &k->timer);
	TAILQ_REMOVE(&a->askers, k, entry);
	a->n--;
	fd_no_linger(record_at(k->record)->fd[0]);
	record_close(k->record);
	free(k);
	service_room(s);
}

static void on_patience(void *arg)
{
	struct asker *k = arg;
	struct service *s = k->service;

	leave(k);
	gone_if_done(s);
}

static void on_readable(void *arg, uint32_t events)
{
	struct asker *k = arg;
	struct service *s = k->service;
	char buf[512];
	ssize_t n = recv(record_at(k->record)->fd[0], buf, sizeof(buf),
			 MSG_DONTWAIT);

	(void)events;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	leave(k);
	gone_if_done(s);
}

static int start(struct service *s)
{
	struct agent *a = s->work;

	if (a)
		return 0;
	s->work = a = xcalloc(1, sizeof(*a));
	TAILQ_INIT(&a->askers);
	return 0;
}

static int arrive(struct service *s, struct conn *c)
{
	int record = record_new(RECORD_CONN, s->slot, CONN_AGENT);
	struct agent *a = s->work;
	struct asker *k;
	char text[160];

	if (record < 0)
		return -EAGAIN;
	k = xcalloc(1, sizeof(*k));
	k->service = s;
	k->record = record;
	k->end = (struct conn_end){ .cookie = c->cookie,
				    .source = c->source,
				    .accepted_us = c->accepted_us,
				    .peer = c->peer,
				    .up = -1,
				    .ended = true };
	TAILQ_INSERT_TAIL(&a->askers, k, entry);
	a->n++;
	answer(model_find(s->u, s->conf->agent_of), text, sizeof(text));
	send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(c->fd, SHUT_WR);
	record_at(record)->id = c->cookie;
	record_set_fd(record, 0, fd_take(&c->fd));
	record_commit(record);
	timer_set(s->u->loop, &k->timer, PATIENCE_MS, on_patience, k);
	loop_watch(s->u->loop, record, 0, EPOLLIN, on_readable, k);
	return 0;
}

static void stop(struct service *s, bool now)
{
	struct agent *a;
	struct asker *k;

	start(s);
	a = s->work;
	a->stopping = true;
	while (now && (k = TAILQ_FIRST(&a->askers)))
		leave(k);
	gone_if_done(s);
}

static uint32_t busy(const struct service *s)
{
	const struct agent *a = s->work;

	return a ? a->n : 0;
}

static void end(struct service *s)
{
	struct agent *a = s->work;
	struct asker *k;

	while (a && (k = TAILQ_FIRST(&a->askers)))
		leave(k);
	free(TAKE(s->work));
}

/* No adopt: who asks was answered already. */
const struct handler handler_agent = {
	.name = "agent",
	.start = start,
	.arrive = arrive,
	.stop = stop,
	.busy = busy,
	.end = end,
};
