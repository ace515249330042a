/*
 * house - the daemon's parts, opened in order and closed in reverse.
 *
 * Order: the configuration, what another usher left (continuity/begin) or a
 * new state, loop, threads; then, when daemon.c has wired the model, its
 * services, keeper, control. What each part does is its own file's. What goes
 * wrong is told here; exit statuses are daemon_serve's.
 */
#ifndef USHER_HOUSE_H
#define USHER_HOUSE_H

#include <sys/resource.h>

#include "continuity/begin.h"
#include "continuity/revive.h"
#include "daemon.h"
#include "model/model.h"

struct daemon {
	struct usher u;
	const struct daemon_options *options;
	struct conf *conf;	/* in force when it began */
	char *control;		/* of a wrong file, where that is right */
	bool conf_differs;	/* the file says something else: reload */
	bool unread;		/* nobody has looked at the file yet */
	void (*reload)(void *arg);	/* with this: daemon.c's */
	int64_t began;		/* us: taking over */
	int64_t attended;	/* doors were looked at */
	enum begin_how how;
	struct revived revived;
	struct task dismiss;
	struct rlimit started;	/* with these limits */
	bool pid_written;	/* the pid file is there, and goes with us */
	int status;
	bool told_to_stop;
};

/* The file, what another usher left, state, loop and threads. 0 or the exit
 * status. */
int house_begin(struct daemon *d);
/* The services, from nothing or as the usher before had them. 0 or the exit
 * status. */
int house_open(struct daemon *d);
/* All of it, however far it came. */
void house_close(struct daemon *d);

#endif
