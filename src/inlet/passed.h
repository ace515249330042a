/*
 * passed - unix-pass doors: each connection brings one connected descriptor.
 *
 * As Postfix's `pass` listeners: the descriptor comes with a byte, and is the
 * arrival; who brought it is only a carrier.
 */
#ifndef USHER_INLET_PASSED_H
#define USHER_INLET_PASSED_H

#include "model/model.h"

/* FD was accepted at EP, a unix-pass door; it is taken. 0 or -errno. */
int passed_begin(struct endpoint *ep, int fd);
/* After a take-over: a RECORD_CONN with CONN_PASSED. */
int passed_adopt(struct service *s, int record);
/* Closes the carriers that have not said anything yet. */
void passed_drop(struct service *s);

#endif
