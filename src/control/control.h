/*
 * control - the socket for admin commands and descriptors.
 *
 * One Unix socket that speaks Varlink to programs and lines to people; who
 * asks is known by the peer's credentials, what they may do by its level. What
 * changes the model goes through an action. The store of descriptors and the
 * leases of doors live here too, since only commands give and take them.
 */
#ifndef USHER_CONTROL_CONTROL_H
#define USHER_CONTROL_CONTROL_H

#include "model/model.h"

/*
 * Takes the lock beside the control socket A (ROLE_LOCK), before anything
 * else is opened. Makes its directory: 0755, or 0700 for an own one of who is
 * not root. 0; -EBUSY: a living usher has it; -errno. Allocated text in *WHY.
 */
int control_lock(const struct addr *a, char **why);
/* Removes the lock's file where there will be no control_close. */
void control_unlock(const struct addr *a);

/* Opens the socket of U->conf and sets U->control. 0, or -errno and why. */
int control_open(struct usher *u, char **why);

/* After a take-over, instead of control_open where there is the door's
 * record; then control_adopt for each RECORD_DOOR and RECORD_CLIENT without
 * service, RECORD_STORED and RECORD_LEASE (services hang in already). 0, or
 * -errno and it is closed. */
int control_begin(struct usher *u);
int control_adopt(struct usher *u, int record);

/* U->conf is a new one: levels act at once (clients keep theirs), another
 * address is opened before the old is closed. 0, or -errno and why. */
int control_changed(struct usher *u, char **why);

/* Tells who is connected what can still be told, closes all, unlinks what is
 * ours. */
void control_close(struct usher *u);

#endif
