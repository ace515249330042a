/*
 * fd - descriptors: sent, received, checked. The only place that touches
 * control messages.
 *
 * Every case of unix(7) is handled here once: control buffers that take more
 * than was wanted, MSG_CTRUNC, descriptors nobody asked for, none at all, too
 * many in flight.
 */
#ifndef USHER_BASE_FD_H
#define USHER_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* The kernel's limit in a message (SCM_MAX_FD, unix(7)). */
#define FD_MESSAGE_MAX 253
/* What we put into one at most. */
#define FD_BATCH 250

/* Closes *FD when it is one, and sets it to -1. For CLEANUP too. */
void fd_closep(int *fd);
/* Gives *FD away: its value, and -1 stays. */
int fd_take(int *fd);
/*
 * Closes a descriptor that somebody else opened, and never waits: for a peer
 * that reads nothing as SO_LINGER would have it (socket(7)), or for the process
 * that serves a file system.
 */
void fd_drop(int fd);
/* A close of socket FD will not wait, whatever SO_LINGER says. */
void fd_no_linger(int fd);

int fd_nonblock(int fd, bool on);	/* 0 or -errno */
int fd_cloexec(int fd, bool on);	/* 0 or -errno */

/*
 * Sends LEN bytes and N descriptors (at most FD_BATCH) in one message, with
 * FLAGS besides MSG_NOSIGNAL. Returns bytes sent or -errno. -EAGAIN: the
 * queue is full, also where the kernel says ETOOMANYREFS (too many unread
 * descriptors of ours are in flight).
 */
ssize_t fd_send(int sock, const void *buf, size_t len, const int *fds, int n,
		int flags);

struct fd_message {
	void *buf;
	size_t size;		/* room at buf */
	size_t len;		/* bytes received */
	int *fds;		/* room for max, or NULL */
	int max;		/* wanted at most */
	int n;			/* received */
	int extra;		/* received beyond max and closed */
	bool has_cred;
	struct ucred cred;	/* with SO_PASSCRED on the socket */
	bool bound;		/* the sender has an address */
	struct sockaddr_storage from;
	socklen_t fromlen;
	bool eor;		/* MSG_EOR was set */
};

/*
 * Receives one message with FLAGS besides MSG_CMSG_CLOEXEC. Every control
 * message is walked; descriptors beyond max are closed and counted. Returns 1,
 * 0 at the end of a stream, or -errno: -EAGAIN nothing there; -EBADMSG
 * descriptors were cut off (MSG_CTRUNC; those that came are closed);
 * -EMSGSIZE data were cut off (descriptors closed). Never peeks.
 */
int fd_receive(int sock, struct fd_message *m, int flags);

/* Closes what the message brought. */
void fd_message_drop(struct fd_message *m);

enum fd_want {
	FD_WANT_STREAM_CONNECTED,	/* stream or seqpacket */
	FD_WANT_LISTENING,		/* stream or seqpacket */
	FD_WANT_DGRAM,			/* a bound datagram socket */
	FD_WANT_ANY,			/* no O_PATH, no directory */
};

/* 0, or -EBADF, -ENOTSOCK, -ENOTCONN ... and in *WHY half a sentence such as
 * "a listening socket is wanted, this one is connected". */
int fd_check(int fd, enum fd_want want, const char **why);

/* Makes the directories that lack on the way to PATH's last name, 0755. 0 or
 * -errno. */
int fd_make_parents(const char *path);

/* SO_COOKIE, or 0. */
uint64_t fd_cookie(int fd);
/* SO_PEERCRED; false when the peer is not a Unix one. */
bool fd_peercred(int fd, struct ucred *out);
/* SO_PEERGROUPS: allocated array and count, or 0 and NULL. */
int fd_peergroups(int fd, gid_t **out);
/* Free room and use of a socket's sending queue (SIOCOUTQ), or -errno. */
int fd_outq(int fd);

#endif
