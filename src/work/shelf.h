/*
 * shelf - what a service's workers gave usher to keep (FDSTORE=1).
 *
 * They are the service's, not a worker's: each start gets all of them, after
 * the listeners. As in systemd's store, the same open file is kept once, and
 * what is dead (EPOLLHUP, EPOLLERR) is let go unless FDPOLL=0 came with it.
 */
#ifndef USHER_WORK_SHELF_H
#define USHER_WORK_SHELF_H

#include "model/model.h"

/* So many for a service. */
#define SHELF_MAX 64

/* FD is taken. 0, or -EEXIST (it is there already), -E2BIG, -errno: closed. */
int shelf_put(struct service *s, int fd, const char *name, bool poll);
/* All of that NAME. Returns how many. */
int shelf_remove(struct service *s, const char *name);
/* Calls FN for each, the oldest first. Returns how many. */
int shelf_each(struct service *s,
	       void (*fn)(void *arg, const char *name, int fd), void *arg);
/* A RECORD_STORED of S after a take-over. 0 or -EINVAL: it is closed. */
int shelf_adopt(struct service *s, int record);
/* The service has gone: all are closed. */
void shelf_end(struct service *s);

#endif
