/*
 * net - sockets: listening and connecting, TCP and Unix, options set in the
 * order in which they act.
 *
 * Buffer sizes are set before connect and before listen. A refused option is
 * a warning told through NOTE, not a failure. The in-loop connect is relay's;
 * here are listening and the connect of client commands, which may wait but
 * honour a deadline at each stage (after Postfix's inet_connect, inet_listen,
 * unix_connect, unix_listen and timed_connect).
 */
#ifndef USHER_BASE_NET_H
#define USHER_BASE_NET_H

#include "base/addr.h"

/* Gets one line about an option that was refused or an address skipped. */
typedef void net_note_fn(void *arg, const char *text);

struct net_note {
	net_note_fn *fn;	/* NULL: nobody listens */
	void *arg;
};

/* All addresses: one socket for both families, or for IPv4 alone on a machine
 * without IPv6. */
bool net_is_all(const struct addr *a);

/*
 * Binds and listens on NAME, one of A's (A->names[i]); datagram kinds are
 * bound only. The descriptor is non-blocking, numbered RECORD_LOW or more,
 * without close-on-exec. Unix paths: missing parents are made 0755; a stale
 * socket (connect refused) is moved to a temporary name by rename, then
 * removed; a living one is -EADDRINUSE; anything else at the path is -EEXIST.
 * The path has no rights until owner, group and mode are set, and is bound by
 * its own name, which getsockname tells the workers. May ask the user
 * database. Returns the descriptor or -errno (-EINVAL: a kind without
 * sockets, or owner= or group= is unknown, told).
 */
int net_listen(const struct addr *a, const struct addr_name *name,
	       const struct net_note *note);
/* The same for TCP and UDP, beside sockets of our own that overlap NAME: on
 * those net_share_port is on, and they are closed next. */
int net_listen_beside(const struct addr *a, const struct addr_name *name,
		      const struct net_note *note);
/* The same for a Unix path that has a socket of our own: bound under another
 * name in its directory, *ASIDE, allocated. Who renames it over the path
 * leaves no moment without one; getsockname goes on telling that name. */
int net_listen_aside(const struct addr *a, const struct net_note *note,
		     char **aside);
/* May this user bind more sockets where FD is bound? */
void net_share_port(int fd, bool on);

/* Sets those options of A that a live socket can change (backlog, buffers,
 * nodelay, keepalive, defer, fastopen, mode, owner); what is unset goes back
 * to its default. 0 or -errno of the first that was refused. */
int net_apply(int fd, const struct addr *a, const struct net_note *note);

/* A socket for connecting to NAME: non-blocking, close-on-exec as CLOEXEC
 * (without it: numbered RECORD_LOW or more), options and source= set.
 * Descriptor or -errno; -EAFNOSUPPORT: this machine lacks the family, or
 * source= is of the other one. */
int net_socket(const struct addr *a, const struct addr_name *name,
	       bool cloexec, const struct net_note *note);

/* The stages at which a client can fail. */
enum net_stage {
	NET_RESOLVE, NET_CONNECT, NET_WRITE, NET_ANSWER,
};
const char *net_stage_name(enum net_stage s);

/*
 * Connects within MS (-1: no limit) for each address, all of A (resolved when
 * it has no names yet) tried in order, families that can't be used skipped
 * and told. A Unix socket whose backlog is full is waited for until the
 * deadline. The descriptor is close-on-exec and non-blocking. Returns it or
 * -errno of the last address.
 */
int net_connect(struct addr *a, int64_t ms, const struct net_note *note);

/* Deadlines: -ETIMEDOUT. Never a SIGPIPE on a socket.
 * Writes all within MS; reads up to LEN bytes within MS (0: end). */
int net_write(int fd, const void *buf, size_t len, int64_t ms);
ssize_t net_read(int fd, void *buf, size_t len, int64_t ms);
/* Waits until FD shows EVENTS (poll's). 1, 0 (deadline), -errno. */
int net_wait(int fd, short events, int64_t ms);

/*
 * Who holds a TCP or UDP port or Unix path, by the inode in /proc/net and
 * /proc/PID/fd. Reads all of /proc: for error texts only. false: can't be
 * found out.
 */
struct net_holder {
	pid_t pid;
	char name[32];
};
bool net_holder(const struct addr *a, const struct addr_name *name,
		struct net_holder *out);

/* Accept queue's depth and limit of a listening socket (TCP_INFO, unix_diag
 * by inode); of a datagram one bytes (UDP) and drops. 0 or -errno. */
struct net_queue {
	uint32_t depth, max;
	uint64_t drops;		/* a datagram socket's, by SO_MEMINFO */
};
int net_queue(int fd, struct net_queue *out);

/*
 * All listening Unix sockets of the machine: the kernel walks its whole table
 * for each that is asked about by number, so who asks about many reads them
 * all before, some hundred with each call of net_queues_more until it says
 * false. NULL: not to be had, and each is asked about.
 */
struct net_queues *net_queues_begin(void);
bool net_queues_more(struct net_queues *q);
/* One more holder of Q, each of whom frees it, at any time. */
struct net_queues *net_queues_share(struct net_queues *q);
void net_queues_free(struct net_queues *q);
/* As net_queue, from KNOWN where that is not NULL. */
int net_queue_in(const struct net_queues *known, int fd,
		 struct net_queue *out);

#endif
