/*
 * main - the first word of the command line chooses.
 *
 * Only what needs no daemon is answered here.
 */
#include <stdio.h>
#include <string.h>

#include "client/check.h"
#include "client/connect.h"

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	if (strcmp(word, "--version") == 0) {
		puts("usher " VERSION);
		return 0;
	}
	if (strcmp(word, "--help") == 0) {
		puts("usage: usher COMMAND [ARGUMENT ...]");
		return 0;
	}
	if (strcmp(word, "check") == 0)
		return cmd_check(argc - 1, argv + 1);
	if (strcmp(word, "connect") == 0)
		return cmd_connect(argc - 1, argv + 1);
	fputs("usage: usher COMMAND [ARGUMENT ...]\n", stderr);
	return 2;
}
