/*
 * net_listen - a door: bound, with its options, listening.
 *
 * A Unix path is bound by its own name, so that getsockname tells programs
 * the path they expect (sd_is_socket_unix(3) compares it). Until owner and
 * mode are right the path has no rights at all, so nobody connects who must
 * not. What a dead process left in the way is moved aside by rename(2) and
 * looked at again before it is removed: only what was found dead goes.
 */
#include "base/net_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* A new path beside an old one: so many names are tried. */
#define ASIDE_NAMES 16

/* A Unix path as its directory, held open, and the name in it. */
struct place {
	int dir;
	const char *base;	/* in the address's path */
};

static void place_close(struct place *p)
{
	fd_closep(&p->dir);
}

/*
 * Opens a directory. A link to it is followed only when root or we put it
 * there (/var/run is one), for whoever owns the link chooses where our socket
 * appears.
 */
static int open_dir(const char *path)
{
	CLEANUP(fd_closep) int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int dir;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && st.st_uid != 0 && st.st_uid != geteuid())
		return -ELOOP;
	if (S_ISDIR(st.st_mode))
		return fd_take(&fd);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : dir;
}

static int place_open(const char *path, struct place *out)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(freep) char *dir = NULL;
	int r = fd_make_parents(path);

	if (r < 0)
		return r;
	dir = slash == path ? xstrdup("/") :
			      xstrndup(path, (size_t)(slash - path));
	out->dir = open_dir(dir);
	out->base = slash + 1;
	return out->dir < 0 ? out->dir : 0;
}

/*
 * Does somebody hold the socket at NAME? Asked with a datagram socket: a
 * stream one that lives answers EPROTOTYPE and never sees a connection, a
 * dead one of any type ECONNREFUSED.
 */
static bool alive(const struct addr_name *name)
{
	CLEANUP(fd_closep) int fd =
		socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 || connect(fd, &name->u.sa, name->len) == 0 ||
	       errno != ECONNREFUSED;
}

/* Removes the dead socket that ST describes, and only that. */
static int remove_stale(const struct place *p, const struct stat *st)
{
	char aside[64];
	struct stat moved;

	snprintf(aside, sizeof(aside), ".usher-stale-%ju",
		 (uintmax_t)st->st_ino);
	if (renameat2(p->dir, p->base, p->dir, aside, RENAME_NOREPLACE) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstatat(p->dir, aside, &moved, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (moved.st_dev == st->st_dev && moved.st_ino == st->st_ino)
		return unlinkat(p->dir, aside, 0) < 0 ? -errno : 0;
	/* Somebody was faster, and this one may live: give it back. */
	renameat2(p->dir, aside, p->dir, p->base, RENAME_NOREPLACE);
	return -EADDRINUSE;
}

static int clear_path(const struct place *p, const struct addr_name *name)
{
	struct stat st;

	if (fstatat(p->dir, p->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (alive(name))
		return -EADDRINUSE;
	return remove_stale(p, &st);
}

static int bind_closed(int fd, const struct addr_name *name)
{
	mode_t old = umask(0777);
	int r = bind(fd, &name->u.sa, name->len) < 0 ? -errno : 0;

	umask(old);
	return r;
}

static int listen_if_stream(int fd, const struct addr *a,
			    const struct net_note *note)
{
	if (addr_socktype(a->kind) == SOCK_DGRAM)
		return 0;
	net_options_listen(fd, a, note);
	return net_backlog(fd, a, note);
}

static int open_path(int fd, const struct addr *a,
		     const struct addr_name *name, const struct net_note *note)
{
	CLEANUP(place_close) struct place p = { .dir = -1 };
	int r = place_open(a->path, &p);

	if (r < 0)
		return r;
	r = clear_path(&p, name);
	if (r < 0)
		return r;
	r = bind_closed(fd, name);
	if (r < 0)
		return r;
	r = listen_if_stream(fd, a, note);
	if (r == 0)
		r = net_path_rights(a->path, a, note);
	if (r < 0)
		unlinkat(p.dir, p.base, 0);
	return r;
}

/* Names left by a process that was killed meanwhile are passed over. */
static int bind_aside(int fd, const struct addr *a, char **aside)
{
	const char *slash = strrchr(a->path, '/');
	int r = -EADDRINUSE;

	for (unsigned i = 0; r == -EADDRINUSE && i < ASIDE_NAMES; i++) {
		struct addr_name name = { .u.un.sun_family = AF_UNIX };

		free(*aside);
		*aside = xasprintf("%.*s/.usher-new-%u",
				   (int)(slash - a->path), a->path, i);
		if (strlen(*aside) >= sizeof(name.u.un.sun_path))
			return -ENAMETOOLONG;
		strcpy(name.u.un.sun_path, *aside);
		name.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				       strlen(*aside) + 1);
		if (access(*aside, F_OK) == 0 && !alive(&name))
			unlink(*aside);
		r = bind_closed(fd, &name);
	}
	return r;
}

int net_listen_aside(const struct addr *a, const struct net_note *note,
		     char **aside)
{
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, addr_socktype(a->kind) |
					   SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CLEANUP(place_close) struct place p = { .dir = -1 };
	int r;

	if (fd < 0)
		return -errno;
	r = place_open(a->path, &p);
	if (r < 0)
		return r;
	net_options_early(fd, a, note);
	r = bind_aside(fd, a, aside);
	if (r < 0)
		return r;
	r = listen_if_stream(fd, a, note);
	if (r == 0)
		r = net_path_rights(*aside, a, note);
	if (r == 0)
		return net_raise(fd_take(&fd));
	unlink(*aside);
	return r;
}

void net_share_port(int fd, bool on)
{
	int value = on;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value));
}

static int open_plain(int fd, const struct addr *a,
		      const struct addr_name *name,
		      const struct net_note *note, bool beside)
{
	int on = 1, r;

	/* Else a restart waits for the last connections' TIME_WAIT. */
	if (a->kind == ADDR_TCP && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR,
					      &on, sizeof(on)) < 0)
		return -errno;
	net_options_bind(fd, a, name->u.sa.sa_family, note);
	if (beside)
		net_share_port(fd, true);
	if (bind(fd, &name->u.sa, name->len) < 0)
		return -errno;
	r = listen_if_stream(fd, a, note);
	if (beside)
		net_share_port(fd, false);
	return r;
}

static int open_one(const struct addr *a, const struct addr_name *name,
		    const struct net_note *note, bool beside)
{
	CLEANUP(fd_closep) int fd = socket(name->u.sa.sa_family,
					   addr_socktype(a->kind) |
					   SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	net_options_early(fd, a, note);
	if (addr_is_unix(a->kind) && a->path[0] == '/')
		r = open_path(fd, a, name, note);
	else
		r = open_plain(fd, a, name, note, beside);
	return r < 0 ? r : net_raise(fd_take(&fd));
}

/* All addresses, on a machine without IPv6. */
static int open_all4(const struct addr *a, const struct addr_name *name,
		     const struct net_note *note, bool beside)
{
	struct addr_name all = { .len = sizeof(all.u.in) };

	all.u.in.sin_family = AF_INET;
	all.u.in.sin_port = name->u.in6.sin6_port;
	return open_one(a, &all, note, beside);
}

bool net_is_all(const struct addr *a)
{
	return (a->kind == ADDR_TCP || a->kind == ADDR_UDP) && !a->host &&
	       a->family == AF_UNSPEC && a->opt.v6only != ADDR_YES;
}

static int open_any(const struct addr *a, const struct addr_name *name,
		    const struct net_note *note, bool beside)
{
	int r;

	if (a->kind == ADDR_FIFO || a->kind == ADDR_FD)
		return -EINVAL;
	r = open_one(a, name, note, beside);
	if (net_is_all(a) && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL))
		r = open_all4(a, name, note, beside);
	return r;
}

int net_listen(const struct addr *a, const struct addr_name *name,
	       const struct net_note *note)
{
	return open_any(a, name, note, false);
}

int net_listen_beside(const struct addr *a, const struct addr_name *name,
		      const struct net_note *note)
{
	return open_any(a, name, note, true);
}
