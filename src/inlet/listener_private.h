/*
 * listener_private - what listener.c lends listener_open.c, and nobody else.
 */
#ifndef USHER_INLET_LISTENER_PRIVATE_H
#define USHER_INLET_LISTENER_PRIVATE_H

#include "inlet/listener.h"

/* Ends the watch on EP's door, if there is one, and its record says so. */
void listener_look_away(struct endpoint *ep);

#endif
