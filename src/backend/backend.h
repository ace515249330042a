/*
 * backend - `exec` with `relay`: where a pool of workers and a relay meet.
 *
 * A room of its own above both: neither knows the other.
 */
#ifndef USHER_BACKEND_BACKEND_H
#define USHER_BACKEND_BACKEND_H

#include "model/model.h"

extern const struct handler handler_backend;

#endif
