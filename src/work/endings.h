/*
 * endings - how programs of `spawn` fail, told once a second and not each.
 *
 * A program that exits with a status, or is killed, for each of a thousand
 * clients a second is one mistake: the first of a kind is told at once with
 * its last line, those of the next second by their number.
 */
#ifndef USHER_WORK_ENDINGS_H
#define USHER_WORK_ENDINGS_H

#include "model/model.h"

struct ending {
	char text[80];		/* a kind: "exited with status 3" */
	pid_t pid;		/* the last of them */
	uint32_t more;		/* not told yet */
	bool recent;
};

/* A service's; the kinds beyond are told of as one. */
struct endings {
	struct service *service;
	struct ending kinds[4];
	struct timer tell;
};

/* PID, which had connection COOKIE, failed as TEXT says; LINE is the last
 * that it wrote, or NULL. *E is made by the first; most never need it. */
void endings_add(struct endings **e, struct service *s, pid_t pid,
		 uint64_t cookie, const char *text, const char *line);
/* Tells what is not told yet, frees *E. */
void endings_end(struct endings **e, struct service *s);

#endif
