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

/* FN gets records without a service that are the control socket's. Call
 * before the services' handlers are started; revive_strays after. */
void revive_records(struct usher *u, int (*control)(struct usher *u, int i),
		    struct revived *out);

/* Descriptors that no record explains, collected by revive_records. */
void revive_strays(struct usher *u, struct revived *out);

#endif
