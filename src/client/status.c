/*
 * status - usher status: services in a table that fits 80 columns, worst
 * first; or all about one.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client/table.h"
#include "client/words.h"

/* The other columns, and the blanks between; the name takes what they leave
 * of the terminal's width, or of 80. */
#define OTHERS	  56
#define WIDTH	  80
#define WIDTH_MAX 250

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec;
}

static int room_for_name(void)
{
	struct winsize size = { 0 };
	int width = WIDTH;

	if (isatty(STDOUT_FILENO) &&
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
	    size.ws_col > WIDTH)
		width = size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
	return width - OTHERS;
}

static void print_row(int width, const struct row *r)
{
	char name[WIDTH_MAX];

	printf("%-*s %-9s %4s %8s %10s %6s %7s %5s\n", width,
	       table_name(r->name, width, name, sizeof(name)), r->state,
	       r->gen, r->workers, r->queue, r->rate, r->refused, r->since);
}

static void print_table(const json_t *services)
{
	size_t n = json_array_size(services), i;
	struct row *rows = xcalloc(n, sizeof(*rows));
	const struct row head = { .name = "SERVICE", .state = "STATE",
				  .gen = "GEN", .workers = "WORKERS",
				  .queue = "QUEUE", .rate = "CONN/S",
				  .refused = "REFUSED", .since = "SINCE" };
	int width = (int)strlen(head.name), most = room_for_name();
	const json_t *s;

	json_array_foreach((json_t *)services, i, s) {
		table_row(s, now(), &rows[i]);
		if ((int)strlen(rows[i].name) > width)
			width = (int)strlen(rows[i].name);
	}
	if (width > most)
		width = most;
	qsort(rows, n, sizeof(*rows), table_worst);
	print_row(width, &head);
	for (i = 0; i < n; i++)
		print_row(width, &rows[i]);
	free(rows);
}

/* ---- one service ---- */

static void print_doors(const json_t *service)
{
	const json_t *d;
	size_t i;
	char count[16];

	json_array_foreach(json_object_get(service, "endpoints"), i, d) {
		printf("  %-7s %-34s %-8s", json_get_text(d, "use", ""),
		       json_get_text(d, "address", ""),
		       json_get_text(d, "state", ""));
		if (json_object_get(d, "queue"))
			printf(" queue %lld/%lld",
			       (long long)json_get_int(d, "queue", 0),
			       (long long)json_get_int(d, "queue_max", 0));
		printf(" arrivals %s\n",
		       table_count((double)json_get_int(d, "arrivals", 0),
				   count, sizeof(count)));
	}
}

static void print_workers(const json_t *service)
{
	const json_t *w;
	size_t i;
	char age[16];

	json_array_foreach(json_object_get(service, "workers"), i, w) {
		const char *text = json_get_text(w, "text", NULL);

		printf("  worker  %-8lld gen %-4lld %-8s age %-4s requests "
		       "%-8lld%s%.30s\n",
		       (long long)json_get_int(w, "pid", 0),
		       (long long)json_get_int(w, "generation", 0),
		       json_get_text(w, "state", ""),
		       table_age(json_get_real(w, "age", 0), age,
				 sizeof(age)),
		       (long long)json_get_int(w, "requests", 0),
		       text ? " " : "", text ? text : "");
	}
}

static void print_refused(const json_t *service)
{
	json_t *v, *refused = json_object_get(service, "refused");
	const char *key;

	if (json_object_size(refused) == 0)
		return;
	printf("  refused");
	json_object_foreach(refused, key, v)
		printf(" %s %lld", key, (long long)json_integer_value(v));
	putchar('\n');
}

/* Of workers, and of programs started for an arrival. */
static void print_failures(const json_t *service)
{
	const char *line = json_get_text(service, "last_line", NULL);
	long long n = (long long)json_get_int(service, "failures", 0);

	if (n)
		printf("  failures %lld%s%s\n", n,
		       line ? ", the last one's last line: " : "", line ?: "");
}

/* The bound below which SHARE of all were; "more" than the last. */
static const char *below(const json_t *h, const json_t *bounds, double share,
			 char *buf, size_t len)
{
	const json_t *b;
	double sum = 0, all = (double)json_get_int(h, "count", 0);
	size_t i;

	json_array_foreach(json_object_get(h, "buckets"), i, b) {
		const json_t *bound = json_array_get(bounds, i);

		sum += (double)json_integer_value(b);
		if (sum < all * share)
			continue;
		if (!bound)
			break;
		if (json_integer_value(bound) < 1000)
			snprintf(buf, len, "%lld us",
				 (long long)json_integer_value(bound));
		else
			snprintf(buf, len, "%.1f ms",
				 (double)json_integer_value(bound) / 1000);
		return buf;
	}
	return "more than 2 s";
}

static void print_times(const json_t *status, const json_t *service,
			const char *key, const char *text)
{
	const json_t *h = json_object_get(service, key);
	const json_t *bounds = json_object_get(status, "histogram_bounds");
	char a[24], b[24];

	if (json_get_int(h, "count", 0) == 0)
		return;
	printf("  %s: half below %s, 99 %% below %s\n", text,
	       below(h, bounds, 0.5, a, sizeof(a)),
	       below(h, bounds, 0.99, b, sizeof(b)));
}

static void print_rates(const json_t *service, const char *key,
			const char *text, const char *total)
{
	const json_t *r = json_object_get(service, key);

	if (json_get_int(service, total, 0) == 0)
		return;
	printf("  %s %lld, a second: %.2f (1 s) %.2f (10 s) %.2f (60 s)\n",
	       text, (long long)json_get_int(service, total, 0),
	       json_get_real(r, "s1", 0), json_get_real(r, "s10", 0),
	       json_get_real(r, "s60", 0));
}

/* A run may stand for many triggers. */
static void print_runs(const json_t *service)
{
	long long runs = (long long)json_get_int(service, "runs", 0);

	if (runs)
		printf("  runs %lld, triggers that one stood for too %lld, "
		       "messages waiting %lld\n", runs,
		       (long long)json_get_int(service, "coalesced", 0),
		       (long long)json_get_int(service, "pending", 0));
}

static void print_one(const json_t *status, const json_t *service)
{
	print_doors(service);
	print_workers(service);
	print_rates(service, "rates", "connections", "arrivals");
	print_rates(service, "trigger_rates", "triggers", "triggers");
	print_runs(service);
	printf("  served %lld, in flight %lld, waiting %lld\n",
	       (long long)json_get_int(service, "served", 0),
	       (long long)json_get_int(service, "busy", 0),
	       (long long)json_get_int(service, "waiting", 0));
	print_failures(service);
	print_refused(service);
	print_times(status, service, "to_handoff", "accept to hand-off");
	print_times(status, service, "to_taken", "hand-off to taken");
}

/* ---- the command ---- */

static bool is_degraded(const struct ask *a, const json_t *status)
{
	const json_t *list = json_object_get(status, "services");

	if (!a->argc)
		return json_array_size(json_object_get(status, "degraded"));
	return strcmp(json_get_text(json_array_get(list, 0), "state", ""),
		      "degraded") == 0;
}

static void print_status(const struct ask *a, const json_t *status)
{
	const json_t *services = json_object_get(status, "services");
	const json_t *first = json_array_get(services, 0);
	CLEANUP(freep) char *headline = NULL;

	if (!a->argc) {
		headline = table_headline(status);
		puts(headline);
		if (first)
			print_table(services);
		return;
	}
	if (json_get_text(first, "reason", NULL))
		printf("%s: %s\n", a->argv[0],
		       json_get_text(first, "reason", ""));
	if (json_get_text(first, "reason", NULL) &&
	    json_get_text(first, "last_line", NULL))
		printf("its last line: %s\n",
		       json_get_text(first, "last_line", ""));
	print_table(services);
	print_one(status, first);
}

int run_status(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *status = NULL;
	json_t *p = json_object();
	int r = ask_connect(a);

	if (a->argc)
		json_put_text(p, "service", a->argv[0]);
	if (r) {
		json_decref(p);
		return r;
	}
	r = talk_call(&a->talk, "Status", p, &status);
	if (status && !ask_json(a, status) && r == 0)
		print_status(a, status);
	if (r)
		return r;
	return ask_option(a, "check") && is_degraded(a, status) ? EXIT_FAILED
								: EXIT_DONE;
}
