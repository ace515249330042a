/*
 * beside - a new TCP or UDP door where an old one of ours is in the way.
 *
 * tcp:127.0.0.1:80 becomes tcp:*:80 at a reload: two names, one port. Both
 * sockets are bound for the moment in which doors change hands, so that
 * nobody is refused meanwhile and a reload that fails has changed nothing. A
 * Unix path whose socket must be another one is bound under another name and
 * renamed over it, so that there is always one. What becomes of the old one's
 * TCP socket is inlet/leaving's.
 */
#ifndef USHER_INLET_BESIDE_H
#define USHER_INLET_BESIDE_H

#include "base/net.h"
#include "model/model.h"

/* A door of ours that leaves no room for NAME of A, or NULL. One that stays
 * is found before one that yields. */
const struct endpoint *beside_door(const struct usher *u, const struct addr *a,
				   const struct addr_name *name);

/* net_listen where it said -EADDRINUSE: binds NAME if all that is in the way
 * are doors of ours that yield. The descriptor, or -EADDRINUSE as before. A
 * path: where it is bound until beside_put, in *ASIDE, allocated. */
int beside_listen(struct usher *u, const struct addr *a,
		  const struct addr_name *name, const struct net_note *note,
		  char **aside);

/* EP's path, where it was bound aside, is in its place from now on. */
void beside_put(struct endpoint *ep);

/* The door of ours by which who connected to NAME comes in (USE), the one
 * nearest to it; or NULL. */
struct endpoint *beside_find(struct usher *u, const struct addr_name *name,
			     enum endpoint_use use);

/* Is EP one of two that overlap, which leaves (inlet/leaving) when it is
 * closed now? */
bool beside_parts(const struct endpoint *ep);

/* All are open: who connects from now on comes to the new doors. What yielded
 * is drained and closed next. */
void beside_part(const struct usher *u);

/* The reload fails, and EP, which was opened for it, is closed next: where it
 * claims the name of a door that stays, its clients go on to that. */
void beside_back(struct usher *u, struct endpoint *ep);

/* The reload is over: no door yields any more. */
void beside_end(const struct usher *u);

#endif
