/*
 * request - what arrives at a trigger endpoint: bytes to requests.
 *
 * A FIFO carries any number of requests, a datagram is one, a connection
 * brings one and is closed. Who is silent or slow costs a record and a timer
 * and delays nobody. Descriptors that come along are closed and counted.
 *
 * Bytes are read into buffers of the state, and are there until their request
 * was taken: a crash loses none (at worst a request is taken twice). While
 * requests can't be taken their endpoint is not read.
 *
 * What a request means is trigger/'s business.
 */
#ifndef USHER_INLET_REQUEST_H
#define USHER_INLET_REQUEST_H

#include "model/model.h"

struct requests;	/* of one service */

/* A whole request, N times in a row. 0: taken; -EAGAIN: not now, it is kept
 * and offered again after requests_room(). */
typedef int request_fn(struct service *s, const char *message, size_t len,
		       size_t n);

struct requests *requests_new(struct service *s, request_fn *fn);
/* Stops reading the endpoints, closes connections and ends half-read
 * requests; *R becomes NULL. The doors stay. */
void requests_free(struct requests **r);

/* There is room again: what was kept is offered, endpoints are read. */
void requests_room(struct requests *r);

/* Reads the door EP (open, USE_TRIGGER) from now on, as far as its holds
 * allow. 0 or -errno. */
int request_watch(struct requests *r, struct endpoint *ep);

/* FD, taken, was accepted at the door EP (which is watched), from PEER, or
 * elsewhere for it, while request_takes said that there is room. */
bool request_takes(const struct endpoint *ep);
void request_take(struct endpoint *ep, int fd, const struct addr_name *peer);

/* Takes all that has arrived at EP already, as far as there is room. */
void request_drain(struct endpoint *ep);

/* EP is about to be closed or moved: takes what is in it, stops reading. */
void request_leave(struct endpoint *ep);

/* A FIFO's writer has closed: what is unfinished is a whole request. */
void request_closed(struct endpoint *ep);

/* After a take-over: a RECORD_REQUEST of this service. The service's doors
 * are watched already. 0, or -errno and it is closed. */
int request_adopt(struct requests *r, int record);

/* How many connections are being read, or kept whole. */
uint32_t requests_open(const struct requests *r);

#endif
