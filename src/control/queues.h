/*
 * queues - the accept queues of all Unix doors, for answers about all services.
 *
 * The kernel walks its whole table of Unix sockets to tell them, a third of
 * what a small Status costs. Who asks soon after another gets the same: what
 * an answer says is QUEUES_MS old at most. (TCP's are looked at each time.)
 */
#ifndef USHER_CONTROL_QUEUES_H
#define USHER_CONTROL_QUEUES_H

#include "base/net.h"
#include "control/call.h"

#define QUEUES_MS 100

struct queues {
	struct net_queues *last;	/* NULL: too old, or never asked */
	struct timer stale;
};

/* Once more while true; then *KNOWN (NULL at first) has them all, or is NULL:
 * they can't be had so. The caller frees it. */
bool queues_read(struct control *c, struct net_queues **known);

void queues_end(struct control *c);

#endif
