/*
 * metrics - counters as OpenMetrics text (openmetrics.io, 1.0).
 *
 * One table: name, kind, help, and where the value lies. The names are a
 * promise, see doc/PROTOCOL. Family by family, as OpenMetrics wants it, and
 * each goes through all services; piece by piece (parts.h).
 */
#include <stdio.h>
#include <string.h>

#include "base/child.h"
#include "base/log.h"
#include "base/net.h"
#include "control/commands.h"
#include "control/parts.h"
#include "control/server.h"
#include "control/status.h"
#include "control/store.h"
#include "inlet/admit.h"
#include "trigger/trigger.h"

struct metric {
	const char *name;
	const char *kind;	/* counter or gauge */
	const char *help;
	double (*value)(struct service *s);
};

/* Label values escape as OpenMetrics says: backslash, quote, newline. */
static void put_label(FILE *f, const char *name, const char *value)
{
	fprintf(f, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", f);
		else if (*value == '"' || *value == '\\')
			fprintf(f, "\\%c", *value);
		else
			fputc(*value, f);
	}
	fputc('"', f);
}

static void put_head(FILE *f, const char *name, const char *kind,
		     const char *help)
{
	fprintf(f, "# TYPE usher_%s %s\n# HELP usher_%s %s.\n", name, kind,
		name, help);
}

static double served(struct service *s)
{
	return (double)s->data->served;
}
static double arrivals(struct service *s)
{
	return (double)s->data->arrivals.count;
}
static double triggers(struct service *s)
{
	return (double)s->data->triggers.count;
}
static double runs(struct service *s)
{
	return (double)s->data->runs;
}
static double coalesced(struct service *s)
{
	return (double)s->data->coalesced;
}
static double starts(struct service *s)
{
	return (double)s->data->starts;
}
static double failures(struct service *s)
{
	return (double)s->data->failures;
}
static double rolls(struct service *s)
{
	return (double)s->data->rolls;
}
static double gossip(struct service *s)
{
	return (double)s->data->gossip;
}
static double output_dropped(struct service *s)
{
	return (double)s->data->output_dropped;
}
static double bytes_up(struct service *s)
{
	return (double)s->data->bytes_up;
}
static double bytes_down(struct service *s)
{
	return (double)s->data->bytes_down;
}
static double degraded(struct service *s)
{
	return s->degraded != NULL;
}
static double generation(struct service *s)
{
	return s->data->generation;
}
static double waiting(struct service *s)
{
	return status_waiting(s);
}
static double busy(struct service *s)
{
	return s->work ? s->handler->busy(s) : 0;
}
static double inside(struct service *s)
{
	return admit_inside(s);
}
static double pending(struct service *s)
{
	return s->triggers ? trigger_pending(s) : 0;
}

static const struct metric metrics[] = {
	{ "arrivals", "counter", "Connections accepted", arrivals },
	{ "served", "counter",
	  "Connections handed on or carried to their end, and runs that "
	  "ended well", served },
	{ "triggers", "counter", "Triggers taken", triggers },
	{ "runs", "counter", "Runs for triggers", runs },
	{ "coalesced", "counter",
	  "Triggers that a waiting run already stood for", coalesced },
	{ "starts", "counter", "Workers and runs started", starts },
	{ "failures", "counter", "Workers and runs that failed", failures },
	{ "rolls", "counter", "Rolls begun", rolls },
	{ "gossip", "counter", "Reports of workers that were wrong", gossip },
	{ "output_dropped_bytes", "counter",
	  "Workers' output that the log did not take", output_dropped },
	{ "relayed_up_bytes", "counter", "Bytes from clients to upstreams",
	  bytes_up },
	{ "relayed_down_bytes", "counter", "Bytes from upstreams to clients",
	  bytes_down },
	{ "degraded", "gauge", "1 while the service can not serve", degraded },
	{ "generation", "gauge", "One more at each roll", generation },
	{ "waiting", "gauge", "Arrivals that wait for a worker", waiting },
	{ "in_flight", "gauge", "Connections and runs at work", busy },
	{ "inside", "gauge", "Connections counted by the limits", inside },
	{ "triggers_waiting", "gauge", "Distinct messages that wait",
	  pending },
};

static void put_metric(FILE *f, struct service *s, const struct metric *m)
{
	bool total = strcmp(m->kind, "counter") == 0;

	fprintf(f, "usher_%s%s{", m->name, total ? "_total" : "");
	put_label(f, "service", s->name);
	fprintf(f, "} %.0f\n", m->value(s));
}

static void put_refused(FILE *f, struct service *s)
{
	for (int i = 0; i < REFUSED_KINDS; i++) {
		fputs("usher_refused_total{", f);
		put_label(f, "service", s->name);
		fputc(',', f);
		put_label(f, "reason", refusal_name(i));
		fprintf(f, "} %llu\n",
			(unsigned long long)s->data->refused[i]);
	}
}

/* ---- workers by state ---- */

static const char *const worker_states[] = {
	"starting", "idle", "busy", "stopping", "killed",
};

static void count_state(void *arg, const struct worker_info *w)
{
	unsigned *n = arg;

	for (size_t i = 0; i < ARRAY_SIZE(worker_states); i++)
		n[i] += strcmp(w->state, worker_states[i]) == 0;
}

static void put_workers(FILE *f, struct service *s)
{
	unsigned n[ARRAY_SIZE(worker_states)] = { 0 };

	if (!s->handler->workers)
		return;
	if (s->work)
		s->handler->workers(s, count_state, n);
	for (size_t i = 0; i < ARRAY_SIZE(worker_states); i++) {
		fputs("usher_workers{", f);
		put_label(f, "service", s->name);
		fputc(',', f);
		put_label(f, "state", worker_states[i]);
		fprintf(f, "} %u\n", n[i]);
	}
}

/* ---- doors ---- */

struct door_metric {
	const char *name, *kind, *help;
};
static const struct door_metric door_metrics[] = {
	{ "accept_queue", "gauge", "Connections that wait in the kernel" },
	{ "accept_queue_limit", "gauge", "How many may" },
	{ "door_arrivals", "counter", "Connections accepted at a door" },
	{ "door_drops", "counter", "Datagrams that the kernel dropped" },
};

static uint64_t door_value(const struct endpoint *ep, size_t which,
			   const struct net_queue *q)
{
	switch (which) {
	case 0:
		return q->depth;
	case 1:
		return q->max;
	case 2:
		return RECORD_AS(ep->record, struct door_data)->arrivals;
	default:
		return q->drops;
	}
}

static void put_door(FILE *f, const struct service *s,
		     const struct endpoint *ep, size_t which,
		     const struct net_queues *known)
{
	const struct door_metric *m = &door_metrics[which];
	struct net_queue q = { 0 };

	if (ep->record < 0 ||
	    (which != 2 && (ep->addr.kind == ADDR_FIFO ||
	     net_queue_in(known, record_at(ep->record)->fd[0], &q) < 0)))
		return;
	fprintf(f, "usher_%s%s{", m->name,
		strcmp(m->kind, "counter") ? "" : "_total");
	put_label(f, "service", s->name);
	fputc(',', f);
	put_label(f, "address", ep->addr.text);
	/* A host with several addresses has a door for each. */
	fprintf(f, ",door=\"%d\"} %llu\n", ep->record,
		(unsigned long long)door_value(ep, which, &q));
}

/* ---- histograms ---- */

static void put_histogram(FILE *f, const char *name, const char *service,
			  const struct stats_hist *h)
{
	uint64_t sum = 0;

	for (int i = 0; i < STATS_BUCKETS; i++) {
		sum += h->bucket[i];
		fprintf(f, "usher_%s_bucket{", name);
		put_label(f, "service", service);
		if (i < STATS_BUCKETS - 1)
			fprintf(f, ",le=\"%.10g\"} ",
				(double)stats_bound(i) / 1e6);
		else
			fputs(",le=\"+Inf\"} ", f);
		fprintf(f, "%llu\n", (unsigned long long)sum);
	}
	fprintf(f, "usher_%s_count{", name);
	put_label(f, "service", service);
	fprintf(f, "} %llu\nusher_%s_sum{", (unsigned long long)sum, name);
	put_label(f, "service", service);
	fprintf(f, "} %.6f\n", (double)h->sum_us / 1e6);
}

/* ---- usher itself ---- */

static void put_own(FILE *f, const char *name, const char *kind,
		    const char *help, double value)
{
	put_head(f, name, kind, help);
	fprintf(f, "usher_%s%s %.6g\n", name,
		strcmp(kind, "counter") == 0 ? "_total" : "", value);
}

static void put_usher(FILE *f, const struct control *c)
{
	const struct record_globals *g = record_globals();

	put_head(f, "build", "info", "The version that runs");
	fprintf(f, "usher_build_info{version=\"%s\"} 1\n", VERSION);
	put_own(f, "uptime_seconds", "gauge", "Since the first process began",
		(double)(loop_now(c->u->loop) - (int64_t)g->born) / 1000);
	put_own(f, "upgrades", "counter", "Upgrades in place", g->upgrades);
	put_own(f, "crashes", "counter", "Take-overs after a crash",
		g->crashes);
	put_own(f, "records", "gauge", "Long-lived descriptors' records",
		record_count());
	put_own(f, "records_limit", "gauge", "How many there can be",
		record_max());
	put_own(f, "control_clients", "gauge", "Clients of the control socket",
		c->nclients);
	put_own(f, "control_refused", "counter",
		"Refusals of the control socket", (double)c->refused);
	put_own(f, "stored", "gauge", "Descriptors held for others",
		store_count(c->store));
	put_own(f, "start_blocked_seconds", "counter",
		"Time spent in starting processes",
		(double)child_blocked_us() / 1e6);
	put_own(f, "log_dropped", "counter", "Log lines that were dropped",
		(double)log_dropped());
}

/* ---- family by family ---- */

struct exposition {
	struct parts parts;
	size_t family;
	bool headed, asked;
	struct net_queues *known;	/* once asked */
};

static const struct metric other_families[] = {
	{ "refused", "counter",
	  "Connections and triggers refused, by reason", NULL },
	{ "workers", "gauge", "Workers by state", NULL },
	{ "to_handoff_seconds", "histogram", "From accept to hand-off", NULL },
	{ "to_taken_seconds", "histogram",
	  "From hand-off to the worker's word that it was taken", NULL },
};
#define DOORS (ARRAY_SIZE(metrics) + ARRAY_SIZE(other_families))
#define FAMILIES (DOORS + ARRAY_SIZE(door_metrics))

static void put_family(struct exposition *e)
{
	FILE *f = e->parts.out;
	const struct metric *m;

	if (e->family >= DOORS) {
		const struct door_metric *d =
			&door_metrics[e->family - DOORS];

		put_head(f, d->name, d->kind, d->help);
		return;
	}
	m = e->family < ARRAY_SIZE(metrics)
		? &metrics[e->family]
		: &other_families[e->family - ARRAY_SIZE(metrics)];
	put_head(f, m->name, m->kind, m->help);
}

static void put_other(FILE *f, struct service *s, size_t which)
{
	const char *name = other_families[which].name;

	if (which == 0)
		put_refused(f, s);
	else if (which == 1)
		put_workers(f, s);
	else
		put_histogram(f, name, s->name, which == 2
			      ? &s->data->to_handoff : &s->data->to_taken);
}

static void put_service(struct exposition *e, struct service *s)
{
	FILE *f = e->parts.out;
	const struct endpoint *ep;

	if (e->family < ARRAY_SIZE(metrics))
		put_metric(f, s, &metrics[e->family]);
	else if (e->family < DOORS)
		put_other(f, s, e->family - ARRAY_SIZE(metrics));
	else
		TAILQ_FOREACH(ep, &s->endpoints, entry)
			put_door(f, s, ep, e->family - DOORS, e->known);
}

static bool put_next(struct parts *p)
{
	struct exposition *e = (struct exposition *)p;
	struct service *s;

	if (e->family == 0 && !e->headed)
		put_usher(p->out, p->call->control);
	if (e->family == FAMILIES) {
		fputs("# EOF\n", p->out);
		return false;
	}
	if (!e->headed)
		put_family(e);
	e->headed = true;
	if (e->family >= DOORS && !e->asked) {
		e->asked = !queues_read(p->call->control, &e->known);
		return true;
	}
	s = parts_next(p);
	if (s) {
		put_service(e, s);
		return true;
	}
	e->family++;
	e->headed = false;
	parts_rewind(p);
	return true;
}

static void exposition_end(struct parts *p)
{
	net_queues_free(((struct exposition *)p)->known);
}

enum call_result do_metrics(struct call *c)
{
	struct exposition *e = xcalloc(1, sizeof(*e));

	e->parts.text = true;
	e->parts.step = put_next;
	e->parts.end = exposition_end;
	return parts_begin(c, &e->parts);
}
