/*
 * main - the first word of the command line chooses; the table is
 * client/words.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "client/words.h"

static void print_help(void)
{
	const struct word *w;

	puts("usage: usher COMMAND [ARGUMENT]...\n\n"
	     "Owns every door of a machine and shows each arrival to the "
	     "program that\ndeals with it.\n");
	for (size_t i = 0; (w = word_at(i)); i++)
		if (w->help)		/* else usher's own */
			printf("  %-10s %s\n", w->name, w->help);
	puts("\nusher COMMAND --help tells more; so do usher(8) and "
	     "usher.ini(5).");
}

/* Options of client commands may stand before the command too: behind it
 * they go. Returns the command's place. */
static int leading(int argc, char **argv)
{
	int n = 1;

	while (n < argc && (strcmp(argv[n], "--json") == 0 ||
			    strcmp(argv[n], "-v") == 0 ||
			    strncmp(argv[n], "--control", 9) == 0))
		n += strcmp(argv[n], "--control") == 0 ? 2 : 1;
	return n < argc ? n : 1;
}

static void put_first(char **argv, int place)
{
	char *command = argv[place];

	memmove(&argv[2], &argv[1], (size_t)(place - 1) * sizeof(*argv));
	argv[1] = command;
}

static int unknown(const char *name)
{
	const char *all[64], *near;
	const struct word *w;
	size_t n = 0;

	for (size_t i = 0; n < ARRAY_SIZE(all) && (w = word_at(i)); i++)
		if (w->help)
			all[n++] = w->name;
	near = text_nearest(name, all, n);
	if (near)
		fprintf(stderr, "usher: no command '%s'; did you mean %s?\n",
			name, near);
	else
		fprintf(stderr, "usher: no command '%s'; see usher --help\n",
			name);
	return 2;
}

int main(int argc, char **argv)
{
	const struct word *w;
	const char *name;

	if (argc > 1)
		put_first(argv, leading(argc, argv));
	name = argc > 1 ? argv[1] : "";
	w = word_find(name);

	if (w)
		return word_run(w, argc - 1, argv + 1);
	if (strcmp(name, "--words") == 0) {
		word_list(argc > 2 ? argv[2] : NULL);
		return 0;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("usher " VERSION);
		return 0;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
	    strcmp(name, "help") == 0) {
		print_help();
		return 0;
	}
	if (*name)
		return unknown(name);
	print_help();
	return 2;
}
