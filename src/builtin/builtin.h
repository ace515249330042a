/*
 * builtin - what usher does itself: echo, discard, agent.
 */
#ifndef USHER_BUILTIN_BUILTIN_H
#define USHER_BUILTIN_BUILTIN_H

#include "model/model.h"

extern const struct handler handler_discard, handler_agent;

#endif
