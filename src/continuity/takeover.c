/*
 * takeover - descriptors from a keeper, at their old numbers; see takeover.h.
 *
 * The kernel hands out the lowest free number. So the numbers of a message
 * are looked at before its descriptors are received, and the gaps between
 * them plugged: what arrives then lands where it was.
 */
#include "continuity/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"
#include "continuity/keeper.h"

#define ANSWER_MS 10000

int takeover_find(const char *control)
{
	CLEANUP(freep) char *path = keeper_path(control);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	CLEANUP(fd_closep) int fd = -1;

	if (*control != '/' || strlen(path) >= sizeof(sa.sun_path))
		return -ENOENT;
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (void *)&sa, sizeof(sa)) < 0)
		return -errno;
	return fd_take(&fd);
}

/* Which numbers the next message brings; 0: it is the last, -errno. Ids of
 * others (who died asking) are told by *ID. */
static int look(int sock, struct keeper_message *m)
{
	struct pollfd p = { sock, POLLIN, 0 };
	ssize_t n;

	if (poll(&p, 1, ANSWER_MS) < 1)
		return -ETIMEDOUT;
	n = recv(sock, m, sizeof(*m), MSG_PEEK);
	if (n < (ssize_t)sizeof(m->id))
		return n < 0 ? -errno : -ECONNRESET;
	return (int)(((size_t)n - sizeof(m->id)) / sizeof(int32_t));
}

/* Numbers come in ascending order, in all messages: below *NEXT none is free,
 * and none is looked at again. */
static int plug(const struct keeper_message *m, int n, int sock, char *plugs,
		int *next, int max)
{
	for (int i = 0; i < n; i++) {
		if (m->number[i] < *next || m->number[i] >= max)
			return -EBADMSG;
		for (int fd = *next; fd < m->number[i]; fd++) {
			if (fcntl(fd, F_GETFD) >= 0)
				continue;
			if (dup3(sock, fd, O_CLOEXEC) < 0)
				return -errno;
			plugs[fd] = 1;
		}
		*next = m->number[i] + 1;
	}
	return 0;
}

/* Without close-on-exec: they go on being carried. */
static int receive(int sock, const struct keeper_message *want, int n)
{
	struct keeper_message m;
	union {
		char room[CMSG_SPACE(sizeof(int) * KEEPER_BATCH)];
		struct cmsghdr align;
	} u;
	struct iovec io = { &m, sizeof(m) };
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1,
			    .msg_control = u.room,
			    .msg_controllen = sizeof(u.room) };
	struct cmsghdr *c;
	int fd;

	if (recvmsg(sock, &h, 0) < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&h);
	if (n == 0)
		return 0;
	if (!c || c->cmsg_len != CMSG_LEN(sizeof(int) * (size_t)n))
		return -EBADMSG;
	for (int i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(c) + (size_t)i * sizeof(int),
		       sizeof(fd));
		if (fd != want->number[i])
			return -EBADMSG;
	}
	return 0;
}

/* Descriptors for somebody who died asking: received and closed. */
static int skip(int sock)
{
	char buf[sizeof(struct keeper_message)];
	struct fd_message m = { .buf = buf, .size = sizeof(buf) };
	int r = fd_receive(sock, &m, 0);

	return r < 0 ? r : 0;
}

static int receive_all(int sock, uint64_t id, char *plugs, int max)
{
	struct keeper_message m;
	int n, r, next = ROLE_STATE;

	for (;;) {
		n = look(sock, &m);
		if (n < 0)
			return n;
		if (m.id != id) {
			r = skip(sock);
			if (r < 0)
				return r;
			continue;
		}
		r = plug(&m, n, sock, plugs, &next, max);
		if (r == 0)
			r = receive(sock, &m, n);
		if (r < 0 || n == 0)
			return r;
	}
}

int takeover_receive(int sock, int max)
{
	uint64_t id = (uint64_t)loop_us() << 16 ^ (uint64_t)getpid();
	int up = fcntl(sock, F_DUPFD_CLOEXEC, max - 1);
	char *plugs = xcalloc((size_t)max, 1);
	int r;

	close(sock);
	if (up < 0) {
		free(plugs);
		return -errno;
	}
	close_range(ROLE_STATE, (unsigned)(max - TAKEOVER_ASIDE) - 1, 0);
	r = fd_send(up, &id, sizeof(id), NULL, 0, 0) < 0 ? -ECONNRESET : 0;
	if (r == 0)
		r = receive_all(up, id, plugs, max);
	for (int fd = 0; fd < max; fd++)
		if (plugs[fd])
			close(fd);
	free(plugs);
	close(up);
	return r;
}
