/*
 * status - what is running, as JSON: services, doors, workers.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/net.h"
#include "continuity/upgrade.h"
#include "control/commands.h"
#include "control/parts.h"
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

static json_t *degraded(const struct service *s)
{
	CLEANUP(freep) char *text = s->last_line
		? xasprintf("%s: %s; its last line: %s", s->name,
			    s->degraded, s->last_line)
		: xasprintf("%s: %s", s->name, s->degraded);

	return json_safe_text(text);
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

/* ---- the answer, piece by piece ---- */

enum section { HEAD, DEGRADED, COUNTS, SERVICES, TAIL };

struct status {
	struct parts parts;
	enum section section;
	bool some;		/* the list has an item already */
	struct net_queues *known;
};

static bool next_section(struct status *st, const char *text)
{
	fputs(text, st->parts.out);
	st->section++;
	st->some = false;
	parts_rewind(&st->parts);
	return true;
}

static bool put_item(struct status *st, json_t *item)
{
	if (st->some)
		fputc(',', st->parts.out);
	st->some = true;
	parts_put(&st->parts, item);
	return true;
}

static bool put_head(struct status *st)
{
	const struct usher *u = st->parts.call->u;
	json_t *o = json_object();

	json_put_int(o, "pid", getpid());
	json_put_text(o, "version", VERSION);
	json_put_int(o, "since", wall((int64_t)record_globals()->born,
				      loop_now(u->loop)));
	fputc('{', st->parts.out);
	parts_members(&st->parts, o);
	next_section(st, ",\"degraded\":[");
	return u->notice ? put_item(st, json_safe_text(u->notice)) : true;
}

static bool put_degraded(struct status *st)
{
	struct usher *u = st->parts.call->u;
	const struct service *s;

	TAILQ_FOREACH(s, &u->services, entry)
		if (s->degraded)
			put_item(st, degraded(s));
	return next_section(st, "],");
}

static bool put_counts(struct status *st)
{
	const struct control *c = st->parts.call->control;
	json_t *o = json_object();

	json_put_text(o, "notice", c->u->notice);
	json_put(o, "histogram_bounds", bounds());
	json_put_int(o, "clients", c->nclients);
	json_put_int(o, "stored", store_count(c->store));
	parts_members(&st->parts, o);
	if (!st->parts.call->service)
		st->known = net_queues_read();
	return next_section(st, ",\"services\":[");
}

static bool put_service(struct status *st)
{
	struct service *s = parts_next(&st->parts);

	if (!s)
		return next_section(st, "],");
	return put_item(st, one_service(s, loop_now(st->parts.call->u->loop),
					st->known));
}

static bool put_tail(struct status *st)
{
	json_t *o = json_object();

	json_put(o, "upgrade", upgrade());
	json_put_int(o, "crashes", record_globals()->crashes);
	parts_members(&st->parts, o);
	fputc('}', st->parts.out);
	return false;
}

static bool put_next(struct parts *p)
{
	static bool (*const sections[])(struct status *st) = {
		[HEAD] = put_head,
		[DEGRADED] = put_degraded,
		[COUNTS] = put_counts,
		[SERVICES] = put_service,
		[TAIL] = put_tail,
	};
	struct status *st = (struct status *)p;

	return sections[st->section](st);
}

static void status_end(struct parts *p)
{
	net_queues_free(((struct status *)p)->known);
}

enum call_result do_status(struct call *c)
{
	struct status *st = xcalloc(1, sizeof(*st));

	st->parts.step = put_next;
	st->parts.end = status_end;
	return parts_begin(c, &st->parts);
}

enum call_result do_show(struct call *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = xmemstream(&text, &len);

	conf_print(c->service->owner, c->service->conf, true, f);
	xmemstream_end(f);
	json_put(c->reply, "text", json_safe(text, len));
	free(text);
	return CALL_DONE;
}
