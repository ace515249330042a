/*
 * relay - bytes between two sockets: a client and an upstream.
 *
 * handler_relay connects each arrival to an upstream; handler_echo is a relay
 * of a connection onto itself. A program that is started for it: backend/.
 */
#ifndef USHER_RELAY_RELAY_H
#define USHER_RELAY_RELAY_H

#include "model/model.h"

extern const struct handler handler_relay, handler_echo;

#endif
