/*
 * net_private - what the files of net share among themselves.
 */
#ifndef USHER_BASE_NET_PRIVATE_H
#define USHER_BASE_NET_PRIVATE_H

#include "base/net.h"

void net_tell(const struct net_note *note, const char *fmt, ...) PRINTF(2, 3);

/* What must be set before bind. */
void net_options_bind(int fd, const struct addr *a, int family,
		      const struct net_note *note);
/* What must be set before listen and connect. */
void net_options_early(int fd, const struct addr *a,
		       const struct net_note *note);
/* What only a TCP listener has. */
void net_options_listen(int fd, const struct addr *a,
			const struct net_note *note);
/* listen with A's backlog; 0 or -errno. */
int net_backlog(int fd, const struct addr *a, const struct net_note *note);

/* Owner, group and mode that A says, for the socket at PATH, in this order:
 * what is refused is told. 0; -EINVAL: no such user or group. */
int net_path_rights(const char *path, const struct addr *a,
		    const struct net_note *note);

/* FD at RECORD_LOW or above, without close-on-exec; FD itself is closed.
 * Descriptor or -errno. */
int net_raise(int fd);

/* A listening Unix socket's accept queue: net_unix_diag.c. */
int net_unix_queue(const struct net_queues *known, int fd,
		   struct net_queue *out);

#endif
