/*
 * run - usher run: the whole product without a file.
 *
 * The command line becomes one section (--print-config prints it), which goes
 * through the same loader as a file, so every mistake is told in its words.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "client/usage.h"
#include "conf/lines.h"
#include "daemon.h"
#include "serve.h"

/* A line of the section, where the value has blanks to break it at. */
#define WIDTH 76

static const char help[] =
"usage: usher run [-l ADDRESS]... [--trigger ADDRESS]... [OPTION]... --\n"
"                 PROGRAM [ARGUMENT]...\n"
"\n"
"Serves ADDRESS with PROGRAM, without a configuration file.\n"
"\n"
"  -l, --listen ADDRESS     where clients connect: tcp:8080, unix:/PATH ...\n"
"      --trigger ADDRESS    where 'run this now' arrives: fifo:NAME ...\n"
"      --handoff H          spawn (a process for each), pass, share\n"
"      --protocol P         inetd, systemd, wait, fastcgi, postfix,\n"
"                           server-starter, einhorn\n"
"  -n, --workers MIN-MAX    for pass and share\n"
"  -e, --environment N=V    given to PROGRAM\n"
"      --set KEY=VALUE      any other key of usher.ini(5)\n"
"      --print-config       print the section that this equals, and leave\n"
"\n"
"Ctrl-C drains and stops, SIGHUP rolls. See usher-run(1).\n";

static const struct option options[] = {
	{ "listen", required_argument, NULL, 'l' },
	{ "trigger", required_argument, NULL, 't' },
	{ "handoff", required_argument, NULL, 'H' },
	{ "protocol", required_argument, NULL, 'P' },
	{ "workers", required_argument, NULL, 'n' },
	{ "environment", required_argument, NULL, 'e' },
	{ "set", required_argument, NULL, 's' },
	{ "print-config", no_argument, NULL, 'p' },
	{ "help", no_argument, NULL, 'h' },
	{ "carry", no_argument, NULL, 'C' },
	{ NULL, 0, NULL, 0 },
};

/* Which key an option becomes. */
static const struct {
	int option;
	const char *key;
} keys[] = {
	{ 'l', "listen" },   { 't', "trigger" }, { 'H', "handoff" },
	{ 'P', "protocol" }, { 'n', "workers" }, { 'e', "environment" },
};

/* A bare port or HOST:PORT is TCP. */
static char *address(const char *s)
{
	static const char *const kinds[] = {
		"tcp:", "tcp4:", "tcp6:", "udp:", "udp4:", "udp6:", "unix:",
		"unix-", "fifo:", "fd:",
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(s, kinds[i], strlen(kinds[i])) == 0)
			return xstrdup(s);
	return *s == '/' ? xasprintf("unix:%s", s)
	       : strchr(s, ':') ? xasprintf("tcp:%s", s)
				: xasprintf("tcp:*:%s", s);
}

/* A list's word: with blanks it stands in quotes. */
static char *quoted(const char *value)
{
	char *word = (char *)value;

	return text_join(&(struct strv){ .v = &word, .n = 1 });
}

static void add(struct strv *lines, int option, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		CLEANUP(freep) char *a = NULL;

		if (keys[i].option != option)
			continue;
		if (option == 'l')
			a = address(value);
		if (option == 'e')
			a = quoted(value);
		strv_pushf(lines, "%s = %s", keys[i].key, a ?: value);
	}
}

/* As it was called: a link's name tells some programs who they are. */
static char *absolute(const char *path)
{
	char here[PATH_MAX];

	if (*path == '/' || !getcwd(here, sizeof(here)))
		return xstrdup(path);
	return xasprintf("%s/%s", here, path);
}

/* PATH is searched here: the file wants absolute paths. */
static char *find(const char *program)
{
	CLEANUP(freep) char *path =
		xstrdup(getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin");
	char *rest = path;

	if (strchr(program, '/'))
		return absolute(program);
	for (char *dir; (dir = strsep(&rest, ":"));) {
		CLEANUP(freep) char *full =
			xasprintf("%s/%s", *dir ? dir : ".", program);

		if (access(full, X_OK) == 0)
			return absolute(full);
	}
	return xstrdup(program);
}

static char *exec_value(char **argv)
{
	CLEANUP(strv_free) struct strv words = { 0 };

	strv_push(&words, find(argv[0]));
	for (argv++; *argv; argv++)
		strv_push(&words, xstrdup(*argv));
	return text_join(&words);
}

/* "KEY = VALUE", or what --set had instead of it: the loader tells of that. */
static int write_line(FILE *f, const char *line)
{
	const char *value = strchr(line, '=');
	size_t n = strcspn(line, " \t=");
	CLEANUP(freep) char *key = xstrndup(line, n);
	CLEANUP(freep) char *text = NULL;

	if (!value || !*(value + 1 + strspn(value + 1, " \t"))) {
		fprintf(f, "%s\n", line);
		return 0;
	}
	value += 1 + strspn(value + 1, " \t");
	text = lines_of(key, value, WIDTH);
	if (!text) {
		fprintf(stderr, "usher run: %s: '%.60s...' can't be given: no "
			"text, or more than 190 bytes without a blank; a file "
			"that the program reads would do\n", key, value);
		return -EINVAL;
	}
	fputs(text, f);
	return 0;
}

/* Allocated; NULL: it can't be one, and that was told. */
static char *section(const struct strv *lines, const char *name, char **argv)
{
	CLEANUP(freep) char *exec = exec_value(argv);
	CLEANUP(freep) char *line = xasprintf("exec = %s", exec);
	char *text = NULL;
	size_t len;
	FILE *f = xmemstream(&text, &len);
	int r = 0;

	fprintf(f, "[service %s]\n", name);
	for (size_t i = 0; i < lines->n && r == 0; i++)
		r = write_line(f, lines->v[i]);
	if (r == 0)
		r = write_line(f, line);
	xmemstream_end(f);
	if (r < 0)
		free(TAKE(text));
	return text;
}

/* The program's name without what a service's name may not have. */
static char *service_name(const char *program)
{
	const char *slash = strrchr(program, '/');
	char *name = xstrndup(slash ? slash + 1 : program, 40);

	for (char *p = name; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
			    "WXYZ0123456789._-", *p))
			*p = '-';
	return name;
}

static int serve(const char *section_text, char **argv, bool carry)
{
	CLEANUP(freep) char *runtime = serve_runtime();
	CLEANUP(freep) char *greeting =
		xasprintf("usher run: control socket %s/run-%d\n", runtime,
			  (int)getpid());
	CLEANUP(freep) char *text =
		xasprintf("[usher]\ncontrol = unix:%s/run-%d\nkeeper = no\n"
			  "log = stderr\n\n%s", runtime, (int)getpid(),
			  section_text);
	struct daemon_options o = {
		.source = { .path = "command line", .resolve = true },
		.greeting = greeting,
		.inherit_stdio = true,
		.roll_on_hup = true,
		.argv = argv,
		.carry = carry,
	};

	o.source.text = text;
	o.source.len = strlen(text);
	return daemon_serve(&o);
}

int cmd_run(int argc, char **argv)
{
	CLEANUP(strv_free) struct strv lines = { 0 };
	CLEANUP(freep) char *name = NULL;
	CLEANUP(freep) char *text = NULL;
	bool print = false, carry = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:l:n:e:h", options, NULL)) !=
	       -1) {
		switch (c) {
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'p':
			print = true;
			break;
		case 's':
			strv_push(&lines, xstrdup(optarg));
			break;
		case 'C':	/* execve kept our descriptors */
			carry = true;
			break;
		case '?':
		case ':':
			return usage_option("run", c, argv);
		default:
			add(&lines, c, optarg);
		}
	}
	if (optind >= argc || lines.n == 0) {
		fputs("usher run: wants -l ADDRESS or --trigger ADDRESS, and "
		      "a PROGRAM; see usher run --help\n", stderr);
		return 2;
	}
	name = service_name(argv[optind]);
	text = section(&lines, name, argv + optind);
	if (!text)
		return 2;
	if (!print)
		return serve(text, argv, carry);
	fputs(text, stdout);
	return 0;
}
