/*
 * serve - usher serve: the daemon, in the foreground.
 */
#include "serve.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/check.h"
#include "client/usage.h"
#include "continuity/upgrade.h"
#include "daemon.h"

#define DEFAULT_FILE USHER_CONFDIR "/usher.ini"

static const char help[] =
"usage: usher serve [-c FILE] [-t]\n"
"\n"
"Serves what FILE says, in the foreground, until told to stop.\n"
"\n"
"  -c, --config FILE   the configuration (" DEFAULT_FILE ")\n"
"  -t, --test          check FILE and leave\n"
"\n"
"SIGHUP reloads, SIGTERM and SIGINT drain and stop, a second one stops at\n"
"once. Exit status: 0 stopped, 1 no door could be opened, 78 FILE is wrong.\n"
"See usher(8), usher.ini(5).\n";

char *serve_runtime(void)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return xstrdup("/run/usher");
	if (xdg && *xdg == '/')
		return xasprintf("%s/usher", xdg);
	return xasprintf("/tmp/usher-%u", (unsigned)geteuid());
}

static int test_only(const char *file)
{
	char *argv[] = { (char *)"check", (char *)"-c", (char *)file, NULL };

	return cmd_check(3, argv) == 0 ? 0 : EX_CONFIG;
}

int cmd_serve(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "carry", no_argument, NULL, 'C' },
		{ "rehearse", no_argument, NULL, 'R' },
		{ NULL, 0, NULL, 0 },
	};
	struct daemon_options o = { .source = { .path = DEFAULT_FILE,
						.resolve = true },
				    .argv = argv };
	bool test = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:th", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.source.path = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'C':	/* execve kept our descriptors */
			o.carry = true;
			break;
		case 'R':	/* can this binary go on from a state? */
			return upgrade_rehearse();
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return usage_option("serve", c, argv);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "usher serve: '%s' is one word too many; "
			"see usher serve --help\n", argv[optind]);
		return 2;
	}
	if (test)
		return test_only(o.source.path);
	upgrade_check_store(argv - 1);	/* main's words, with the program */
	return daemon_serve(&o);
}
