/*
 * notify - a worker's NOTIFY_SOCKET (sd_notify(3)).
 *
 * Abstract and one for each worker, so its address says who speaks and a
 * chroot or another user can reach it. The sender's uid must be the worker's
 * or root's. Messages are gossip: what is not understood is counted.
 */
#ifndef USHER_WORK_NOTIFY_H
#define USHER_WORK_NOTIFY_H

#include "model/model.h"

/* What a worker says, to who looks after it. STATUS's text, MAINPID and
 * others come as they are. */
struct notify_events {
	void (*ready)(void *arg);
	void (*stopping)(void *arg);
	void (*watchdog)(void *arg);		/* WATCHDOG=1 */
	void (*trigger)(void *arg);		/* WATCHDOG=trigger */
	void (*extend)(void *arg, int64_t us);	/* EXTEND_TIMEOUT_USEC */
	void (*status)(void *arg, const char *text);
	/* FDSTORE=1: FD is taken. NAME "stored" when none was given. */
	void (*store)(void *arg, int fd, const char *name, bool poll);
	void (*unstore)(void *arg, const char *name);
};

struct notify;

/* Opens the socket for a worker whose messages must come from UID (or root);
 * its address for the environment ("@usher/...") stays with it. The name
 * carries a count of ushers (record_globals), so old and new never collide.
 * STORES: FDSTORE is allowed (protocol systemd); elsewhere refused and
 * logged. Returns 0 or -errno. */
int notify_open(struct service *s, uid_t uid, bool stores,
		const struct notify_events *events, void *arg,
		struct notify **out);
const char *notify_address(const struct notify *n);
/* Its record, and hanging one in after a take-over. */
int notify_record(const struct notify *n);
int notify_adopt(struct service *s, int record, bool stores,
		 const struct notify_events *events, void *arg,
		 struct notify **out);
/* Reads what is there still (a worker's last words), then closes. */
void notify_close(struct notify **n);

#endif
