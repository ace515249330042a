/*
 * relay - bytes between two sockets: a client and an upstream.
 *
 * handler_relay connects each arrival to an upstream; handler_backend starts
 * a program first; handler_echo is a relay of a connection onto itself.
 */
#ifndef USHER_RELAY_RELAY_H
#define USHER_RELAY_RELAY_H

#include "model/model.h"

extern const struct handler handler_relay, handler_backend, handler_echo;

#endif
