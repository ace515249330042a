/*
 * offload - work that may block, in a thread, its end told in the loop.
 *
 * For what has no other way: the user database, getaddrinfo, reading a
 * configuration. The work must touch nothing that the loop's side touches
 * meanwhile.
 */
#ifndef USHER_BASE_OFFLOAD_H
#define USHER_BASE_OFFLOAD_H

#include "base/loop.h"

/* At most so many at once; more wait their turn. */
#define OFFLOAD_THREADS 8

/* After loop_open. 0 or -errno. */
int offload_open(struct loop *l);

/* Calls WORK in a thread of its own, then DONE in the loop, both with ARG,
 * which is nobody else's meanwhile. 0 or -errno (no thread could be made:
 * then neither is called). Never cancelled: who no longer cares says so in
 * ARG. */
int offload(void (*work)(void *arg), void (*done)(void *arg), void *arg);

/* Waits for nobody: threads that still work are left to the process's end. */
void offload_close(void);

#endif
