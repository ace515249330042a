/*
 * monitor - the event stream; see the header.
 *
 * Events come from inside others' work (the log's tap, a change of state), so
 * here nothing is logged and nothing freed: they are queued, and a task sends
 * them.
 */
#include "control/monitor.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "control/commands.h"
#include "control/server.h"

/* Beyond this a client's events are counted, not kept; below the second it
 * is told how many those were. */
#define UNREAD_MAX  (256 * 1024)
#define UNREAD_GOOD (64 * 1024)

struct watcher {
	TAILQ_ENTRY(watcher) entry;
	struct call *call;
	char *service;		/* only its events, or NULL */
	uint64_t missed;
};

struct monitor {
	struct control *control;
	TAILQ_HEAD(, watcher) watchers;
	/* The model's own, before us. */
	void (*on_change)(struct usher *u, struct service *s);
};

static double wall_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)(ts.tv_nsec / 1000000) / 1000;
}

static json_t *event_new(const char *kind)
{
	json_t *e = json_object();

	json_put_text(e, "event", kind);
	json_put(e, "time", json_real(wall_clock()));
	return e;
}

static size_t send_event(struct watcher *l, json_t *event)
{
	json_t *reply = json_object();

	json_put(reply, "event", event);
	return call_continue(l->call, reply);
}

/* Is there room for one more? Tells of those missed once there is again. */
static bool keeps_up(struct watcher *l)
{
	size_t unread = call_unread(l->call);
	json_t *e;

	if (unread > UNREAD_MAX || (l->missed && unread > UNREAD_GOOD)) {
		l->missed++;
		return false;
	}
	if (!l->missed)
		return true;
	e = event_new("missed");
	json_put_int(e, "count", (int64_t)l->missed);
	l->missed = 0;
	send_event(l, e);
	return true;
}

static void tell(struct monitor *m, const char *service, json_t *event)
{
	struct watcher *l;

	TAILQ_FOREACH(l, &m->watchers, entry) {
		if (l->service &&
		    (!service || strcmp(l->service, service) != 0))
			continue;
		if (keeps_up(l))
			send_event(l, json_incref(event));
	}
	json_decref(event);
}

static void on_log(void *arg, enum log_level level,
		   const struct log_about *about, const char *text)
{
	struct monitor *m = arg;
	json_t *e;

	if (TAILQ_EMPTY(&m->watchers))
		return;
	e = event_new("log");
	json_put_text(e, "level", log_level_name(level));
	json_put_text(e, "message", text);
	if (about && about->service)
		json_put_text(e, "service", about->service);
	if (about && about->event)
		json_put_text(e, "name", about->event);
	if (about && about->pid)
		json_put_int(e, "pid", about->pid);
	if (about && about->cookie)
		json_put_int(e, "cookie", (int64_t)about->cookie);
	if (about && about->source)
		json_put_text(e, "source", about->source);
	tell(m, about ? about->service : NULL, e);
}

static void on_change(struct usher *u, struct service *s)
{
	struct control *c = u->control;
	struct monitor *m = c->monitor;
	json_t *e;

	if (m->on_change)
		m->on_change(u, s);
	if (TAILQ_EMPTY(&m->watchers))
		return;
	e = event_new("state");
	json_put_text(e, "service", s->name);
	json_put_text(e, "state", service_state_name(service_state(s)));
	if (s->degraded)
		json_put_text(e, "reason", s->degraded);
	json_put_int(e, "generation", s->data->generation);
	tell(m, s->name, e);
}

/* ---- who listens ---- */

static struct watcher *watcher_of(struct monitor *m, const struct call *c)
{
	struct watcher *l;

	TAILQ_FOREACH(l, &m->watchers, entry)
		if (l->call == c)
			return l;
	return NULL;
}

static void watcher_end(struct monitor *m, struct watcher *l)
{
	TAILQ_REMOVE(&m->watchers, l, entry);
	free(l->service);
	free(l);
}

static void on_drop(struct call *c)
{
	struct monitor *m = c->control->monitor;
	struct watcher *l = m ? watcher_of(m, c) : NULL;

	if (l)
		watcher_end(m, l);
}

enum call_result do_monitor(struct call *c)
{
	struct monitor *m = c->control->monitor;
	struct watcher *l = xcalloc(1, sizeof(*l));

	l->call = c;
	if (c->service)
		l->service = xstrdup(c->service->name);
	TAILQ_INSERT_TAIL(&m->watchers, l, entry);
	c->drop = on_drop;
	send_event(l, event_new("begin"));
	return CALL_LATER;
}

struct monitor *monitor_open(struct control *c)
{
	struct monitor *m = xcalloc(1, sizeof(*m));

	m->control = c;
	TAILQ_INIT(&m->watchers);
	m->on_change = c->u->on_change;
	c->u->on_change = on_change;
	log_tap(on_log, m);
	return m;
}

void monitor_close(struct monitor *m)
{
	struct watcher *l;

	log_tap(NULL, NULL);
	m->control->u->on_change = m->on_change;
	while ((l = TAILQ_FIRST(&m->watchers)))
		watcher_end(m, l);
	/* Clients that still listen are dropped after this. */
	m->control->monitor = NULL;
	free(m);
}
