/*
 * resolve - names of hosts looked up beside the loop, in threads.
 *
 * getaddrinfo blocks for as long as it likes and can't be cancelled. So each
 * look-up runs in a detached thread, a few at a time; the answer comes back
 * in the loop by an eventfd, and one that is cancelled or late is thrown away
 * when it comes. Nothing here waits for a thread.
 */
#ifndef USHER_BASE_RESOLVE_H
#define USHER_BASE_RESOLVE_H

#include "base/addr.h"
#include "base/loop.h"

struct resolver;
struct lookup;

/* So many look-ups run at a time; more wait, within their deadline. */
#define RESOLVE_THREADS 16

/*
 * Tells how a look-up ended: 0, and A has its names (the callee may take
 * them: it owns what it moves out and zeroes); or -errno and WHY, which may be
 * NULL. -ETIMEDOUT: no answer in time. The look-up is over.
 */
typedef void resolve_fn(void *arg, int result, struct addr *a, const char *why);

/* Returns 0 and the resolver in *OUT, or -errno. */
int resolve_open(struct loop *loop, struct resolver **out);
/* Cancels every look-up, frees the resolver, sets *R to NULL. */
void resolve_close(struct resolver **r);

/*
 * Looks A up (a copy of it; PASSIVE: to bind) and calls FN once, in the loop
 * and never from here, at the latest MS milliseconds from now. The look-up
 * returned is good until FN is called or it is cancelled.
 */
struct lookup *resolve_start(struct resolver *r, const struct addr *a,
			     bool passive, int64_t ms, resolve_fn *fn,
			     void *arg);
/* FN will not be called. Sets *L to NULL; NULL is allowed. */
void resolve_cancel(struct lookup **l);

/*
 * For client commands, without a loop: addr_resolve that waits for MS at most
 * (-1: no limit). 0 and A has its names, or -errno (-ETIMEDOUT) and an
 * allocated text, or NULL, in *WHY.
 */
int resolve_wait(struct addr *a, bool passive, int64_t ms, char **why);

#endif
