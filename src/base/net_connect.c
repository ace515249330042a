/*
 * net_connect - the other end: connecting, writing and reading by a deadline.
 *
 * For the client commands, which may wait; the loop connects by itself with
 * net_socket.
 */
#include "base/net_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/record.h"

const char *net_stage_name(enum net_stage s)
{
	static const char *const names[] = {
		[NET_RESOLVE] = "resolve",
		[NET_CONNECT] = "connect",
		[NET_WRITE] = "write",
		[NET_ANSWER] = "answer",
	};

	return names[s];
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A point in time from MS on; -1: none. */
static int64_t deadline(int64_t ms)
{
	return ms < 0 ? -1 : now_ms() + ms;
}

/* What is left until END, 0 at least; -1: no end. */
static int64_t left(int64_t end)
{
	int64_t ms;

	if (end < 0)
		return -1;
	ms = end - now_ms();
	return ms > 0 ? ms : 0;
}

int net_wait(int fd, short events, int64_t ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t end = deadline(ms);
	int n;

	for (;;) {
		ms = left(end);
		n = poll(&p, 1, ms > INT_MAX ? INT_MAX : (int)ms);
		if (n > 0)
			return p.revents & POLLNVAL ? -EBADF : 1;
		if (n == 0 && ms <= INT_MAX)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* 0, -ETIMEDOUT, -errno. */
static int wait_until(int fd, short events, int64_t end)
{
	int r = net_wait(fd, events, left(end));

	return r == 0 ? -ETIMEDOUT : r < 0 ? r : 0;
}

/* Binds to source=, whose port the kernel chooses with the connect. */
static int bind_source(int fd, const struct addr *a, int family)
{
	struct addr_name n = { .len = 0 };
	int on = 1;

	n.u.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET &&
	    inet_pton(AF_INET, a->opt.source, &n.u.in.sin_addr) == 1)
		n.len = sizeof(n.u.in);
	else if (family == AF_INET6 &&
		 inet_pton(AF_INET6, a->opt.source, &n.u.in6.sin6_addr) == 1)
		n.len = sizeof(n.u.in6);
	else
		return -EAFNOSUPPORT;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, &n.u.sa, n.len) < 0 ? -errno : 0;
}

int net_socket(const struct addr *a, const struct addr_name *name,
	       bool cloexec, const struct net_note *note)
{
	int family = name->u.sa.sa_family;
	int flags = SOCK_NONBLOCK | (cloexec ? SOCK_CLOEXEC : 0);
	CLEANUP(fd_closep) int fd = socket(family, addr_socktype(a->kind) |
					   flags, 0);
	int r;

	if (fd < 0)
		return -errno;
	net_options_early(fd, a, note);
	net_options_bind(fd, a, family, note);
	if (a->opt.source && family != AF_UNIX) {
		r = bind_source(fd, a, family);
		if (r < 0)
			return r;
	}
	if (cloexec || fd >= RECORD_LOW)
		return fd_take(&fd);
	return net_raise(fd_take(&fd));
}

static int connect_inet(int fd, const struct addr_name *name, int64_t end)
{
	int error = 0, r;
	socklen_t len = sizeof(error);

	if (connect(fd, &name->u.sa, name->len) == 0)
		return 0;
	/* Interrupted, it goes on by itself (connect(2)). */
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	r = wait_until(fd, POLLOUT, end);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

/* MS of patience in the kernel for sending, 0: without end. */
static void send_timeout(int fd, int64_t ms)
{
	struct timeval tv = { .tv_sec = ms / 1000,
			      .tv_usec = ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/*
 * A full backlog refuses a non-blocking connect with EAGAIN, and no event
 * says when it has room. A blocking one waits in the kernel as long as
 * SO_SNDTIMEO says.
 */
static int connect_unix(int fd, const struct addr_name *name, int64_t end)
{
	int64_t ms;
	int r;

	for (;;) {
		if (connect(fd, &name->u.sa, name->len) == 0) {
			r = 0;
			break;
		}
		r = -errno;
		if (r != -EAGAIN && r != -EINTR)
			break;
		ms = left(end);
		if (ms == 0) {
			r = -ETIMEDOUT;
			break;
		}
		send_timeout(fd, ms < 0 ? 0 : ms);
		fd_nonblock(fd, false);
	}
	send_timeout(fd, 0);
	fd_nonblock(fd, true);
	return r;
}

static int connect_one(const struct addr *a, const struct addr_name *name,
		       int64_t ms, const struct net_note *note)
{
	CLEANUP(fd_closep) int fd = net_socket(a, name, true, note);
	int64_t end = deadline(ms);
	int r;

	if (fd < 0)
		return fd;
	r = name->u.sa.sa_family == AF_UNIX ? connect_unix(fd, name, end) :
					      connect_inet(fd, name, end);
	return r < 0 ? r : fd_take(&fd);
}

int net_connect(struct addr *a, int64_t ms, const struct net_note *note)
{
	CLEANUP(freep) char *why = NULL;
	char name[ADDR_TEXT];
	int last = -EADDRNOTAVAIL, r;

	if (a->nnames == 0) {
		r = addr_resolve(a, false, &why);
		if (r < 0) {
			net_tell(note, "%s", why);
			return r;
		}
	}
	for (size_t i = 0; i < a->nnames; i++) {
		r = connect_one(a, &a->names[i], ms, note);
		if (r >= 0)
			return r;
		addr_print(&a->names[i], name, sizeof(name));
		if (r != -EAFNOSUPPORT) {
			net_tell(note, "%s: %s", name, strerror(-r));
			last = r;
			continue;
		}
		net_tell(note, "%s: skipped, %s", name, a->opt.source ?
			 "source= is of the other family" :
			 "this machine lacks its family");
		/* It does not hide why another one failed. */
		if (last == -EADDRNOTAVAIL)
			last = r;
	}
	return last;
}

/* send, or write where FD is no socket (a FIFO). */
static ssize_t send_some(int fd, const void *buf, size_t len)
{
	ssize_t n = send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno == ENOTSOCK)
		n = write(fd, buf, len);
	return n < 0 ? -errno : n;
}

int net_write(int fd, const void *buf, size_t len, int64_t ms)
{
	int64_t end = deadline(ms);
	const char *p = buf;
	ssize_t n;
	int r;

	while (len > 0) {
		n = send_some(fd, p, len);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (n == -EAGAIN) {
			r = wait_until(fd, POLLOUT, end);
			if (r < 0)
				return r;
		} else if (n != -EINTR) {
			return (int)n;
		}
	}
	return 0;
}

ssize_t net_read(int fd, void *buf, size_t len, int64_t ms)
{
	int64_t end = deadline(ms);
	ssize_t n;
	int r;

	for (;;) {
		r = wait_until(fd, POLLIN, end);
		if (r < 0)
			return r;
		n = read(fd, buf, len);
		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}
