/*
 * packed - who a connection's peer is, in few bytes, for records.
 *
 * An addr_name takes 116 bytes, a record has 144: an IP address and port, or
 * a Unix peer's credentials, are what limits, logs and programs want of a
 * connection after a take-over. A Unix peer's path is not kept.
 */
#ifndef USHER_INLET_PACKED_H
#define USHER_INLET_PACKED_H

#include "model/model.h"

struct packed {
	uint16_t family, port;
	uint32_t scope;
	union {
		uint8_t ip[16];
		struct ucred cred;	/* uid -1: not known */
	};
};

/* C's peer, and C's local address. */
void packed_peer(struct packed *p, const struct conn *c);
void packed_local(struct packed *p, const struct conn *c);
/* Back: peer, is_unix, has_cred and cred of C; C's local address. */
void packed_to_peer(const struct packed *p, struct conn *c);
void packed_to_local(const struct packed *p, struct conn *c);

#endif
