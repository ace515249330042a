/*
 * peer - who is at the other end of a control connection, and what they may.
 *
 * By SO_PEERCRED and SO_PEERGROUPS (SO_PEERCRED has the primary group only),
 * taken once when they connect and before a byte is read.
 */
#ifndef USHER_CONTROL_PEER_H
#define USHER_CONTROL_PEER_H

#include <sys/types.h>

#include "conf/conf.h"

struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	gid_t *groups;		/* with gid; allocated */
	int ngroups;
};

/* 0 or -errno (not a Unix socket's peer). */
int peer_get(int fd, struct peer *out);
void peer_free(struct peer *p);

/* Its level under GRANTS, added to the default: root and usher's own user
 * admin, whoever else can connect read. */
enum conf_level peer_level(const struct peer *p,
			   const struct conf_grants *grants);

/* Is it named in GRANTS (trigger_allow, inject_allow)? */
bool peer_granted(const struct peer *p, const struct conf_grants *grants);

const char *level_name(enum conf_level level);

#endif
