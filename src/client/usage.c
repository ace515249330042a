/*
 * usage - a wrong option; see usage.h.
 */
#include "client/usage.h"

#include <getopt.h>
#include <stdio.h>

int usage_option(const char *command, int c, char **argv)
{
	/* getopt's numbers of long options are beyond letters. */
	char letter[] = { '-', (char)optopt, '\0' };
	const char *word = argv[optind - 1];

	if (optopt > ' ' && optopt < 127 && !(word[0] == '-' && word[1] == '-'))
		word = letter;
	fprintf(stderr, c == ':' ? "usher %s: %s needs a value; see usher %s "
				   "--help\n"
				 : "usher %s: no option '%s'; see usher %s "
				   "--help\n", command, word, command);
	return 2;
}
