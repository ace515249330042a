/*
 * look - commands that tell: conns, explain, show, events, metrics.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/net.h"
#include "client/table.h"
#include "client/words.h"

int run_show(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	int r = ask_reply(a, "Show", json_pack("{s:s}", "service", a->argv[0]),
			  &reply);

	if (r == 0 && reply)
		fputs(json_get_text(reply, "text", ""), stdout);
	return r;
}

int run_explain(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	const json_t *step;
	size_t i;
	int r = ask_reply(a, "Explain", json_pack("{s:s, s:s}", "service",
			  a->argv[0], "from", a->argv[1]), &reply);

	if (r || !reply)
		return r;
	printf("%s: %s from %s\n", a->argv[0],
	       json_get_text(reply, "verdict", "?"), a->argv[1]);
	json_array_foreach(json_object_get(reply, "steps"), i, step)
		printf("  %s\n", json_string_value(step));
	return 0;
}

static void print_conn(const json_t *c)
{
	char age[16], up[16], down[16], worker[16] = "-";
	int64_t pid = json_get_int(c, "worker", 0);

	if (pid)
		snprintf(worker, sizeof(worker), "%lld", (long long)pid);
	printf("%-10lld %-13.13s %-21.21s %-7.7s %5s %7s %5s %5s\n",
	       (long long)json_get_int(c, "cookie", 0),
	       json_get_text(c, "service", ""), json_get_text(c, "peer", ""),
	       json_get_text(c, "state", ""),
	       table_age(json_get_real(c, "age", 0), age, sizeof(age)),
	       worker, table_count((double)json_get_int(c, "up", -1), up,
				   sizeof(up)),
	       table_count((double)json_get_int(c, "down", -1), down,
			   sizeof(down)));
}

int run_conns(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	const char *from = ask_option(a, "from");
	const json_t *list, *c;
	json_t *p = json_object();
	size_t i;
	int r;

	if (a->argc)
		json_put_text(p, "service", a->argv[0]);
	if (from)
		json_put_text(p, "from", from);
	r = ask_reply(a, "Connections", p, &reply);
	if (r || !reply)
		return r;
	list = json_object_get(reply, "connections");
	printf("%zu connection%s\n", json_array_size(list),
	       json_array_size(list) == 1 ? "" : "s");
	if (json_array_size(list))
		printf("%-10s %-13s %-21s %-7s %5s %7s %5s %5s\n", "COOKIE",
		       "SERVICE", "PEER", "STATE", "AGE", "WORKER", "UP",
		       "DOWN");
	json_array_foreach(list, i, c)
		print_conn(c);
	return 0;
}

/* ---- events ---- */

static void print_event(const json_t *e)
{
	const char *kind = json_get_text(e, "event", "?");
	const char *service = json_get_text(e, "service", NULL);
	time_t t = (time_t)json_get_real(e, "time", 0);
	char when[16] = "";
	struct tm tm;

	if (localtime_r(&t, &tm))
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
	printf("%s %s%s", when, service ? service : "usher",
	       service ? ": " : ": ");
	if (strcmp(kind, "log") == 0)
		printf("%s: %s\n", json_get_text(e, "level", ""),
		       json_get_text(e, "message", ""));
	else if (strcmp(kind, "state") == 0)
		printf("is %s%s%s\n", json_get_text(e, "state", ""),
		       json_get_text(e, "reason", NULL) ? ": " : "",
		       json_get_text(e, "reason", ""));
	else if (strcmp(kind, "missed") == 0)
		printf("%lld events were missed\n",
		       (long long)json_get_int(e, "count", 0));
	else
		printf("listening\n");
}

int run_events(struct ask *a)
{
	json_t *p = json_object(), *reply;
	bool more = true;
	int r = ask_connect(a);

	if (a->argc)
		json_put_text(p, "service", a->argv[0]);
	if (r) {
		json_decref(p);
		return r;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = talk_send(&a->talk, "Monitor", p, NULL, 0, true);
	while (r == 0 && more) {
		r = talk_receive(&a->talk, &reply, &more, -1);
		if (reply && !ask_json(a, r ? reply :
				       json_object_get(reply, "event")) &&
		    r == 0)
			print_event(json_object_get(reply, "event"));
		json_decref(reply);
	}
	return r;
}

/* ---- metrics ---- */

#define HTTP_MS   5000
#define HTTP_HEAD 8192

/* The request line on standard input; the rest is read and let be. -errno
 * where it does not come. */
static int read_request(char *line, size_t size)
{
	char head[HTTP_HEAD + 1];
	size_t len = 0;

	while (len < HTTP_HEAD) {
		ssize_t n = net_read(STDIN_FILENO, head + len, HTTP_HEAD - len,
				     HTTP_MS);

		if (n <= 0)
			return n < 0 ? (int)n : -ECONNRESET;
		len += (size_t)n;
		head[len] = '\0';
		if (strstr(head, "\r\n\r\n") || strstr(head, "\n\n")) {
			snprintf(line, size, "%.*s",
				 (int)strcspn(head, "\r\n"), head);
			return 0;
		}
	}
	return -EMSGSIZE;
}

static void answer(const char *status, const char *type, const char *text,
		   bool body)
{
	printf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	       "Connection: close\r\n\r\n%s", status, type, strlen(text),
	       body ? text : "");
	fflush(stdout);
}

static int http(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	static const char plain[] = "text/plain; charset=utf-8";
	char line[256], method[8] = "", path[128] = "";
	bool body;
	int r = read_request(line, sizeof(line));

	if (r < 0) {
		answer("400 Bad Request", plain, "no request came\n", true);
		return EXIT_FAILED;
	}
	sscanf(line, "%7s %127s", method, path);
	body = strcmp(method, "HEAD") != 0;
	path[strcspn(path, "?")] = '\0';
	if (body && strcmp(method, "GET") != 0) {
		answer("405 Method Not Allowed", plain, "GET or HEAD\n", true);
		return EXIT_DONE;
	}
	if (strcmp(path, "/metrics") != 0 && strcmp(path, "/") != 0) {
		answer("404 Not Found", plain, "it is at /metrics\n", body);
		return EXIT_DONE;
	}
	r = ask_connect(a);
	if (r == 0)
		r = talk_call(&a->talk, "GetMetrics", NULL, &reply);
	if (r)
		answer("503 Service Unavailable", plain,
		       "usher did not answer\n", body);
	else
		answer("200 OK", "application/openmetrics-text; "
		       "version=1.0.0; charset=utf-8",
		       json_get_text(reply, "text", ""), body);
	return r;
}

int run_metrics(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	int r;

	if (ask_option(a, "http"))
		return http(a);
	r = ask_reply(a, "GetMetrics", NULL, &reply);
	if (r == 0 && reply)
		fputs(json_get_text(reply, "text", ""), stdout);
	return r;
}
