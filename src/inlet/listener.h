/*
 * listener - a service's doors: opening, accepting, holding, closing.
 *
 * TCP and Unix, stream and seqpacket: accepting is always the same. A burst is
 * taken each time, as long as the service's handler has room, and given to
 * inlet/arrival. A service without room is held, and clients wait in the
 * kernel's queue rather than in our memory. Datagram sockets, unix-pass and
 * what workers accept themselves (share) are bound here too, but not accepted
 * from.
 */
#ifndef USHER_INLET_LISTENER_H
#define USHER_INLET_LISTENER_H

#include "model/model.h"

/*
 * Opens (binds, listens) every name of ADDR as endpoints of S with USE, not
 * yet watched, and appends them. For fd:NAME the inherited descriptor is
 * taken (listener_inherit). FIFOs are opened by inlet/request. 0, or -errno
 * with an allocated text that says what would cure it in *WHY (a port in use
 * names its holder); then none of ADDR is open.
 */
int listener_open(struct service *s, const struct addr *addr,
		  enum endpoint_use use, char **why);

/* An endpoint of S around a listening FD (adopt, take-over, fd:NAME). FD is
 * taken. ADDR is copied. */
struct endpoint *listener_adopt(struct service *s, int fd,
				const struct addr *addr,
				enum endpoint_use use);
/* What the socket of a RECORD_DOOR says it is bound to; len 0: nothing. */
void listener_name(int record, struct addr_name *name);
/* An endpoint around a RECORD_DOOR that a take-over found, with that name. */
struct endpoint *listener_hang(struct service *s, int record,
			       const struct addr *addr,
			       const struct addr_name *name);

/* Moves EP to service TO (a renamed service, a new generation's plan). */
void listener_move(struct endpoint *ep, struct service *to);

/* Sets and clears bits of enum hold; looks at the doors or away. For
 * endpoints of USE_TRIGGER inlet/request listens to the same holds. */
void service_hold(struct service *s, uint32_t bits);
void service_release(struct service *s, uint32_t bits);
void endpoint_hold(struct endpoint *ep, uint32_t bits);
void endpoint_release(struct endpoint *ep, uint32_t bits);
/* Brings epoll in line with holds (after endpoints were added). */
void endpoint_update(struct endpoint *ep);

/* Accepts one client of EP and counts it: its descriptor (non-blocking), and
 * who it is. -EAGAIN: nobody is there, or there are no descriptors and the
 * door is looked away from for a while. -ECONNABORTED: that one has gone. */
int listener_accept(struct endpoint *ep, struct addr_name *peer);
/* Looks away from EP for a while: ERROR (an errno) is why. */
void listener_rest(struct endpoint *ep, int error);

/* EP's socket is another program's too (adopted, fetched, lent): O_NONBLOCK
 * is the socket's, not ours alone, so it is set again before each accept. */
void endpoint_foreign(struct endpoint *ep);

/* EP's service has other settings: O_NONBLOCK is what its program's protocol
 * wants. */
void listener_changed(const struct endpoint *ep);

/* After a take-over: O_NONBLOCK of what a service manager owns is again as the
 * keeper saw it at the end of the usher before; an earlier build may have left
 * another than the protocol wants. */
void listener_as_noted(struct endpoint *ep);

/* Before EP's socket is read by something that would wait: not blocking, if
 * others can have made it so. A service manager does for what its socket units
 * own, at each start (systemd.exec(5), NonBlocking=): also when the next usher
 * has it from the keeper. */
void listener_unblock(const struct endpoint *ep);

/* Accepts until EAGAIN, whatever holds (a door that closes loses nobody). */
void listener_drain(struct endpoint *ep);

/* May another come in by EP now? If not, its service is held until then. */
bool listener_room(struct endpoint *ep);

/* Looks away from EP for good and gives its record up: the caller's. EP is a
 * door without a socket then, to be closed. */
int listener_part(struct endpoint *ep);

/* Closes the door and frees EP. A Unix path is unlinked only if its inode is
 * the one that we bound, and UNLINK. */
void listener_close(struct endpoint *ep, bool unlink);

/*
 * A listening descriptor that somebody gave for a door yet to be opened:
 * listener_open takes it where it would bind the same name (a socket for all
 * addresses also where it is for all of the other family). One at a time;
 * FD is taken. 0, or -EBUSY.
 */
int listener_give(int fd);
/* It back, the caller's again; or -ENOENT: a door has it. */
int listener_given(void);
bool listener_has_given(void);
/* It, if it is bound to NAME of A, the caller's now; else -1. */
int listener_given_for(const struct addr *a, const struct addr_name *name);

/* Descriptors by LISTEN_FDNAMES that nobody took yet. Called once, before
 * record_open, moves them to high numbers. */
void listener_inherit(void);
/* NAME's descriptor, now the caller's, or -ENOENT. */
int listener_inherited(const char *name);
/* Closes those that no service named; returns how many. */
int listener_inherited_close(void);
/* What is left goes to numbers FROM to TO - 1, out of the way of a take-over;
 * what finds no room there is closed. */
void listener_inherited_move(int from, int to);

#endif
