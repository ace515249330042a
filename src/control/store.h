/*
 * store - descriptors held for others, by name, and doors lent to programs.
 *
 * Each descriptor is a RECORD_STORED, each lent door a RECORD_LEASE, so both
 * live through an upgrade, a crash and a restart.
 */
#ifndef USHER_CONTROL_STORE_H
#define USHER_CONTROL_STORE_H

#include "model/model.h"

#define STORE_UID_MAX 64
#define STORE_MAX     1024
#define STORE_NAME    120	/* with its NUL */

struct store;

struct store *store_open(struct usher *u);
void store_close(struct store *st);
int store_adopt(struct store *st, int record);

/* May this name stand in LISTEN_FDNAMES (sd_listen_fds(3): printable ASCII
 * but ':')? NULL, or half a sentence. */
const char *store_name_bad(const char *name);

/* How many more UID may put in; the least of its own and the whole limit. */
int store_room(const struct store *st, uid_t uid);
/* Holds FD (taken) under NAME for EXPIRE ms (0: until forgotten). 0, -ENOSPC
 * (a limit), -ENFILE; then FD is still the caller's. */
int store_put(struct store *st, const char *name, int fd, uid_t uid,
	      int64_t expire);
/* NAME's descriptors, in the order in which they came, at most MAX; they stay
 * the store's. How many. */
int store_get(const struct store *st, const char *name, int *fds, int max);
/* Closes them; how many there were. */
int store_forget(struct store *st, const char *name);
unsigned store_count(const struct store *st);

/* What was put in since the mark is closed, as if it had never come. */
uint64_t store_mark(const struct store *st);
void store_back(struct store *st, uint64_t mark);

/* Each name once, sorted; UID and expiry are its oldest descriptor's. The
 * list in *OUT is the caller's. How many. */
struct store_item {
	char name[STORE_NAME];
	uid_t uid;
	int descriptors;
	int64_t expires;	/* ms from now, -1: never */
};
size_t store_list(const struct store *st, struct store_item **out);

/* Leaves S's doors alone until the process behind PIDFD (taken) ends. 0,
 * -EBUSY: they are lent already; -errno: PIDFD is still the caller's. */
int store_lend(struct store *st, struct service *s, int pidfd, pid_t pid);
/* The process that S's doors are lent to, or 0. */
pid_t store_lent(const struct store *st, const struct service *s);

#endif
