/*
 * spawn - a process for each arrival (handoff = spawn).
 *
 * What runs under inetd, tcpserver or xinetd runs unchanged: the connection as
 * descriptors 0 and 1, or as 3 with LISTEN_FDS. Usher's copy is closed at
 * once. Also runs triggers, at most `workers` at a time.
 */
#ifndef USHER_WORK_SPAWN_H
#define USHER_WORK_SPAWN_H

#include "model/model.h"

extern const struct handler handler_spawn;

#endif
