/*
 * fifo - a FIFO in the file system; see fifo.h.
 */
#include "inlet/fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fd.h"
#include "inlet/listener.h"

#define MODE_DEFAULT 0620
/* More of a file that lay in the FIFO's place is not taken. */
#define FOUND_MOST   (1024 * 1024)
#define FOUND_NAMES  100

/* A FIFO's place, and whose it may be. */
struct place {
	char *path;
	const char *base;	/* in PATH */
	int dir;		/* O_PATH */
	mode_t mode;
	bool set_owner, set_group;
	uid_t uid;
	gid_t gid;
	uid_t service_uid;	/* may own the directory */
	bool text;		/* requests are lines */
};

static void place_free(struct place *p)
{
	free(p->path);
	fd_closep(&p->dir);
}

char *fifo_path(const struct service *s, const struct addr *addr)
{
	if (addr->path[0] == '/')
		return xstrdup(addr->path);
	return xasprintf("%s/%s", s->conf->spool, addr->path);
}

static bool trusted(const struct place *p, uid_t uid)
{
	return uid == 0 || uid == geteuid() ||
	       (p->set_owner && uid == p->uid) || uid == p->service_uid;
}

/* ---- the directory ---- */

static int open_dir(struct place *p, char **why)
{
	CLEANUP(freep) char *dir = xstrndup(p->path,
					    (size_t)(p->base - p->path));
	struct stat sb;
	int r = fd_make_parents(p->path);

	if (r == 0) {
		/* With its slash a link would be followed. */
		if (strlen(dir) > 1)
			dir[strlen(dir) - 1] = '\0';
		p->dir = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW |
			      O_CLOEXEC);
		r = p->dir < 0 || fstat(p->dir, &sb) < 0 ? -errno : 0;
	}
	if (r < 0) {
		*why = xasprintf("fifo: directory %s: %s%s", dir,
				 strerror(-r), r == -ENOTDIR || r == -ELOOP
				 ? "; a link is not followed, name the "
				   "directory itself" : "");
		return r;
	}
	if (!trusted(p, sb.st_uid)) {
		*why = xasprintf("fifo: directory %s belongs to uid %u, who "
				 "could put anything in the FIFO's place; "
				 "chown root %s, or name them by owner=", dir,
				 (unsigned)sb.st_uid, dir);
		return -EPERM;
	}
	if ((sb.st_mode & S_IWOTH) ||
	    ((sb.st_mode & S_IWGRP) && sb.st_gid != 0 &&
	     sb.st_gid != getegid() &&
	     !(p->set_group && sb.st_gid == p->gid))) {
		*why = xasprintf("fifo: others may write to directory %s; "
				 "chmod go-w %s, or take another", dir, dir);
		return -EPERM;
	}
	return 0;
}

/* ---- what is in the way ---- */

static const char *kind_name(mode_t mode)
{
	return S_ISLNK(mode) ? "a symbolic link"
	     : S_ISDIR(mode) ? "a directory"
	     : S_ISSOCK(mode) ? "a socket"
	     : S_ISREG(mode) ? "a regular file"
	     : S_ISFIFO(mode) ? "a FIFO" : "a device";
}

static int in_the_way(const struct place *p, const struct stat *sb, char **why)
{
	if (!S_ISFIFO(sb->st_mode) && !S_ISREG(sb->st_mode))
		*why = xasprintf("fifo: %s is %s; remove it and usher makes "
				 "the FIFO: rm%s %s", p->path,
				 kind_name(sb->st_mode),
				 S_ISDIR(sb->st_mode) ? " -r" : "", p->path);
	else if (sb->st_nlink > 1)
		*why = xasprintf("fifo: %s is %s with %lu hard links, another "
				 "name of it is somewhere else; remove it and "
				 "usher makes the FIFO: rm %s", p->path,
				 kind_name(sb->st_mode),
				 (unsigned long)sb->st_nlink, p->path);
	else if (!trusted(p, sb->st_uid))
		*why = xasprintf("fifo: %s is %s that belongs to uid %u; "
				 "remove it and usher makes the FIFO: rm %s",
				 p->path, kind_name(sb->st_mode),
				 (unsigned)sb->st_uid, p->path);
	else
		return 0;
	return -EEXIST;
}

/* Moves the file aside under a name that nobody has: its new name. */
static char *move_aside(const struct place *p)
{
	for (int i = 0; i < FOUND_NAMES; i++) {
		char *name = i ? xasprintf("%s.found.%d", p->base, i)
			       : xasprintf("%s.found", p->base);

		if (renameat2(p->dir, p->base, p->dir, name,
			      RENAME_NOREPLACE) == 0)
			return name;
		free(name);
		if (errno != EEXIST)
			break;
	}
	return NULL;
}

/* Puts what the file held into the FIFO, as far as it takes it. */
static void pour(const struct place *p, int file, int fifo, off_t size)
{
	CLEANUP(freep) char *buf = xmalloc((size_t)size + 1);
	ssize_t n = pread(file, buf, (size_t)size, 0);

	if (n <= 0)
		return;
	if (p->text && buf[n - 1] != '\n' && buf[n - 1] != '\0')
		buf[n++] = '\n';
	fcntl(fifo, F_SETPIPE_SZ, (int)n);
	if (write(fifo, buf, (size_t)n) < n)
		log_warning("fifo: %s: a file was found in the FIFO's place; "
			    "not all of its lines were taken, they are in "
			    "%s.found", p->path, p->path);
}

/* ---- the FIFO ---- */

/* Opens what the directory holds by that name and looks whether it is what
 * SB said. */
static int open_same(const struct place *p, int flags, const struct stat *sb)
{
	CLEANUP(fd_closep) int fd = openat(p->dir, p->base, flags |
					   O_NONBLOCK | O_NOFOLLOW |
					   O_NOCTTY | O_CLOEXEC);
	struct stat now;

	if (fd < 0 || fstat(fd, &now) < 0)
		return -errno;
	if (now.st_dev != sb->st_dev || now.st_ino != sb->st_ino)
		return -EAGAIN;		/* changed under our eyes */
	return fd_take(&fd);
}

/* Owner first: chown takes bits of the mode away. */
static int set_rights(const struct place *p, int fd)
{
	struct stat sb;
	uid_t uid = p->set_owner ? p->uid : (uid_t)-1;
	gid_t gid = p->set_group ? p->gid : (gid_t)-1;

	if (fstat(fd, &sb) < 0)
		return -errno;
	if ((p->set_owner && sb.st_uid != uid) ||
	    (p->set_group && sb.st_gid != gid))
		if (fchown(fd, uid, gid) < 0)
			return -errno;
	if ((sb.st_mode & 07777) != p->mode && fchmod(fd, p->mode) < 0)
		return -errno;
	return 0;
}

static int make(const struct place *p, char **why)
{
	/* Without rights for others until owner and mode are set. */
	if (mkfifoat(p->dir, p->base, 0600) == 0 || errno == EEXIST)
		return 0;
	*why = xasprintf("fifo: %s can't be made: %s", p->path,
			 strerror(errno));
	return -errno;
}

static int take_file(const struct place *p, const struct stat *sb, char **why,
		     int *file)
{
	CLEANUP(fd_closep) int fd = open_same(p, O_RDONLY, sb);
	CLEANUP(freep) char *name = fd < 0 ? NULL : move_aside(p);

	if (!name) {
		*why = xasprintf("fifo: %s is a regular file and can't be "
				 "moved aside; remove it and usher makes the "
				 "FIFO: rm %s", p->path, p->path);
		return -EEXIST;
	}
	log_notice("fifo: %s was a regular file, it is %s now and its lines "
		   "are taken", p->path, name);
	*file = fd_take(&fd);
	return 0;
}

/* A few rounds, for who changes the directory meanwhile. */
static int open_fifo(const struct place *p, char **why)
{
	CLEANUP(fd_closep) int file = -1;
	struct stat sb, found = { .st_size = 0 };
	int fd, r;

	for (int i = 0; i < 8; i++) {
		free(TAKE(*why));
		if (fstatat(p->dir, p->base, &sb, AT_SYMLINK_NOFOLLOW) < 0) {
			r = errno == ENOENT ? make(p, why) : -errno;
			if (r < 0)
				return r;
			continue;
		}
		r = in_the_way(p, &sb, why);
		if (r < 0)
			return r;
		if (S_ISREG(sb.st_mode)) {
			if (file >= 0)
				return -EEXIST;
			r = take_file(p, &sb, why, &file);
			if (r < 0)
				return r;
			found = sb;
			continue;
		}
		fd = open_same(p, O_RDWR, &sb);
		if (fd == -EAGAIN)
			continue;
		r = fd < 0 ? fd : set_rights(p, fd);
		if (r < 0) {
			fd_closep(&fd);
			*why = xasprintf("fifo: %s: %s", p->path,
					 strerror(-r));
			return r;
		}
		if (file >= 0)
			pour(p, file, fd, found.st_size < FOUND_MOST
			     ? found.st_size : FOUND_MOST);
		return fd;
	}
	*why = xasprintf("fifo: somebody changes %s all the time", p->path);
	return -EBUSY;
}

/* ---- for endpoints ---- */

static int find_owner(struct place *p, const struct addr *a, char **why)
{
	struct child_user u = { 0 };
	const char *missing = NULL;
	int r;

	if (!a->opt.owner && !a->opt.group)
		return 0;
	r = child_user_find(a->opt.owner, a->opt.group, &u, &missing);
	if (r < 0) {
		*why = xasprintf("fifo: %s: no such user or group: %s",
				 p->path, missing ? missing : "?");
		return r;
	}
	p->set_owner = a->opt.owner != NULL;
	p->set_group = a->opt.group != NULL;
	p->uid = u.identity.uid;
	p->gid = u.identity.gid;
	child_user_free(&u);
	return 0;
}

static int prepare(const struct service *s, const struct addr *a,
		   struct place *p, char **why)
{
	int r;

	*p = (struct place){ .dir = -1 };
	p->path = fifo_path(s, a);
	p->base = strrchr(p->path, '/') + 1;
	p->mode = a->opt.mode >= 0 ? (mode_t)a->opt.mode : MODE_DEFAULT;
	p->text = s->conf->trigger_frame == 0;
	p->service_uid = s->conf->who.identity.set_user
		? s->conf->who.identity.uid : geteuid();
	r = find_owner(p, a, why);
	return r < 0 ? r : open_dir(p, why);
}

static void remember(struct endpoint *ep, const char *path)
{
	struct door_data *d = RECORD_AS(ep->record, struct door_data);
	struct stat sb;

	snprintf(d->path, sizeof(d->path), "%s", path);
	d->inode = fstat(record_at(ep->record)->fd[0], &sb) == 0
		? sb.st_ino : 0;
}

int fifo_open(struct service *s, const struct addr *addr,
	      enum endpoint_use use, char **why)
{
	CLEANUP(place_free) struct place p;
	struct endpoint *ep;
	int fd = prepare(s, addr, &p, why);

	if (fd == 0)
		fd = open_fifo(&p, why);
	if (fd < 0)
		return fd;
	ep = listener_adopt(s, fd, addr, use);
	if (!ep) {
		close(fd);
		*why = xasprintf("fifo: %s: too many descriptors", p.path);
		return -ENFILE;
	}
	remember(ep, p.path);
	return 0;
}

enum fifo_state fifo_look(const struct endpoint *ep)
{
	CLEANUP(freep) char *path = fifo_path(ep->service, &ep->addr);
	struct stat there, ours;

	if (lstat(path, &there) < 0)
		return FIFO_GONE;
	if (fstat(record_at(ep->record)->fd[0], &ours) == 0 &&
	    there.st_dev == ours.st_dev && there.st_ino == ours.st_ino)
		return FIFO_OURS;
	return S_ISREG(there.st_mode) ? FIFO_FILE : FIFO_OTHER;
}

int fifo_apply(struct endpoint *ep, char **why)
{
	CLEANUP(place_free) struct place p;
	int r = prepare(ep->service, &ep->addr, &p, why);

	if (r < 0)
		return r;
	r = set_rights(&p, record_at(ep->record)->fd[0]);
	if (r < 0)
		*why = xasprintf("fifo: %s: %s", p.path, strerror(-r));
	return r;
}

int fifo_renew(struct endpoint *ep, char **why)
{
	CLEANUP(place_free) struct place p;
	int r = prepare(ep->service, &ep->addr, &p, why);
	CLEANUP(fd_closep) int fd = r < 0 ? r : open_fifo(&p, why);

	if (fd < 0)
		return fd;
	if (ep->watched)
		loop_unwatch(ep->service->u->loop, ep->record, 0);
	ep->watched = false;
	/* The number is the identity, and stays. */
	if (dup2(fd, record_at(ep->record)->fd[0]) < 0)
		return -errno;
	remember(ep, p.path);
	endpoint_update(ep);
	return 0;
}
