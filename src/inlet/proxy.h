/*
 * proxy - PROXY protocol headers, version 1 and 2, coming in and going out.
 *
 * Coming in: only from peers that accept_proxy names, from which a header is
 * then required within proxy_timeout. Read in parts, without peeking, never
 * a byte beyond it (the rest is the program's).
 */
#ifndef USHER_INLET_PROXY_H
#define USHER_INLET_PROXY_H

#include "model/model.h"

/* Does accept_proxy want a header from C's peer? */
bool proxy_wanted(const struct service *s, const struct conn *c);

/* Reads it in the loop, then calls arrival_go_on with the client's addresses,
 * or refuses. C->fd is taken. 0 or -errno. */
int proxy_begin(struct service *s, struct conn *c);
/* After a take-over: a RECORD_CONN that was reading its header (arg 1). */
int proxy_adopt(struct service *s, int record);
/* How many are being read; refuses them (shutdown now). */
uint32_t proxy_pending(const struct service *s);
void proxy_drop(struct service *s);

/*
 * Parses what came so far. Returns the header's length when it is whole, 0
 * when more is wanted (*WANT bytes at least, never beyond the header), or
 * -EBADMSG. ADDRESSES: false for LOCAL and UNKNOWN (the socket's hold).
 */
struct proxy_header {
	bool addresses;
	struct addr_name source, destination;
};
int proxy_parse(const unsigned char *p, size_t len, struct proxy_header *out,
		size_t *want);

/* The header that tells of SOURCE and DESTINATION, into BUF (at least
 * PROXY_MAX bytes). Returns its length. */
#define PROXY_MAX 256
size_t proxy_format(enum conf_proxy version, const struct addr_name *source,
		    const struct addr_name *destination, unsigned char *buf);

#endif
