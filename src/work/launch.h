/*
 * launch - a program is started for a service: words, descriptors, identity.
 *
 * Collects what a worker gets and starts it by base/child. The same words
 * everywhere: UCSPI's, systemd's, usher's (doc/PROTOCOL).
 */
#ifndef USHER_WORK_LAUNCH_H
#define USHER_WORK_LAUNCH_H

#include "base/child.h"
#include "model/model.h"

struct launch {
	struct service *service;
	const struct conf_service *conf;
	struct strv env;
	struct strv argv;	/* conf's, and what a dialect adds */
	int pid_env;		/* index in env that becomes the pid, or -1 */
	struct child_fd fds[CHILD_FDS];
	int nfds;
};

/* Begins with the environment of CONF: PATH, LANG, TZ, pass_environment,
 * environment_file (read now), environment, HOME and so on with user, and
 * USHER_SERVICE, USHER_GENERATION. 0 or -errno (a file can't be read: *WHY,
 * allocated). */
int launch_begin(struct launch *l, struct service *s,
		 const struct conf_service *conf, uint32_t generation,
		 char **why);
void launch_env(struct launch *l, const char *fmt, ...) PRINTF(2, 3);
void launch_word(struct launch *l, const char *word);
/* LISTEN_PID=<the child's own> and the like. Once. */
void launch_pid_env(struct launch *l, const char *name);
void launch_fd(struct launch *l, int from, int to);

/* The words about a connection, as NAME=VALUE each given to FN. */
void launch_words(const struct conn *c, void (*fn)(void *arg, const char *w),
		  void *arg);

/* Starts it. Pid, which is RECORD's id then, and its fd 0 the pidfd; or -errno
 * with *WHY an allocated text that names step, program and cure. RECORD is in
 * use already, so that a kill in between leaves no process unknown. */
pid_t launch_go(struct launch *l, int record, char **why);
void launch_end(struct launch *l);

#endif
