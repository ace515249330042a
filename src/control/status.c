/*
 * status - what is running, as JSON: services, doors, workers, connections.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/net.h"
#include "continuity/upgrade.h"
#include "control/commands.h"
#include "control/server.h"
#include "control/status.h"
#include "control/store.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"

/* ---- parts ---- */

static json_t *rates(struct stats_rate *r, int64_t now)
{
	json_t *o = json_object();

	stats_tick(r, (uint64_t)now);
	json_put(o, "s1", json_real((double)r->per_s[0]));
	json_put(o, "s10", json_real((double)r->per_s[1]));
	json_put(o, "s60", json_real((double)r->per_s[2]));
	return o;
}

static json_t *histogram(const struct stats_hist *h)
{
	json_t *o = json_object(), *buckets = json_array();
	int64_t count = 0;

	for (int i = 0; i < STATS_BUCKETS; i++) {
		count += h->bucket[i];
		json_array_append_new(buckets, json_integer(h->bucket[i]));
	}
	json_put_int(o, "count", count);
	json_put_int(o, "sum", (int64_t)h->sum_us);
	json_put(o, "buckets", buckets);
	return o;
}

static const char *door_state(const struct endpoint *ep)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} states[] = {
		{ HOLD_LEASE, "lent" },
		{ HOLD_REST, "resting" },
		{ HOLD_PAUSE, "paused" },
		{ HOLD_DRAIN, "draining" },
		{ HOLD_SHARED, "shared" },
		{ HOLD_FULL, "full" },
		{ HOLD_RATE, "rate" },
		{ HOLD_WORK, "waiting" },
	};
	uint32_t holds = ep->holds | ep->service->holds;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (holds & states[i].bit)
			return states[i].name;
	return "open";
}

/* The name that it is bound to where the file's is not as exact. */
static const char *door_address(const struct endpoint *ep, char *buf,
				size_t len)
{
	char name[ADDR_TEXT];

	if (!ep->name.len || addr_is_unix(ep->addr.kind) ||
	    ep->addr.kind == ADDR_FIFO)
		return ep->addr.text;
	addr_print(&ep->name, name, sizeof(name));
	snprintf(buf, len, "%s:%s", addr_kind_name(ep->addr.kind ==
		 ADDR_FD ? ADDR_TCP : ep->addr.kind), name);
	return buf;
}

static json_t *door(const struct endpoint *ep, const struct net_queues *known)
{
	json_t *o = json_object();
	struct net_queue q = { 0 };
	char text[ADDR_TEXT + 32];

	json_put_text(o, "address", door_address(ep, text, sizeof(text)));
	json_put_text(o, "use", ep->use == USE_LISTEN ? "listen" : "trigger");
	json_put_text(o, "state", door_state(ep));
	json_put_int(o, "arrivals", ep->record < 0 ? 0 : (int64_t)RECORD_AS(
		     ep->record, struct door_data)->arrivals);
	if (ep->addr.kind == ADDR_FIFO || ep->record < 0 ||
	    net_queue_in(known, record_at(ep->record)->fd[0], &q) < 0)
		return o;
	json_put_int(o, "queue", q.depth);
	json_put_int(o, "queue_max", q.max);
	json_put_int(o, "drops", (int64_t)q.drops);
	return o;
}

static void add_worker(void *arg, const struct worker_info *w)
{
	json_t *o = json_object();

	json_put_int(o, "pid", w->pid);
	json_put_int(o, "generation", w->generation);
	json_put_text(o, "state", w->state);
	json_put(o, "age", json_real((double)w->age_ms / 1000));
	json_put_int(o, "requests", (int64_t)w->requests);
	json_put_int(o, "connections", w->holds);
	json_put_text(o, "text", w->text);
	json_array_append_new(arg, o);
}

static json_t *refused(const struct service *s)
{
	json_t *o = json_object();

	for (int i = 0; i < REFUSED_KINDS; i++)
		if (s->data->refused[i])
			json_put_int(o, refusal_name(i),
				     (int64_t)s->data->refused[i]);
	return o;
}

static int64_t wall(int64_t mono_ms, int64_t now)
{
	return (int64_t)time(NULL) - (now - mono_ms) / 1000;
}

static void put_state(json_t *o, const struct service *s, int64_t now)
{
	json_put_text(o, "name", s->name);
	json_put_text(o, "state", service_state_name(service_state(s)));
	json_put_text(o, "reason", s->degraded);
	json_put_text(o, "last_line", s->last_line);
	json_put_text(o, "handler", s->handler->name);
	json_put_int(o, "generation", s->data->generation);
	json_put_int(o, "since", wall((int64_t)s->data->since, now));
}

static void put_counters(json_t *o, struct service *s, int64_t now)
{
	struct slot_data *d = s->data;
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
		{ "arrivals", d->arrivals.count },
		{ "served", d->served },
		{ "triggers", d->triggers.count },
		{ "runs", d->runs },
		{ "coalesced", d->coalesced },
		{ "starts", d->starts },
		{ "failures", d->failures },
		{ "rolls", d->rolls },
		{ "gossip", d->gossip },
		{ "output_dropped", d->output_dropped },
		{ "bytes_up", d->bytes_up },
		{ "bytes_down", d->bytes_down },
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		json_put_int(o, counters[i].name, (int64_t)counters[i].value);
	json_put(o, "refused", refused(s));
	json_put(o, "rates", rates(&d->arrivals, now));
	json_put(o, "trigger_rates", rates(&d->triggers, now));
	json_put(o, "to_handoff", histogram(&d->to_handoff));
	json_put(o, "to_taken", histogram(&d->to_taken));
}

static bool runs_yet(const struct service *s)
{
	return s->work != NULL;
}

static json_t *one_service(struct service *s, int64_t now,
			   const struct net_queues *known)
{
	json_t *o = json_object(), *doors = json_array(),
	       *workers = json_array();
	struct text_range range = service_workers(s);
	const struct endpoint *ep;
	const struct handler *h = s->handler;

	put_state(o, s, now);
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		json_array_append_new(doors, door(ep, known));
	json_put(o, "endpoints", doors);
	if (h->workers && runs_yet(s))
		h->workers(s, add_worker, workers);
	json_put(o, "workers", workers);
	json_put_int(o, "workers_min", range.min);
	json_put_int(o, "workers_max", range.max);
	json_put_int(o, "waiting", status_waiting(s));
	json_put_int(o, "busy", runs_yet(s) ? h->busy(s) : 0);
	json_put_int(o, "inside", admit_inside(s));
	json_put_int(o, "sources", admit_sources(s));
	json_put_int(o, "pending", s->triggers ? trigger_pending(s) : 0);
	json_put_int(o, "running", s->triggers ? trigger_running(s) : 0);
	put_counters(o, s, now);
	return o;
}

uint32_t status_waiting(const struct service *s)
{
	return arrival_waiting(s) + (s->handler->queued && runs_yet(s)
				     ? s->handler->queued(s) : 0);
}

/* ---- the commands ---- */

static json_t *bounds(void)
{
	json_t *list = json_array();

	for (int i = 0; i < STATS_BUCKETS - 1; i++)
		json_array_append_new(list,
				      json_integer((int64_t)stats_bound(i)));
	return list;
}

static json_t *degraded(const struct usher *u)
{
	const struct service *s;
	json_t *list = json_array();

	if (u->notice)
		json_array_append_new(list, json_safe_text(u->notice));
	TAILQ_FOREACH(s, &u->services, entry) {
		CLEANUP(freep) char *text = NULL;

		if (!s->degraded)
			continue;
		text = s->last_line
			? xasprintf("%s: %s; its last line: %s", s->name,
				    s->degraded, s->last_line)
			: xasprintf("%s: %s", s->name, s->degraded);
		json_array_append_new(list, json_safe_text(text));
	}
	return list;
}

/* phase: none, rehearsing or unconfirmed; the rest of the last one. */
static json_t *upgrade(void)
{
	struct upgrade_result r;
	json_t *o = json_object();

	upgrade_result(&r);
	json_put_int(o, "phase", r.phase);
	json_put_int(o, "count", r.upgrades);
	json_put_int(o, "backs", r.backs);
	json_put(o, "ok", json_boolean(r.result == 0));
	json_put_text(o, "text", r.why);
	return o;
}

enum call_result do_status(struct call *c)
{
	int64_t now = loop_now(c->u->loop);
	json_t *services = json_array();
	struct net_queues *known = c->service ? NULL : net_queues_read();
	struct service *s;

	json_put_int(c->reply, "pid", getpid());
	json_put_text(c->reply, "version", VERSION);
	json_put_int(c->reply, "since",
		     wall((int64_t)record_globals()->born, now));
	json_put(c->reply, "degraded", degraded(c->u));
	json_put_text(c->reply, "notice", c->u->notice);
	json_put(c->reply, "histogram_bounds", bounds());
	json_put_int(c->reply, "clients", c->control->nclients);
	json_put_int(c->reply, "stored", store_count(c->control->store));
	if (c->service)
		json_array_append_new(services, one_service(c->service, now,
							   NULL));
	else
		TAILQ_FOREACH(s, &c->u->services, entry)
			json_array_append_new(services,
					      one_service(s, now, known));
	net_queues_free(known);
	json_put(c->reply, "services", services);
	json_put(c->reply, "upgrade", upgrade());
	json_put_int(c->reply, "crashes", record_globals()->crashes);
	return CALL_DONE;
}

enum call_result do_show(struct call *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return call_fail(c, ERROR_FAILED, "out of memory");
	conf_print(c->service->owner, c->service->conf, true, f);
	fclose(f);
	json_put(c->reply, "text", json_safe(text, len));
	free(text);
	return CALL_DONE;
}

/* ---- connections ---- */

struct listing {
	json_t *list;
	const char *service;
	bool only;
	struct addr_cidr cidr;
};

static void add_conn(void *arg, const struct conn_info *info)
{
	struct listing *l = arg;
	char peer[ADDR_TEXT];
	json_t *o;

	if (l->only && !addr_cidr_match(&l->cidr, info->peer))
		return;
	o = json_object();
	json_put_text(o, "service", l->service);
	json_put_int(o, "cookie", (int64_t)info->cookie);
	json_put_text(o, "peer", addr_print(info->peer, peer, sizeof(peer)));
	json_put(o, "age", json_real((double)info->age_ms / 1000));
	json_put_text(o, "state", info->state);
	json_put(o, "worker", info->worker ? json_integer(info->worker)
					   : json_null());
	json_put(o, "up", info->up < 0 ? json_null()
				       : json_integer(info->up));
	json_put(o, "down", info->down < 0 ? json_null()
					   : json_integer(info->down));
	json_array_append_new(l->list, o);
}

enum call_result do_connections(struct call *c)
{
	const char *from = call_text(c, "from");
	struct listing l = { .list = json_array(), .only = from };
	struct service *s;

	json_put(c->reply, "connections", l.list);
	if (from && addr_cidr_parse(from, &l.cidr) < 0)
		return call_invalid(c, "from", "not '%s'; an address or CIDR",
				    from);
	TAILQ_FOREACH(s, &c->u->services, entry) {
		if ((c->service && s != c->service) || !runs_yet(s) ||
		    !s->handler->conns)
			continue;
		l.service = s->name;
		s->handler->conns(s, add_conn, &l);
	}
	return CALL_DONE;
}
