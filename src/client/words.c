/*
 * words - the table of the program's commands; see the header.
 *
 * Commands that read their words themselves (serve, check ...) name their
 * options here as well, for help and completion; a test holds both against
 * each other.
 */
#include "client/words.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/check.h"
#include "client/connect.h"
#include "client/import.h"
#include "client/usage.h"
#include "serve.h"

#define WAIT    { "wait", 0, NULL, "until it has settled", false }
#define TIMEOUT { "timeout", 0, "T", "patience for each stage", false }
#define CONFIG  { "config", 'c', "FILE", "the configuration", false }

static const struct word words[] = {
	{ .name = "serve", .fn = cmd_serve,
	  .help = "the daemon, in the foreground",
	  .options = { CONFIG,
		       { "test", 't', NULL, "check FILE and leave", false } } },
	{ .name = "demo", .fn = cmd_demo,
	  .help = "a daemon to play with, on loopback" },
	{ .name = "run", .fn = cmd_run, .arguments = "-- PROGRAM...",
	  .help = "serve one program without a file",
	  .options = { { "listen", 'l', "ADDRESS", "where clients connect",
			 true },
		       { "trigger", 0, "ADDRESS", "where triggers arrive",
			 true },
		       { "handoff", 0, "H", "spawn, pass, share", false },
		       { "protocol", 0, "P", "inetd, systemd ...", false },
		       { "workers", 'n', "MIN-MAX", "for pass and share",
			 false },
		       { "environment", 'e', "NAME=VALUE",
			 "given to PROGRAM", true },
		       { "set", 0, "KEY=VALUE", "any other key", true },
		       { "print-config", 0, NULL, "print it and leave",
			 false } } },
	{ .name = "relay-worker", .fn = cmd_relay_worker },
	{ .name = "check", .fn = cmd_check,
	  .help = "is the configuration right?",
	  .options = { CONFIG,
		       { "effective", 0, NULL, "print all settings",
			 false },
		       { "diff", 0, NULL, "what a reload would change",
			 false },
		       { "control", 0, "PATH", "the daemon's (--diff)",
			 false } } },

	{ .name = "import", .fn = cmd_import,
	  .arguments = "inetd|xinetd|systemd|master.cf FILE...",
	  .help = "sections from what others are configured by" },

	{ .name = "status", .run = run_status, .arguments = "[SERVICE]",
	  .most = 1, .help = "services, doors, workers, counters",
	  .options = { { "check", 0, NULL, "exit 1 when degraded", false } } },
	{ .name = "top", .run = run_top, .help = "the same, live" },
	{ .name = "show", .run = run_show, .arguments = "SERVICE",
	  .least = 1, .most = 1,
	  .help = "every setting in force, and where it comes from" },
	{ .name = "conns", .run = run_conns, .arguments = "[SERVICE]",
	  .most = 1, .help = "live connections that usher knows of",
	  .options = { { "from", 0, "CIDR", "only those from there",
			 false } } },
	{ .name = "explain", .run = run_explain,
	  .arguments = "SERVICE FROM", .least = 2, .most = 2,
	  .help = "what would become of a client from there, and why" },
	{ .name = "events", .run = run_events, .arguments = "[SERVICE]",
	  .most = 1, .help = "the event stream" },
	{ .name = "metrics", .run = run_metrics,
	  .help = "counters as OpenMetrics text",
	  .options = { { "http", 0, NULL, "answer a request on standard "
			 "input", false } } },

	{ .name = "reload", .run = run_method, .method = "Reload",
	  .help = "read the configuration anew", .options = { WAIT } },
	{ .name = "upgrade", .run = run_upgrade,
	  .help = "another binary goes on, with everything",
	  .options = { { "to", 0, "FILE", "this one (usher's own file)",
			 false } } },
	{ .name = "pause", .run = run_method, .method = "Pause",
	  .arguments = "SERVICE", .least = 1, .most = 1,
	  .parameters = { "service" },
	  .help = "arrivals wait in the kernel" },
	{ .name = "resume", .run = run_method, .method = "Resume",
	  .arguments = "SERVICE", .least = 1, .most = 1,
	  .parameters = { "service" }, .help = "undo pause and drain" },
	{ .name = "drain", .run = run_method, .method = "Drain",
	  .arguments = "SERVICE", .least = 1, .most = 1,
	  .parameters = { "service" },
	  .help = "take no more, finish what is in flight",
	  .options = { { "after", 0, "T", "stop accepting then (0)", false },
		       { "wait", 0, NULL, "until it is empty", false } } },
	{ .name = "roll", .run = run_method, .method = "Roll",
	  .arguments = "SERVICE", .least = 1, .most = 1,
	  .parameters = { "service" },
	  .help = "new workers take over from the old", .options = { WAIT } },
	{ .name = "restart", .run = run_method, .method = "Roll",
	  .arguments = "SERVICE", .least = 1, .most = 1,
	  .parameters = { "service" }, .help = "another word for roll",
	  .options = { WAIT } },
	{ .name = "scale", .run = run_method, .method = "Scale",
	  .arguments = "SERVICE N|MIN-MAX", .least = 2, .most = 2,
	  .parameters = { "service", "workers" },
	  .help = "how many workers" },
	{ .name = "kill", .run = run_method, .method = "Kill",
	  .arguments = "conn:COOKIE|worker:PID|from:CIDR", .least = 1,
	  .most = 1, .parameters = { "what" },
	  .help = "end a connection, a worker, all of a network" },
	{ .name = "loglevel", .run = run_method, .method = "SetLogLevel",
	  .arguments = "LEVEL", .least = 1, .most = 1,
	  .parameters = { "level" },
	  .help = "error, warning, notice, info or debug" },
	{ .name = "shutdown", .run = run_shutdown,
	  .help = "close the doors, finish, end",
	  .options = { { "now", 0, NULL, "end what is in flight", false },
		       { "unless-restart", 0, NULL, "for ExecStop=: nothing "
			 "when systemd restarts", false } } },

	{ .name = "trigger", .run = run_trigger,
	  .arguments = "SERVICE|ADDRESS [MESSAGE]", .least = 1, .most = 2,
	  .help = "run this now",
	  .options = { { "wait", 0, NULL, "exit as the run does (SERVICE)",
			 false },
		       { "ack", 0, NULL, "wait for the answer ACK (ADDRESS)",
			 false },
		       TIMEOUT } },
	{ .name = "connect", .fn = cmd_connect, .arguments = "ADDRESS",
	  .help = "standard input and output to an address",
	  .options = { TIMEOUT } },
	{ .name = "inject", .run = run_inject, .arguments = "SERVICE",
	  .least = 1, .most = 1,
	  .help = "give a connection, as if it had been accepted",
	  .options = { { "fd", 0, "N", "the connection (0)", false } } },
	{ .name = "adopt", .run = run_adopt, .arguments = "SERVICE",
	  .least = 1, .most = 1, .help = "give a listening socket",
	  .options = { { "fd", 0, "N", "the socket (0)", false },
		       { "pid", 0, "PID", "out of this program", false },
		       { "listen", 0, "ADDRESS", "the one bound there",
			 false } } },
	{ .name = "store", .run = run_store, .arguments = "NAME|--list",
	  .most = 1, .help = "hold descriptors under a name",
	  .options = { { "fd", 0, "N", "a descriptor (0)", true },
		       { "expire", 0, "T", "forget it then", false },
		       { "list", 0, NULL, "what is held", false } } },
	{ .name = "fetch", .run = run_fetch,
	  .arguments = "NAME|SERVICE -- PROGRAM...", .least = 2, .most = 1000,
	  .help = "run PROGRAM with them, or with a service's doors",
	  .options = { { "lease", 0, NULL, "usher leaves the doors alone "
			 "until PROGRAM ends", false } } },
	{ .name = "forget", .run = run_method, .method = "Forget",
	  .arguments = "NAME", .least = 1, .most = 1,
	  .parameters = { "name" },
	  .help = "close what is held under a name" },
};

/* Every client command has these. */
static const struct word_option common[] = {
	{ "control", 0, "PATH", "the daemon's control socket", false },
	{ "json", 0, NULL, "the answer as JSON", false },
	{ "verbose", 'v', NULL, "tell what is tried", false },
	{ "help", 'h', NULL, "this text", false },
};

const struct word *word_at(size_t i)
{
	return i < ARRAY_SIZE(words) ? &words[i] : NULL;
}

const struct word *word_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, name) == 0)
			return &words[i];
	return NULL;
}

/* ---- help ---- */

static void print_option(const struct word_option *o)
{
	char text[40];

	snprintf(text, sizeof(text), "%s--%s%s%s",
		 o->letter ? (char[]){ '-', o->letter, ',', ' ', '\0' } : "",
		 o->name, o->argument ? " " : "",
		 o->argument ? o->argument : "");
	printf("  %-22s %s%s\n", text, o->help,
	       o->repeated ? "; may be repeated" : "");
}

static void print_help(const struct word *w)
{
	printf("usage: usher %s [OPTION]...%s%s\n\n%s\n\n", w->name,
	       w->arguments ? " " : "", w->arguments ? w->arguments : "",
	       w->help);
	for (int i = 0; w->options[i].name; i++)
		print_option(&w->options[i]);
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		print_option(&common[i]);
	puts("\nExit status: 0 done, 1 failed, 2 usage, 3 daemon not "
	     "reachable, 4 refused.\nSee usher(8).");
}

static void list_option(const struct word_option *o)
{
	printf("--%s%s\n", o->name, o->argument ? "=" : "");
	if (o->letter)
		printf("-%c\n", o->letter);
}

void word_list(const char *name)
{
	const struct word *w = name ? word_find(name) : NULL;

	/* Without help it is for usher itself. */
	for (size_t i = 0; !name && i < ARRAY_SIZE(words); i++)
		if (words[i].help)
			puts(words[i].name);
	if (!w)
		return;
	if (w->arguments)
		puts(w->arguments);
	for (int i = 0; w->options[i].name; i++)
		list_option(&w->options[i]);
	for (size_t i = 0; w->run && i < ARRAY_SIZE(common); i++)
		list_option(&common[i]);
}

int ask_usage(const struct ask *a, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "usher %s: ", a->word->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nusage: usher %s%s%s; --help tells more\n",
		a->word->name, a->word->arguments ? " " : "",
		a->word->arguments ? a->word->arguments : "");
	return EXIT_USAGE;
}

/* ---- reading the command line ---- */

/* getopt's numbers: options of the word from 256, common ones from 512. */
#define OWN    256
#define COMMON 512

static void add_option(struct option *to, char *letters,
		       const struct word_option *from, int value)
{
	*to = (struct option){ from->name,
			       from->argument ? required_argument
					      : no_argument,
			       NULL, value };
	if (from->letter) {
		size_t n = strlen(letters);

		letters[n] = from->letter;
		letters[n + 1] = '\0';
	}
}

/* 0 or an exit status. */
static int set_own(struct ask *a, int i)
{
	const struct word_option *o = &a->word->options[i];

	a->value[i] = optarg ? optarg : "";
	if (!o->repeated || !optarg)
		return 0;
	if (a->nall == (int)ARRAY_SIZE(a->all))
		return ask_usage(a, "--%s more than %zu times", o->name,
				 ARRAY_SIZE(a->all));
	a->all[a->nall++] = optarg;
	return 0;
}

/* -1: go on; else the exit status. */
static int set_common(struct ask *a, int value)
{
	switch (value) {
	case COMMON:
		a->control = optarg;
		return -1;
	case COMMON + 1:
		a->json = true;
		return -1;
	case COMMON + 2:
	case 'v':
		a->verbose = true;
		return -1;
	default:
		print_help(a->word);
		return EXIT_DONE;
	}
}

static int read_options(struct ask *a, int argc, char **argv)
{
	struct option options[ASK_OPTIONS + ARRAY_SIZE(common) + 1] = { 0 };
	char letters[ASK_OPTIONS + 8] = ":";
	int n = 0, c, r;

	for (int i = 0; i < ASK_OPTIONS && a->word->options[i].name; i++)
		add_option(&options[n++], letters, &a->word->options[i],
			   OWN + i);
	for (int i = 0; i < (int)ARRAY_SIZE(common); i++)
		add_option(&options[n++], letters, &common[i], COMMON + i);
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (c == '?' || c == ':')
			return usage_option(a->word->name, c, argv);
		if (c >= OWN && c < COMMON) {
			r = set_own(a, c - OWN);
			if (r)
				return r;
			continue;
		}
		r = set_common(a, c);
		if (r >= 0)
			return r;
	}
	a->argc = argc - optind;
	a->argv = argv + optind;
	return -1;
}

const char *ask_option(const struct ask *a, const char *option)
{
	for (int i = 0; i < ASK_OPTIONS && a->word->options[i].name; i++)
		if (strcmp(a->word->options[i].name, option) == 0)
			return a->value[i];
	return NULL;
}

/* Which of the words that the command takes is not there. */
static int missing(const struct ask *a)
{
	const char *p = a->word->arguments;
	int have = a->argc;

	while (have > 0 || strncmp(p, "-- ", 3) == 0) {
		have -= strncmp(p, "-- ", 3) != 0;
		p += strcspn(p, " ");
		p += strspn(p, " ");
	}
	return ask_usage(a, "%.*s is missing", (int)strcspn(p, " "), p);
}

int word_run(const struct word *w, int argc, char **argv)
{
	struct ask a = { .word = w, .talk = { .fd = -1, .command = w->name } };
	int r;

	if (w->fn)
		return w->fn(argc, argv);
	json_setup();
	r = read_options(&a, argc, argv);
	if (r >= 0)
		return r;
	if (a.argc < w->least)
		return missing(&a);
	if (a.argc > w->most)
		return ask_usage(&a, "'%s' is one word too many",
				 a.argv[w->most]);
	r = w->run(&a);
	talk_close(&a.talk);
	return r;
}

/* ---- what most commands do ---- */

int ask_connect(struct ask *a)
{
	return talk_open(&a->talk, a->word->name, a->control, a->verbose);
}

bool ask_json(const struct ask *a, json_t *reply)
{
	CLEANUP(freep) char *text = NULL;

	if (!a->json)
		return false;
	if (a->talk.error)
		json_put_text(reply, "error", a->talk.error);
	text = json_line(reply, NULL);
	puts(text);
	return true;
}

int ask_reply(struct ask *a, const char *method, json_t *parameters,
	      json_t **reply)
{
	int r = ask_connect(a);

	*reply = NULL;
	if (r) {
		json_decref(parameters);
		return r;
	}
	r = talk_call(&a->talk, method, parameters, reply);
	if (*reply && ask_json(a, *reply))
		json_decref(TAKE(*reply));
	return r;
}

int ask_simple(struct ask *a, const char *method, json_t *parameters)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	int r = ask_reply(a, method, parameters, &reply);

	if (r == 0 && reply)
		puts(json_get_text(reply, "result", "done"));
	return r;
}

int run_method(struct ask *a)
{
	json_t *p = json_object();

	for (int i = 0; i < a->argc; i++)
		json_put_text(p, a->word->parameters[i], a->argv[i]);
	for (int i = 0; a->word->options[i].name; i++) {
		const struct word_option *o = &a->word->options[i];

		if (a->value[i] && o->argument)
			json_put_text(p, o->name, a->value[i]);
		else if (a->value[i])
			json_put_bool(p, o->name, true);
	}
	return ask_option(a, "wait") ? ask_waiting(a, p)
				     : ask_simple(a, a->word->method, p);
}
