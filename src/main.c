/*
 * main - the first word of the command line chooses.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "client/check.h"
#include "client/connect.h"
#include "client/import.h"
#include "client/trigger.h"
#include "serve.h"

struct word {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *help;
};

static const struct word words[] = {
	{ "serve", cmd_serve, "the daemon, in the foreground" },
	{ "demo", cmd_demo, "a daemon to play with, on loopback" },
	{ "run", cmd_run, "serve one program without a file" },
	{ "check", cmd_check, "is the configuration right?" },
	{ "import", cmd_import, "sections from inetd, xinetd, systemd, Postfix" },
	{ "connect", cmd_connect, "standard input and output to an address" },
	{ "trigger", cmd_trigger, "run this now" },
};

static void print_help(void)
{
	puts("usage: usher COMMAND [ARGUMENT]...\n\n"
	     "Owns every door of a machine and shows each arrival to the "
	     "program that\ndeals with it.\n");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		printf("  %-10s %s\n", words[i].name, words[i].help);
	puts("\nusher COMMAND --help tells more; so do usher(8) and "
	     "usher.ini(5).");
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, word) == 0)
			return words[i].fn(argc - 1, argv + 1);
	if (strcmp(word, "--version") == 0) {
		puts("usher " VERSION);
		return 0;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
		print_help();
		return 0;
	}
	if (*word)
		fprintf(stderr, "usher: no command '%s'; see usher --help\n",
			word);
	else
		print_help();
	return 2;
}
