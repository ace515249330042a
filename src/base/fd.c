/*
 * fd - descriptors: sent, received, checked; see fd.h.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/offload.h"

/* Room for every descriptor that a message can carry, credentials besides. */
union control {
	char room[CMSG_SPACE(sizeof(int) * FD_MESSAGE_MAX) +
		  CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

void fd_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

void fd_no_linger(int fd)
{
	const struct linger off = { 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
}

/* What the kernel knows of it: a file system in user space is not asked. */
static int look_at(int fd, struct statx *out)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		     STATX_BASIC_STATS, out) < 0 ? -errno : 0;
}

static void close_it(void *arg)
{
	close((int)(intptr_t)arg);
}

static void closed(void *arg)
{
	(void)arg;
}

void fd_drop(int fd)
{
	struct statx sx;

	/* A file on no device: whose close may be another process's to
	 * answer (FUSE), or another host's. */
	if (look_at(fd, &sx) == 0 && S_ISREG(sx.stx_mode) &&
	    sx.stx_dev_major == 0 &&
	    offload(close_it, closed, (void *)(intptr_t)fd) == 0)
		return;
	fd_no_linger(fd);
	close(fd);
}

static int flag(int fd, int get, int set, int bit, bool on)
{
	int old = fcntl(fd, get);
	int new = on ? old | bit : old & ~bit;

	if (old < 0)
		return -errno;
	if (new != old && fcntl(fd, set, new) < 0)
		return -errno;
	return 0;
}

int fd_nonblock(int fd, bool on)
{
	int word = on;

	return ioctl(fd, FIONBIO, &word) < 0 ? -errno : 0;
}

int fd_cloexec(int fd, bool on)
{
	return flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

ssize_t fd_send(int sock, const void *buf, size_t len, const int *fds, int n,
		int flags)
{
	struct iovec io = { (void *)buf, len };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	char room[CMSG_SPACE(sizeof(int) * (n > 0 ? n : 1))]
		__attribute__((aligned(8)));
	ssize_t sent;

	if (n > FD_BATCH)
		return -EINVAL;
	if (n > 0) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)room;

		memset(room, 0, sizeof(room));
		m.msg_control = room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	do
		sent = sendmsg(sock, &m, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	return errno == ETOOMANYREFS || errno == ENOBUFS ? -EAGAIN : -errno;
}

static void take_rights(struct fd_message *m, const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (m->n < m->max) {
			m->fds[m->n++] = fd;
		} else {
			fd_drop(fd);
			m->extra++;
		}
	}
}

static void walk(struct fd_message *m, struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			take_rights(m, c);
		} else if (c->cmsg_type == SCM_CREDENTIALS &&
			   c->cmsg_len >= CMSG_LEN(sizeof(m->cred))) {
			memcpy(&m->cred, CMSG_DATA(c), sizeof(m->cred));
			m->has_cred = true;
		}
	}
}

void fd_message_drop(struct fd_message *m)
{
	while (m->n > 0)
		fd_drop(m->fds[--m->n]);
}

int fd_receive(int sock, struct fd_message *m, int flags)
{
	union control control;
	struct iovec io = { m->buf, m->size };
	struct msghdr h = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
		.msg_name = &m->from,
		.msg_namelen = sizeof(m->from),
	};
	ssize_t n;

	m->n = m->extra = 0;
	m->has_cred = false;
	do
		n = recvmsg(sock, &h, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	m->len = (size_t)n;
	m->fromlen = h.msg_namelen;
	/* An unbound Unix sender has no name, or a family and nothing else. */
	m->bound = h.msg_namelen > sizeof(sa_family_t);
	m->eor = h.msg_flags & MSG_EOR;
	walk(m, &h);
	if (h.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
		fd_message_drop(m);
		return h.msg_flags & MSG_CTRUNC ? -EBADMSG : -EMSGSIZE;
	}
	return n > 0 || m->n || m->extra || m->eor ? 1 : 0;
}

/* ---- what a descriptor is ---- */

static int option(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0)
		return -errno;
	return value;
}

static int no(int error, const char **why, const char *text)
{
	if (why)
		*why = text;
	return error;
}

static int check_any(int fd, const char **why)
{
	struct statx sx;
	int flags = fcntl(fd, F_GETFL), r;

	if (flags < 0)
		return no(-errno, why, "it is no open descriptor");
	if (flags & O_PATH)
		return no(-EBADF, why, "it was opened with O_PATH");
	r = look_at(fd, &sx);
	if (r < 0)
		return no(r, why, "it can't be examined");
	if (S_ISDIR(sx.stx_mode))
		return no(-EISDIR, why, "it is a directory");
	return 0;
}

static int check_stream(int fd, bool listening, const char **why)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int type = option(fd, SO_TYPE);
	int accepts = option(fd, SO_ACCEPTCONN);

	if (type != SOCK_STREAM && type != SOCK_SEQPACKET)
		return no(-EPROTOTYPE, why,
			  "a stream or seqpacket socket is wanted");
	if (listening && accepts != 1)
		return no(-EINVAL, why, "a listening socket is wanted, "
			  "this one does not listen");
	if (!listening && accepts == 1)
		return no(-ENOTCONN, why, "a connected socket is wanted, "
			  "this one listens");
	if (!listening && getpeername(fd, (void *)&peer, &len) < 0)
		return no(-ENOTCONN, why, "a connected socket is wanted, "
			  "this one is not connected");
	return 0;
}

int fd_check(int fd, enum fd_want want, const char **why)
{
	int r = check_any(fd, why);
	int domain;

	if (r < 0 || want == FD_WANT_ANY)
		return r;
	domain = option(fd, SO_DOMAIN);
	if (domain < 0)
		return no(-ENOTSOCK, why, "a socket is wanted");
	if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
		return no(-EAFNOSUPPORT, why,
			  "a TCP or Unix socket is wanted");
	if (want == FD_WANT_DGRAM)
		return option(fd, SO_TYPE) == SOCK_DGRAM ? 0
			: no(-EPROTOTYPE, why, "a datagram socket is wanted");
	return check_stream(fd, want == FD_WANT_LISTENING, why);
}

uint64_t fd_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return 0;
	return cookie;
}

bool fd_peercred(int fd, struct ucred *out)
{
	socklen_t len = sizeof(*out);

	/* Anything but a connected Unix socket answers with nobody. */
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, out, &len) == 0 &&
	       out->uid != (uid_t)-1;
}

int fd_peergroups(int fd, gid_t **out)
{
	socklen_t len = 64 * sizeof(gid_t);

	for (;;) {
		*out = xmalloc(len);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, *out, &len) == 0)
			return (int)(len / sizeof(gid_t));
		free(*out);
		*out = NULL;
		if (errno != ERANGE)
			return 0;
	}
}

int fd_outq(int fd)
{
	int n;

	return ioctl(fd, SIOCOUTQ, &n) < 0 ? -errno : n;
}

int fd_make_parents(const char *path)
{
	CLEANUP(freep) char *copy = xstrdup(path);

	for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(copy, 0755) == 0) {
			/* The umask may have taken some of it. */
			if (chmod(copy, 0755) < 0)
				return -errno;
		} else if (errno != EEXIST) {
			return -errno;
		}
		*p = '/';
	}
	return 0;
}
