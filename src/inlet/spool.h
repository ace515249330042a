/*
 * spool - watches the directories in which FIFOs lie.
 *
 * Tells that a FIFO's writer has closed, which no read can tell from a writer
 * that is slow, and that somebody removed or replaced a FIFO: it is made anew,
 * and that is logged. What can't be made anew is tried again; until then the
 * service is degraded and says why.
 */
#ifndef USHER_INLET_SPOOL_H
#define USHER_INLET_SPOOL_H

#include "model/model.h"

/* EP's FIFO is watched from now on. Its directory is there. */
void spool_watch(struct endpoint *ep);
/* It is not any more. */
void spool_leave(struct endpoint *ep);

/*
 * After a take-over the inotify descriptor in RECORD goes on: it has its
 * watches, and what happened meanwhile; and to close it waits for the kernel.
 * 0, or -EINVAL: it is none. Settle, when all doors are attended: without a
 * FIFO it is let go.
 */
int spool_adopt(struct usher *u, int record);
void spool_settle(struct usher *u);

#endif
