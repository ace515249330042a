/*
 * doors - a service's doors as its settings name them: opened, tried again.
 *
 * Inside action/ only.
 */
#ifndef USHER_ACTION_DOORS_H
#define USHER_ACTION_DOORS_H

#include "model/model.h"

/* Opens one configured door for S, whatever kind. 0 or -errno, *WHY. */
int doors_open_one(struct service *s, const struct addr *addr,
		   enum endpoint_use use, char **why);

/* Is ADDR already open for USE in S? */
struct endpoint *doors_find(struct service *s, const struct addr *addr,
			    enum endpoint_use use);

/*
 * Opens the doors of S that are not open yet, starts its handler and its
 * triggers, and looks at the doors. What fails degrades S and is tried again
 * by itself. Returns how many doors are open.
 */
int doors_begin(struct service *s);

/* Ends a door, or gives it to TO; who reads triggers there leaves first. */
void doors_close(struct endpoint *ep);
void doors_move(struct endpoint *ep, struct service *to);

/* Closes and frees all of S: nothing is in flight. */
void doors_end(struct service *s);

#endif
