/*
 * fifo - a FIFO in the file system, opened so that it is surely ours.
 *
 * Whoever may change the directory may put something else in the FIFO's
 * place, so the directory is looked at first, and what lies in it is opened
 * without following a link and looked at before it is used. Nothing of
 * anybody's is removed or changed; a regular file of root's or ours, as a
 * shell's `>` makes one where no FIFO is, is moved to NAME.found and its
 * lines are taken. The FIFO is opened for reading and writing, so that a
 * writer's close is no end of file.
 */
#ifndef USHER_INLET_FIFO_H
#define USHER_INLET_FIFO_H

#include "model/model.h"

/* The path of ADDR (ADDR_FIFO) for S: by name it is in the spool. Allocated. */
char *fifo_path(const struct service *s, const struct addr *addr);

/*
 * Opens the FIFO of ADDR as an endpoint of S, made when there is none. 0, or
 * -errno and in *WHY an allocated text that says what to do.
 */
int fifo_open(struct service *s, const struct addr *addr,
	      enum endpoint_use use, char **why);

/* What lies at the FIFO's place now. */
enum fifo_state {
	FIFO_OURS,	/* the one that EP has open */
	FIFO_GONE,	/* nothing */
	FIFO_FILE,	/* a regular file */
	FIFO_OTHER,	/* something else */
};
enum fifo_state fifo_look(const struct endpoint *ep);

/* Owner and mode of EP's FIFO as its address says now. 0, or -errno, *WHY. */
int fifo_apply(struct endpoint *ep, char **why);

/* Opens the FIFO of EP anew, under the same descriptor, after what was in
 * the old one was taken. 0, or -errno and *WHY; then the old stays. */
int fifo_renew(struct endpoint *ep, char **why);

#endif
