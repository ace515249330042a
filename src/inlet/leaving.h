/*
 * leaving - sockets that were doors until a reload, while what began there
 * ends.
 *
 * Where a door gives way to one that overlaps it (inlet/beside), clients are
 * in the midst of their handshake with the old socket, and connections lie in
 * its queue for which the service had no room. The kernel gives it no new
 * ones, it is seen to for some seconds more, and whom it still brings comes in
 * by the door that is there now.
 */
#ifndef USHER_INLET_LEAVING_H
#define USHER_INLET_LEAVING_H

#include "base/net.h"
#include "model/model.h"

/* From now on the kernel gives no new connection to EP's socket where another
 * door claims its name; handshakes that began go on. */
void leaving_part(const struct endpoint *ep);

/* EP gives its socket up, which was parted from: it is seen to from here, and
 * EP may be closed. */
void leaving_begin(struct endpoint *ep);

/* A RECORD_DOOR of a take-over that was leaving. 0, or -ENOENT: it was not. */
int leaving_adopt(struct usher *u, int record);

/* A socket that leaves and is bound to NAME comes back as the door A: its
 * descriptor, the caller's; or -ENOENT, and none of that name is in the way
 * any more. */
int leaving_back(struct usher *u, const struct addr *a,
		 const struct addr_name *name, const struct net_note *note);

/* Sockets that leave let others bind where they are, or no longer. How many
 * there are. */
int leaving_share(const struct usher *u, bool on);

/* All are closed: usher ends. */
void leaving_end(struct usher *u);

#endif
