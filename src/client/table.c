/*
 * table - numbers and services as people read them; see the header.
 */
#include "client/table.h"

#include <stdio.h>
#include <string.h>

const char *table_age(double seconds, char *buf, size_t len)
{
	long long s = (long long)(seconds > 0 ? seconds : 0);

	if (s < 100)
		snprintf(buf, len, "%llds", s);
	else if (s < 100 * 60)
		snprintf(buf, len, "%lldm", s / 60);
	else if (s < 48 * 3600)
		snprintf(buf, len, "%lldh", s / 3600);
	else
		snprintf(buf, len, "%lldd", s / 86400);
	return buf;
}

const char *table_count(double n, char *buf, size_t len)
{
	static const char units[] = "kMGTP";
	int u = -1;

	if (n < 0) {
		snprintf(buf, len, "-");
		return buf;
	}
	if (n < 9999.5) {
		snprintf(buf, len, "%.0f", n);
		return buf;
	}
	while (n >= 999.5 && units[u + 1]) {
		n /= 1000;
		u++;
	}
	snprintf(buf, len, n < 99.95 ? "%.1f%c" : "%.0f%c", n, units[u]);
	return buf;
}

/* Names differ at their ends more often than in the middle. */
const char *table_name(const char *name, int width, char *buf, size_t len)
{
	int n = (int)strlen(name), tail = (width - 1) / 2;

	if (n <= width)
		return name;
	snprintf(buf, len, "%.*s~%s", width - 1 - tail, name,
		 name + n - tail);
	return buf;
}

static int badness(const char *state)
{
	static const char *const order[] = {
		"degraded", "draining", "paused", "starting", "rolling",
		[TABLE_USUAL] = "running", "disabled",
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (strcmp(order[i], state) == 0)
			return (int)i;
	return 0;
}

static bool has_datagrams(const char *address)
{
	return strncmp(address, "udp", 3) == 0 ||
	       strncmp(address, "unix-dgram:", 11) == 0;
}

static void queues(const json_t *service, double *depth, double *max)
{
	const json_t *doors = json_object_get(service, "endpoints"), *d;
	size_t i;

	*depth = (double)json_get_int(service, "waiting", 0);
	*max = 0;
	json_array_foreach((json_t *)doors, i, d) {
		/* A datagram socket's is in bytes: no arrivals. */
		if (has_datagrams(json_get_text(d, "address", "")))
			continue;
		*depth += (double)json_get_int(d, "queue", 0);
		*max += (double)json_get_int(d, "queue_max", 0);
	}
}

static double all_refused(const json_t *service)
{
	json_t *refused = json_object_get(service, "refused"), *v;
	const char *key;
	double n = 0;

	json_object_foreach(refused, key, v)
		n += (double)json_integer_value(v);
	return n;
}

static double rate(const json_t *service, const char *span)
{
	return json_get_real(json_object_get(service, "rates"), span, 0) +
	       json_get_real(json_object_get(service, "trigger_rates"), span,
			     0);
}

static void put_rate(double n, char *buf, size_t len)
{
	if (n < 9.995)
		snprintf(buf, len, "%.2f", n);
	else if (n < 99.95)
		snprintf(buf, len, "%.1f", n);
	else
		table_count(n, buf, len);
}

static bool has_workers(const char *handler)
{
	static const char *const without[] = {
		"relay", "echo", "discard", "agent",
	};

	for (size_t i = 0; i < ARRAY_SIZE(without); i++)
		if (strcmp(without[i], handler) == 0)
			return false;
	return true;
}

static void put_workers(const json_t *service, struct row *r)
{
	long long max = (long long)json_get_int(service, "workers_max", 0);
	const json_t *list = json_object_get(service, "workers");
	const char *handler = json_get_text(service, "handler", "");
	char have[16], most[16];

	r->nworkers = json_array_size(list);
	if (strcmp(handler, "spawn") == 0)
		snprintf(r->workers, sizeof(r->workers), "%zu", r->nworkers);
	else if (r->nworkers == 0 && (max == 0 || !has_workers(handler)))
		snprintf(r->workers, sizeof(r->workers), "-");
	else
		snprintf(r->workers, sizeof(r->workers), "%s/%s",
			 table_count((double)r->nworkers, have, sizeof(have)),
			 table_count((double)max, most, sizeof(most)));
}

void table_row(const json_t *service, double now, struct row *out)
{
	double max;
	char depth[16], limit[16];

	*out = (struct row){ .service = service };
	out->name = json_get_text(service, "name", "?");
	out->state = json_get_text(service, "state", "?");
	out->bad = badness(out->state);
	snprintf(out->gen, sizeof(out->gen), "%lld",
		 (long long)json_get_int(service, "generation", 0));
	put_workers(service, out);
	queues(service, &out->depth, &max);
	table_count(out->depth, depth, sizeof(depth));
	table_count(max, limit, sizeof(limit));
	snprintf(out->queue, sizeof(out->queue), max > 0 ? "%s/%s" : "%s",
		 depth, limit);
	out->rate1 = rate(service, "s1");
	out->rate10 = rate(service, "s10");
	put_rate(out->rate10, out->rate, sizeof(out->rate));
	out->nrefused = all_refused(service);
	table_count(out->nrefused, out->refused, sizeof(out->refused));
	table_age(now - (double)json_get_int(service, "since", 0), out->since,
		  sizeof(out->since));
}

int table_worst(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->bad != y->bad)
		return x->bad < y->bad ? -1 : 1;
	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	return strcmp(x->name, y->name);
}

char *table_headline(const json_t *status)
{
	const json_t *degraded = json_object_get(status, "degraded");
	size_t n = json_array_size(json_object_get(status, "services"));
	size_t bad = json_array_size(degraded);
	const char *first = json_string_value(json_array_get(degraded, 0));
	const char *notice = json_get_text(status, "notice", NULL);

	return xasprintf("%zu service%s, %zu degraded%s%s%s%s", n,
			 n == 1 ? "" : "s", bad, first ? ": " : "",
			 first ? first : "", notice ? "; " : "",
			 notice ? notice : "");
}
