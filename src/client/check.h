/*
 * check - usher check: is the configuration right, and what does it say?
 */
#ifndef USHER_CLIENT_CHECK_H
#define USHER_CLIENT_CHECK_H

/* ARGV[0] is "check". Returns the exit status. */
int cmd_check(int argc, char **argv);

#endif
