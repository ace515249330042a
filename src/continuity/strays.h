/*
 * strays - descriptors that no record explains, after a take-over.
 *
 * At a kill a connection may have been on its way: accepted and in no record
 * yet, or sent to a worker and not yet closed here. It is found out which.
 */
#ifndef USHER_CONTINUITY_STRAYS_H
#define USHER_CONTINUITY_STRAYS_H

#include "continuity/revive.h"

/* Notes them, before anything new is opened. */
void strays_collect(void);

/* Those that were noted: served now, or closed. Handlers are started. */
void strays_revive(struct usher *u, struct revived *out);

/* Where nothing can be on its way (a clean state) nobody waits for it: looks
 * in the loop, some at a time, for what was left open. OUT stays. */
void strays_sweep(struct usher *u, struct revived *out);

/* Did a worker have connection FD, or has it now? */
bool stray_was_handed_on(int fd);

#endif
