/*
 * check - usher check: is the configuration right, and what does it say?
 *
 * The same loader as the daemon's. Every mistake goes to standard error, a
 * line each; one line of result follows. Exit 0, 1 with mistakes, 2 usage.
 */
#include "client/check.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client/talk.h"
#include "client/usage.h"
#include "conf/conf.h"

#define DEFAULT_FILE USHER_CONFDIR "/usher.ini"

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "effective", no_argument, NULL, 'e' },
	{ "diff", no_argument, NULL, 'd' },
	{ "control", required_argument, NULL, 'C' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char usage[] =
	"usage: usher check [-c FILE] [--effective] [--diff]\n";

static const char help[] =
	"\n"
	"Reports every mistake of the configuration, with file and line.\n"
	"\n"
	"  -c, --config FILE  the configuration (" DEFAULT_FILE ")\n"
	"  --effective        print all settings, defaults filled in\n"
	"  --diff             what a reload of the running daemon would "
	"change:\n"
	"                     with FILE, or without -c with its own\n"
	"  --control PATH     with --diff: the daemon's control socket\n"
	"  -h, --help         this text\n"
	"\n"
	"Exit status: 0 done, 1 mistakes, 2 usage, 3 daemon not reachable,\n"
	"4 refused. See usher(8).\n";

struct check {
	const char *path;	/* -c, or NULL */
	const char *control;
	bool effective, diff;
};

/* 0; or the exit status to end with, plus 1. */
static int read_words(int argc, char **argv, struct check *out)
{
	int opt;

	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			out->path = optarg;
			break;
		case 'e':
			out->effective = true;
			break;
		case 'd':
			out->diff = true;
			break;
		case 'C':
			out->control = optarg;
			break;
		case 'h':
			printf("%s%s", usage, help);
			return 1;
		default:
			return usage_option("check", opt, argv) + 1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "usher check: '%s': a file is named with -c\n",
			argv[optind]);
		fputs(usage, stderr);
		return 3;
	}
	return 0;
}

static void print_all(const struct strv *lines, const char *prefix)
{
	for (size_t i = 0; i < lines->n; i++)
		fprintf(stderr, "%s%s\n", prefix, lines->v[i]);
}

static void plural(char *buf, size_t len, size_t n, const char *what)
{
	snprintf(buf, len, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

/* The one line of result; with --effective standard output is the file's. */
static void result(const struct check *check, const struct conf *c,
		   const struct conf_report *report)
{
	FILE *out = check->effective || !c ? stderr : stdout;
	char services[40], mistakes[40], notes[40];

	plural(mistakes, sizeof(mistakes), report->nerrors, "mistake");
	plural(notes, sizeof(notes), report->notes.n, "note");
	if (!c) {
		fprintf(out, "%s: %s\n", check->path, mistakes);
		return;
	}
	plural(services, sizeof(services), c->nservices, "service");
	fprintf(out, "%s: %s, no mistake", check->path, services);
	if (report->notes.n)
		fprintf(out, ", %s", notes);
	fputc('\n', out);
}

/* What the daemon at CONTROL (NULL: as of all client commands) says that a
 * reload would change, with FILE (NULL: with its own). */
static int print_diff(const char *control, const char *file)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	CLEANUP(freep) char *path = file ? realpath(file, NULL) : NULL;
	json_t *p = json_object();
	struct talk t;
	int r = talk_open(&t, "check", control, false);

	if (path)
		json_put_text(p, "file", path);
	if (r == 0)
		r = talk_call(&t, "Plan", p, &reply);
	else
		json_decref(p);
	if (r == 0)
		printf("%s, %s:\n%s\n",
		       json_get_text(reply, "file", "its file"),
		       path ? "beside what the daemon runs"
			    : "which the daemon reads",
		       json_get_text(reply, "result", ""));
	talk_close(&t);
	return r;
}

int cmd_check(int argc, char **argv)
{
	struct check check = { 0 };
	struct conf_source source = { .resolve = true };
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	int diff = 0, r = read_words(argc, argv, &check);

	if (r)
		return r - 1;
	if (check.diff && !check.path && !check.effective)
		return print_diff(check.control, NULL);
	if (!check.path)
		check.path = DEFAULT_FILE;
	source.path = check.path;
	r = conf_load(&source, &c, &report);
	print_all(&report.errors, "");
	print_all(&report.notes, "note: ");
	if (r == 0 && check.effective)
		conf_print(c, NULL, false, stdout);
	result(&check, c, &report);
	if (r == 0 && check.diff)
		diff = print_diff(check.control ?: c->control.path,
				  check.path);
	conf_report_free(&report);
	conf_unref(&c);
	return r == 0 ? diff : 1;
}
