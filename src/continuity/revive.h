/*
 * revive - records into a new model: after a take-over or an upgrade.
 *
 * The state is mapped, the loop open, the model built from the configuration
 * that the state keeps (services exist, nothing is open). Each record is hung
 * where it belongs, what nobody wants is closed, and a descriptor that no
 * record explains is found out.
 */
#ifndef USHER_CONTINUITY_REVIVE_H
#define USHER_CONTINUITY_REVIVE_H

#include "model/model.h"

struct revived {
	unsigned doors, workers, relays, others, dropped;
	unsigned fresh;		/* accepted, not yet handed on: served now */
	unsigned sent;		/* found to be handed on already */
};

/*
 * Hangs what doors need; relays wait for revive_later. CONTROL gets records
 * without a service that are the control socket's. Call before the services'
 * handlers are started. OUT stays until all is done.
 */
void revive_records(struct usher *u, int (*control)(struct usher *u, int i),
		    struct revived *out);

/* Doors are looked at: relays are hung in the loop, each before its first
 * event is served, then DONE. */
void revive_later(void (*done)(void *arg), void *arg);

/* All of them now: for who must see everything that there is. */
void revive_rest(void);

/* Descriptors that no record explains, and what nobody asked for again.
 * Handlers are started. */
void revive_strays(struct usher *u, struct revived *out);

#endif
