/*
 * control - opening and closing the control socket; see the header.
 *
 * One usher for each socket: a lock on a file beside it, held by an open file
 * description (flock), so that it lives as long as the descriptor table does
 * and goes along with an upgrade. An abstract socket needs none: its name is
 * taken by who binds it.
 */
#include "control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net.h"
#include "control/monitor.h"
#include "control/server.h"
#include "control/store.h"

/* The lock may be replaced while we wait for it; so often is enough. */
#define LOCK_TRIES 10

/* ---- the lock ---- */

static char *lock_path(const struct addr *a)
{
	return xasprintf("%s.lock", a->path);
}

/* An own directory of who is not root, in a place where others may write:
 * it must be ours and nobody else's. */
static int own_directory(const char *path, char **why)
{
	CLEANUP(freep) char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	struct stat sb;

	if (!slash || slash == dir || geteuid() == 0)
		return 0;
	*slash = '\0';
	if (strncmp(dir, "/tmp/usher-", strlen("/tmp/usher-")) != 0)
		return 0;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		*why = xasprintf("%s: %s", dir, strerror(errno));
		return -EACCES;
	}
	if (lstat(dir, &sb) < 0 || !S_ISDIR(sb.st_mode) ||
	    sb.st_uid != geteuid() || (sb.st_mode & 077)) {
		*why = xasprintf("%s: it must be a directory of uid %u with "
				 "mode 0700", dir, geteuid());
		return -EPERM;
	}
	return 0;
}

static pid_t holder(int fd)
{
	char text[24] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	return (pid_t)atoi(text);
}

static bool same_file(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 &&
	       mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static int busy(int fd, const struct addr *a, char **why)
{
	pid_t pid = holder(fd);

	*why = pid > 0 ? xasprintf("%s is held by usher (pid %d); end that "
				   "one, or give this one another control = ",
				   a->text, (int)pid)
		       : xasprintf("%s is held by another usher", a->text);
	return -EBUSY;
}

static int write_pid(int fd)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		return -errno;
	return 0;
}

/* 0 locked and at its role, 1 once more, or -errno. */
static int try_lock(const char *path, const struct addr *a, char **why)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0) {
		r = -errno;
		*why = xasprintf("%s: %s; usher makes it beside the socket, "
				 "in a directory that it may write to", path,
				 strerror(-r));
		return r;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? busy(fd, a, why) : -errno;
		close(fd);
		return r;
	}
	if (!same_file(fd, path)) {
		close(fd);
		return 1;
	}
	r = write_pid(fd);
	if (r < 0)
		*why = xasprintf("%s: %s", path, strerror(-r));
	if (r < 0)
		close(fd);
	return r < 0 ? r : record_role(fd, ROLE_LOCK);
}

int control_lock(const struct addr *a, char **why)
{
	CLEANUP(freep) char *path = NULL;
	int r;

	*why = NULL;
	if (!a->path || a->path[0] != '/')
		return 0;
	path = lock_path(a);
	r = own_directory(a->path, why);
	if (r < 0)
		return r;
	(void)fd_make_parents(path);	/* the open tells */
	r = 1;
	for (int i = 0; i < LOCK_TRIES && r == 1; i++)
		r = try_lock(path, a, why);
	return r == 1 ? -EAGAIN : r;
}

static void unlock(const struct addr *a, int fd)
{
	CLEANUP(freep) char *path = NULL;

	if (!a->path || a->path[0] != '/')
		return;
	path = lock_path(a);
	/* While it is ours: who waits for it sees that it is another file. */
	if (same_file(fd, path))
		unlink(path);
}

void control_unlock(const struct addr *a)
{
	unlock(a, ROLE_LOCK);
}

/* ---- the door ---- */

static void note(void *arg, const char *text)
{
	(void)arg;
	log_warning("control: %s", text);
}

static int open_door(const struct addr *a, char **why)
{
	const struct net_note n = { note, NULL };
	struct door_data *d;
	struct stat sb;
	int record, fd = net_listen(a, &a->names[0], &n);

	if (fd < 0) {
		*why = xasprintf("%s: %s; its directory must be one that "
				 "usher may write to, and nothing else may "
				 "be at its place", a->text, strerror(-fd));
		return fd;
	}
	record = record_new(RECORD_DOOR, RECORD_NOBODY, USE_LISTEN);
	if (record < 0) {
		close(fd);
		*why = xasprintf("too many descriptors");
		return record;
	}
	d = RECORD_AS(record, struct door_data);
	d->kind = a->kind;
	snprintf(d->path, sizeof(d->path), "%s", a->path);
	if (a->path[0] == '/' && lstat(a->path, &sb) == 0)
		d->inode = sb.st_ino;
	record_set_fd(record, 0, fd);
	record_commit(record);
	return record;
}

static void close_door(int record)
{
	const struct door_data *d;
	struct stat sb;

	if (record < 0)
		return;
	d = RECORD_AS(record, struct door_data);
	if (d->path[0] == '/' && lstat(d->path, &sb) == 0 &&
	    sb.st_ino == d->inode && S_ISSOCK(sb.st_mode))
		unlink(d->path);
	record_close(record);
}

/* ---- life ---- */

int control_begin(struct usher *u)
{
	struct control *c = xcalloc(1, sizeof(*c));

	json_setup();
	c->u = u;
	c->door = c->reserve = -1;
	TAILQ_INIT(&c->clients);
	TAILQ_INIT(&c->due);
	TAILQ_INIT(&c->calls);
	addr_copy(&c->addr, &u->conf->control);
	c->store = store_open(u);
	c->monitor = monitor_open(c);
	u->control = c;
	return 0;
}

int control_open(struct usher *u, char **why)
{
	struct control *c;
	int r;

	if (!u->control)
		control_begin(u);
	c = u->control;
	r = open_door(&c->addr, why);
	if (r < 0)
		return r;
	c->door = r;
	r = server_watch(c);
	if (r < 0)
		*why = xasprintf("control socket: %s", strerror(-r));
	return r;
}

int control_adopt(struct usher *u, int record)
{
	struct control *c = u->control;

	switch (record_at(record)->kind) {
	case RECORD_DOOR:
		c->door = record;
		return server_attach(c);
	case RECORD_CLIENT:
		return client_adopt(c, record);
	case RECORD_STORED:
	case RECORD_LEASE:
		return store_adopt(c->store, record);
	default:
		record_close(record);
		return -EINVAL;
	}
}

int control_changed(struct usher *u, char **why)
{
	struct control *c = u->control;
	const struct addr *a = &u->conf->control;
	int kept, old = c->door, r;

	*why = NULL;
	if (addr_same(&c->addr, a))
		return 0;
	/* Both locks are held until the new door is open. */
	kept = fcntl(ROLE_LOCK, F_DUPFD_CLOEXEC, RECORD_LOW);
	r = control_lock(a, why);
	if (r == 0)
		r = open_door(a, why);
	if (r < 0) {
		if (kept >= 0)
			record_role(kept, ROLE_LOCK);
		return r;
	}
	c->door = r;
	close_door(old);
	unlock(&c->addr, kept);
	fd_closep(&kept);
	addr_free(&c->addr);
	addr_copy(&c->addr, a);
	return server_watch(c);
}

void control_close(struct usher *u)
{
	struct control *c = u->control;
	struct call *call;

	if (!c)
		return;
	monitor_close(c->monitor);
	server_end(c);
	while ((call = TAILQ_FIRST(&c->calls))) {
		free(call->data);	/* nobody will end it any more */
		dispatch_free(call);
	}
	queues_end(c);
	store_close(c->store);
	close_door(c->door);
	unlock(&c->addr, ROLE_LOCK);
	addr_free(&c->addr);
	free(c);
	u->control = NULL;
}
