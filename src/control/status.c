/*
 * status - what is running, as JSON: services, doors, workers.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json_out.h"
#include "base/net.h"
#include "continuity/upgrade.h"
#include "control/commands.h"
#include "control/parts.h"
#include "control/server.h"
#include "control/status.h"
#include "control/store.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"

/* ---- what there is to say ---- */

static void put_rates(struct json_out *o, const char *key,
		      struct stats_rate *r, int64_t now)
{
	static const char *const spans[] = { "s1", "s10", "s60" };

	stats_tick(r, (uint64_t)now);
	json_out_open(o, key, '{');
	for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
		json_out_real(o, spans[i], (double)r->per_s[i]);
	json_out_close(o, '}');
}

static void put_histogram(struct json_out *o, const char *key,
			  const struct stats_hist *h)
{
	int64_t count = 0;

	json_out_open(o, key, '{');
	json_out_open(o, "buckets", '[');
	for (int i = 0; i < STATS_BUCKETS; i++) {
		count += h->bucket[i];
		json_out_int(o, NULL, h->bucket[i]);
	}
	json_out_close(o, ']');
	json_out_int(o, "count", count);
	json_out_int(o, "sum", (int64_t)h->sum_us);
	json_out_close(o, '}');
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

static void put_door(struct json_out *o, const struct endpoint *ep,
		     const struct net_queues *known)
{
	struct net_queue q = { 0 };
	char text[ADDR_TEXT + 32];

	json_out_open(o, NULL, '{');
	json_out_text(o, "address", door_address(ep, text, sizeof(text)));
	json_out_text(o, "use", ep->use == USE_LISTEN ? "listen" : "trigger");
	json_out_text(o, "state", door_state(ep));
	json_out_int(o, "arrivals", ep->record < 0 ? 0 : (int64_t)RECORD_AS(
		     ep->record, struct door_data)->arrivals);
	if (ep->addr.kind != ADDR_FIFO && ep->record >= 0 &&
	    net_queue_in(known, record_at(ep->record)->fd[0], &q) == 0) {
		json_out_int(o, "queue", q.depth);
		json_out_int(o, "queue_max", q.max);
		json_out_int(o, "drops", (int64_t)q.drops);
	}
	json_out_close(o, '}');
}

static void put_worker(void *arg, const struct worker_info *w)
{
	struct json_out *o = arg;

	json_out_open(o, NULL, '{');
	json_out_int(o, "pid", w->pid);
	json_out_int(o, "generation", w->generation);
	json_out_text(o, "state", w->state);
	json_out_real(o, "age", (double)w->age_ms / 1000);
	json_out_int(o, "requests", (int64_t)w->requests);
	json_out_int(o, "connections", w->holds);
	json_out_text(o, "text", w->text);
	json_out_close(o, '}');
}

static void put_refused(struct json_out *o, const struct service *s)
{
	json_out_open(o, "refused", '{');
	for (int i = 0; i < REFUSED_KINDS; i++)
		if (s->data->refused[i])
			json_out_int(o, refusal_name(i),
				     (int64_t)s->data->refused[i]);
	json_out_close(o, '}');
}

static int64_t wall(int64_t mono_ms, int64_t now)
{
	return (int64_t)time(NULL) - (now - mono_ms) / 1000;
}

static void put_state(struct json_out *o, const struct service *s, int64_t now)
{
	json_out_text(o, "name", s->name);
	json_out_text(o, "state", service_state_name(service_state(s)));
	json_out_text(o, "reason", s->degraded);
	json_out_text(o, "last_line", s->last_line);
	json_out_text(o, "handler", s->handler->name);
	json_out_int(o, "generation", s->data->generation);
	json_out_int(o, "since", wall((int64_t)s->data->since, now));
}

static void put_counters(struct json_out *o, struct service *s, int64_t now)
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
		json_out_int(o, counters[i].name, (int64_t)counters[i].value);
	put_refused(o, s);
	put_rates(o, "rates", &d->arrivals, now);
	put_rates(o, "trigger_rates", &d->triggers, now);
	put_histogram(o, "to_handoff", &d->to_handoff);
	put_histogram(o, "to_taken", &d->to_taken);
}

static bool runs_yet(const struct service *s)
{
	return s->work != NULL;
}

static void put_one(struct json_out *o, struct service *s, int64_t now,
		    const struct net_queues *known)
{
	struct text_range range = service_workers(s);
	const struct endpoint *ep;
	const struct handler *h = s->handler;

	json_out_open(o, NULL, '{');
	put_state(o, s, now);
	json_out_open(o, "endpoints", '[');
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		put_door(o, ep, known);
	json_out_close(o, ']');
	json_out_open(o, "workers", '[');
	if (h->workers && runs_yet(s))
		h->workers(s, put_worker, o);
	json_out_close(o, ']');
	json_out_int(o, "workers_min", range.min);
	json_out_int(o, "workers_max", range.max);
	json_out_int(o, "waiting", status_waiting(s));
	json_out_int(o, "busy", runs_yet(s) ? h->busy(s) : 0);
	json_out_int(o, "inside", admit_inside(s));
	json_out_int(o, "sources", admit_sources(s));
	json_out_int(o, "pending", s->triggers ? trigger_pending(s) : 0);
	json_out_int(o, "running", s->triggers ? trigger_running(s) : 0);
	put_counters(o, s, now);
	json_out_close(o, '}');
}

uint32_t status_waiting(const struct service *s)
{
	return arrival_waiting(s) + (s->handler->queued && runs_yet(s)
				     ? s->handler->queued(s) : 0);
}

static void put_bounds(struct json_out *o)
{
	json_out_open(o, "histogram_bounds", '[');
	for (int i = 0; i < STATS_BUCKETS - 1; i++)
		json_out_int(o, NULL, (int64_t)stats_bound(i));
	json_out_close(o, ']');
}

static void put_why(struct json_out *o, const struct service *s)
{
	CLEANUP(freep) char *text = s->last_line
		? xasprintf("%s: %s; its last line: %s", s->name,
			    s->degraded, s->last_line)
		: xasprintf("%s: %s", s->name, s->degraded);

	json_out_text(o, NULL, text);
}

/* phase: none, rehearsing or unconfirmed; the rest of the last one. */
static void put_upgrade(struct json_out *o)
{
	struct upgrade_result r;

	upgrade_result(&r);
	json_out_open(o, "upgrade", '{');
	json_out_int(o, "phase", r.phase);
	json_out_int(o, "count", r.upgrades);
	json_out_int(o, "backs", r.backs);
	json_out_bool(o, "ok", r.result == 0);
	json_out_text(o, "text", r.why);
	json_out_close(o, '}');
}

/* ---- the answer, piece by piece ---- */

/* Services looked at in one step. */
#define DEGRADED_STEP 256

enum section { HEAD, DEGRADED, COUNTS, QUEUES, SERVICES, TAIL };

struct status {
	struct parts parts;
	enum section section;
	struct json_out out;	/* its f is a slice's */
	struct net_queues *known;
};

static bool next_section(struct status *st)
{
	st->section++;
	parts_rewind(&st->parts);
	return true;
}

static bool put_head(struct status *st)
{
	const struct usher *u = st->parts.call->u;
	struct json_out *o = &st->out;

	json_out_open(o, NULL, '{');
	json_out_int(o, "pid", getpid());
	json_out_text(o, "version", VERSION);
	json_out_int(o, "since", wall((int64_t)record_globals()->born,
				      loop_now(u->loop)));
	json_out_open(o, "degraded", '[');
	if (u->notice)
		json_out_text(o, NULL, u->notice);
	if (st->parts.single)
		parts_list(&st->parts, true);
	return next_section(st);
}

static bool put_degraded(struct status *st)
{
	const struct service *s = NULL;

	/* Hardly any is. */
	for (int i = 0; i < DEGRADED_STEP; i++) {
		s = parts_next(&st->parts);
		if (!s || s->degraded)
			break;
	}
	if (s && s->degraded)
		put_why(&st->out, s);
	if (s)
		return true;
	json_out_close(&st->out, ']');
	if (st->parts.single)
		parts_list(&st->parts, false);
	return next_section(st);
}

static bool put_counts(struct status *st)
{
	const struct control *c = st->parts.call->control;
	struct json_out *o = &st->out;

	json_out_text(o, "notice", c->u->notice);
	put_bounds(o);
	json_out_int(o, "clients", c->nclients);
	json_out_int(o, "stored", store_count(c->store));
	return next_section(st);
}

/* One service's doors are asked about one by one. */
static bool read_queues(struct status *st)
{
	if (!st->parts.single &&
	    queues_read(st->parts.call->control, &st->known))
		return true;
	json_out_open(&st->out, "services", '[');
	return next_section(st);
}

static bool put_service(struct status *st)
{
	struct service *s = parts_next(&st->parts);

	if (s) {
		put_one(&st->out, s, loop_now(st->parts.call->u->loop),
			st->known);
		return true;
	}
	json_out_close(&st->out, ']');
	return next_section(st);
}

static bool put_tail(struct status *st)
{
	put_upgrade(&st->out);
	json_out_int(&st->out, "crashes", record_globals()->crashes);
	json_out_close(&st->out, '}');
	return false;
}

static bool put_next(struct parts *p)
{
	static bool (*const sections[])(struct status *st) = {
		[HEAD] = put_head,
		[DEGRADED] = put_degraded,
		[COUNTS] = put_counts,
		[QUEUES] = read_queues,
		[SERVICES] = put_service,
		[TAIL] = put_tail,
	};
	struct status *st = (struct status *)p;

	st->out.f = p->out;
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
