/*
 * arrival - from an accepted socket to the service's handler.
 *
 * Who it is, whether it may come in (inlet/admit), what a PROXY header says
 * (inlet/proxy), and then the offer to the handler. What a handler can't take
 * after all waits here, in a record of its own, and is offered again when
 * there is room; nothing is dropped.
 */
#ifndef USHER_INLET_ARRIVAL_H
#define USHER_INLET_ARRIVAL_H

#include "model/model.h"

/*
 * FD was accepted at EP (its peer PEER as accept4 gave it) or injected into S
 * (EP NULL). FD is taken. Returns 0 when it went on, or -errno when it was
 * refused (counted, answered as on_* says, closed).
 */
int arrival_take(struct service *s, struct endpoint *ep, int fd,
		 const struct addr_name *peer);

/* C as FD, a connected socket of S, says; no door. 0 or -errno. FD stays the
 * caller's until C is given on. */
int arrival_describe(struct service *s, int fd, struct conn *c);

/* Its PROXY header is read (or none is wanted): rules and limits, then the
 * handler. C->fd is taken. */
int arrival_go_on(struct service *s, struct conn *c);

/* Refuses: counts, logs, answers as HOW says (message, reset, close). */
void arrival_refuse(struct service *s, struct conn *c, enum refusal why,
		    enum conf_on how);

/* The connection has ended as far as usher sees: its source is let go, the
 * end line of log_connections is written. BYTES -1: not known. WORKER 0: not
 * known. Called by handlers that see the end (spawn, relay, builtin, pass
 * with reports); by pass without reports at once, with ENDED false. */
struct conn_end {
	uint64_t cookie;
	uint32_t source;
	int64_t accepted_us;
	struct addr_name peer;
	pid_t worker;
	int64_t up, down;
	bool ended;
	bool refused;		/* after all: no upstream answered */
};
void arrival_end(struct service *s, const struct conn_end *e);

/* What usher.on_room is: offers what waits, looks at the doors again. */
void arrival_room(struct service *s);

/*
 * C comes back from where it was handed on (C->returned), or could not be
 * handed on after all. It waits before all others, whatever on_full says, and
 * is offered again once the handler calls service_room. C->fd is taken. 0, or
 * -errno when it had to be refused.
 */
int arrival_return(struct service *s, struct conn *c);

/* After a take-over: a RECORD_CONN with CONN_WAITING. It was let in already,
 * and is offered again. */
int arrival_adopt(struct service *s, int record);
/* At the kill it was with the handler, who may have handed it on. */
bool arrival_was_offered(int record);

/* Closes what waits (shutdown now). Returns how many. */
int arrival_drop_waiting(struct service *s);
uint32_t arrival_waiting(const struct service *s);
bool arrival_is_waiting(const struct service *s, uint64_t cookie);

#endif
