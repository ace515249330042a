/*
 * shutdown - the house closes: doors first, then what is in flight, then
 * workers.
 */
#include <errno.h>
#include <string.h>

#include "action/action.h"
#include "action/doors.h"
#include "inlet/arrival.h"
#include "inlet/leaving.h"
#include "inlet/listener.h"
#include "inlet/proxy.h"
#include "trigger/trigger.h"

/* How often a service that goes is asked for its runs. */
#define LOOK_MS 20
/* How long what got SIGKILL may take to be gone. */
#define KILLED_MS 5000
/* Services are told for so long in a turn of the loop. */
#define SLICE_US 500

struct ending {
	struct usher *u;
	action_done *done;
	void *arg;
	struct timer patience, turn;
	unsigned hurry;		/* so often it was said: at once */
};

/* One end in a process's life. */
static struct ending ending;

static void close_doors(struct service *s)
{
	struct endpoint *ep, *next;

	for (ep = TAILQ_FIRST(&s->endpoints); ep; ep = next) {
		next = TAILQ_NEXT(ep, entry);
		if (ep->use == USE_LISTEN &&
		    !(s->holds & (HOLD_SHARED | HOLD_PAUSE)))
			listener_drain(ep);
	}
}

/* What was never started (enabled = no) has nothing to stop. */
static void stop_handler(struct service *s, bool now)
{
	if (s->work)
		s->handler->stop(s, now);
	else
		service_gone(s);
}

/* What has come in and waits for its turn still needs the handler. */
static void stop_after_runs(void *arg)
{
	struct service *s = arg;

	if (trigger_pending(s) + trigger_running(s) + proxy_pending(s) +
		    arrival_waiting(s) > 0)
		timer_set(s->u->loop, &s->retry, LOOK_MS, stop_after_runs, s);
	else
		stop_handler(s, false);
}

/* Stops what takes arrivals, then what serves them. */
void action_retire(struct service *s, bool now)
{
	struct endpoint *ep;

	timer_cancel(s->u->loop, &s->retry);
	timer_cancel(s->u->loop, &s->drain);
	if (!s->gone) {
		s->gone = true;
		close_doors(s);
	}
	trigger_stop(s, now);
	while ((ep = TAILQ_FIRST(&s->endpoints)))
		doors_close(ep);
	if (now)
		arrival_drop_waiting(s);
	if (now)
		stop_handler(s, true);
	else
		stop_after_runs(s);
}

static bool all_gone(const struct usher *u)
{
	return TAILQ_EMPTY(&u->services) && TAILQ_EMPTY(&u->gone);
}

static void finish(void)
{
	action_done *done = TAKE(ending.done);

	timer_cancel(ending.u->loop, &ending.patience);
	timer_cancel(ending.u->loop, &ending.turn);
	action_drain_end();
	if (done)
		done(ending.arg, 0, "stopped");
}

/* What usher.on_gone is. */
void action_gone(struct service *s)
{
	struct usher *u = s->u;

	if (!s->gone)
		return;
	doors_end(s);
	TAILQ_REMOVE(&u->gone, s, entry);
	service_free(s);
	if (u->stopping && all_gone(u))
		finish();
}

/* The next one to be told; those who were are at the end of `gone`. Each
 * "at once" is for all of them: what was told before gets SIGKILL. */
static struct service *retire_next(struct usher *u)
{
	struct service *s = TAILQ_FIRST(&u->services);

	if (s) {
		TAILQ_REMOVE(&u->services, s, entry);
	} else {
		s = TAILQ_FIRST(&u->gone);
		if (!s || s->hurried == ending.hurry)
			return NULL;
		TAILQ_REMOVE(&u->gone, s, entry);
	}
	TAILQ_INSERT_TAIL(&u->gone, s, entry);
	s->hurried = ending.hurry;
	return s;
}

/* Thousands of services take more than a turn of the loop. */
static void retire_some(void *arg)
{
	struct usher *u = arg;
	int64_t until = loop_us() + SLICE_US;
	struct service *s;

	while (loop_us() < until) {
		s = retire_next(u);
		if (!s) {
			if (all_gone(u))
				finish();
			return;
		}
		action_retire(s, ending.hurry > 0);
	}
	timer_set(u->loop, &ending.turn, 0, retire_some, u);
}

/* SIGKILL was sent to all of it: what still does not end never will, and an
 * end that is told to happen happens. Closing the house clears it. */
static void no_more(void *arg)
{
	struct usher *u = arg;
	struct service *s;

	TAILQ_FOREACH(s, &u->gone, entry)
		service_log(s, LOG_LEVEL_ERROR, "did not end (%s, %u in "
			    "flight); left as it is", s->handler->name,
			    s->handler->busy(s));
	finish();
}

static int64_t longest_stop(const struct usher *u)
{
	const struct service *s;
	int64_t ms = 0;

	TAILQ_FOREACH(s, &u->gone, entry)
		if (s->conf->stop_timeout > ms)
			ms = s->conf->stop_timeout;
	return ms;
}

static void out_of_patience(void *arg)
{
	struct usher *u = arg;

	log_notice("shutdown: what is left after shutdown_timeout is stopped");
	timer_set(u->loop, &ending.patience, longest_stop(u) + KILLED_MS,
		  no_more, u);
	ending.hurry++;
	retire_some(u);
}

void action_shutdown(struct usher *u, bool now, action_done *done, void *arg)
{
	ending.u = u;
	if (done) {
		ending.done = done;
		ending.arg = arg;
	}
	action_reload_end(u, -ESHUTDOWN, "usher is stopping");
	if (!u->stopping && u->conf->shutdown_timeout > 0)
		timer_set(u->loop, &ending.patience, u->conf->shutdown_timeout,
			  out_of_patience, u);
	u->stopping = true;
	leaving_end(u);
	ending.hurry += now;
	retire_some(u);
}

static void abandon(struct service *s)
{
	if (s->work) {		/* twice: SIGKILL */
		s->handler->stop(s, true);
		s->handler->stop(s, true);
	}
	doors_end(s);
	service_free(s);
}

void action_abandon(struct usher *u)
{
	struct service *s;

	leaving_end(u);
	while ((s = TAILQ_FIRST(&u->services))) {
		TAILQ_REMOVE(&u->services, s, entry);
		abandon(s);
	}
	while ((s = TAILQ_FIRST(&u->gone))) {
		TAILQ_REMOVE(&u->gone, s, entry);
		s->gone = false;	/* its end is not told upwards */
		abandon(s);
	}
}
