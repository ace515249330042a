/*
 * daemon - opens the house in order, closes it in reverse.
 */
#ifndef USHER_DAEMON_H
#define USHER_DAEMON_H

#include "conf/conf.h"

struct daemon_options {
	struct conf_source source;
	const char *greeting;	/* printed to standard output when ready */
	bool inherit_stdio;	/* usher run: workers' output is ours */
	bool roll_on_hup;	/* usher run: SIGHUP rolls */
	bool carry;		/* execve kept our descriptors */
	char *const *argv;	/* by which this process was started */
};

/* Serves until told to stop. Returns the exit status: 0, 1 (no door could be
 * opened), 78 (wrong configuration). */
int daemon_serve(const struct daemon_options *o);

#endif
