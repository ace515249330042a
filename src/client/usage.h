/*
 * usage - a wrong option, told in the same words by every command.
 */
#ifndef USHER_CLIENT_USAGE_H
#define USHER_CLIENT_USAGE_H

/* The option at which getopt_long returned C, '?' or (where its letters begin
 * with it) ':', in one line on standard error. opterr must be 0. Returns 2,
 * the exit status. */
int usage_option(const char *command, int c, char **argv);

#endif
