/*
 * queues - the accept queues of all Unix doors, read once for all who ask at
 * nearly the same time; see the header.
 */
#include "control/queues.h"

#include "control/server.h"

static void on_stale(void *arg)
{
	struct queues *q = arg;

	net_queues_free(TAKE(q->last));
}

bool queues_read(struct control *c, struct net_queues **known)
{
	struct queues *q = &c->queues;

	if (!*known && q->last) {
		*known = net_queues_share(q->last);
		return false;
	}
	if (!*known)
		return (*known = net_queues_begin()) != NULL;
	if (net_queues_more(*known))
		return true;
	if (!q->last) {
		q->last = net_queues_share(*known);
		timer_set(c->u->loop, &q->stale, QUEUES_MS, on_stale, q);
	}
	return false;
}

void queues_end(struct control *c)
{
	timer_cancel(c->u->loop, &c->queues.stale);
	net_queues_free(TAKE(c->queues.last));
}
