/*
 * status - what several commands tell of a service.
 */
#ifndef USHER_CONTROL_STATUS_H
#define USHER_CONTROL_STATUS_H

#include "model/model.h"

/* Arrivals that wait in our hands: for the handler, and in its queue. */
uint32_t status_waiting(const struct service *s);

#endif
