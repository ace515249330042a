/*
 * fifo - a FIFO as a door: found or made, checked to be ours, never anybody
 * else's.
 */
#ifndef USHER_INLET_FIFO_H
#define USHER_INLET_FIFO_H

#include "model/model.h"

/* Opens ADDR (fifo:NAME under s->conf->spool, or fifo:/PATH) as an endpoint
 * of S for triggers. 0, or -errno with *WHY allocated, which says what to do. */
int fifo_open(struct service *s, const struct addr *addr, char **why);

#endif
