/*
 * beside - a new TCP or UDP door where an old one of ours is in the way.
 *
 * tcp:127.0.0.1:80 becomes tcp:*:80 at a reload: two names, one port. Both
 * sockets are bound for the moment in which doors change hands, so that
 * nobody is refused meanwhile and a reload that fails has changed nothing. A
 * Unix path whose socket must be another one is bound under another name and
 * renamed over it, so that there is always one.
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
int beside_listen(const struct usher *u, const struct addr *a,
		  const struct addr_name *name, const struct net_note *note,
		  char **aside);

/* EP's path, where it was bound aside, is in its place from now on. */
void beside_put(struct endpoint *ep);

/* All are open, what yielded is drained and closed next: who connects from
 * now on is not answered there, comes again and finds the new door. */
void beside_deafen(const struct usher *u);

/* The reload is over: no door yields any more. */
void beside_end(const struct usher *u);

#endif
