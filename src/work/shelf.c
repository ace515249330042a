/*
 * shelf - what a service's workers gave usher to keep; see shelf.h.
 *
 * The records themselves are the list. Who comes by does so at a start of a
 * worker or at its word, so walking them is cheap enough.
 */
#include "work/shelf.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#define NAME_HERE 120

/* RECORD_STORED's data when a worker stored it (its service is a slot). */
struct shelf_data {
	int32_t buffer;		/* of a name that is longer; -1: none */
	uint32_t poll;
	uint64_t order;
	char name[NAME_HERE];	/* ends in NUL */
};

/* Who hears of a dead one. */
struct watcher {
	struct service *s;
	int record;
};

static struct shelf_data *data_of(int record)
{
	return RECORD_AS(record, struct shelf_data);
}

static const char *name_of(int record)
{
	const struct shelf_data *d = data_of(record);

	return d->buffer < 0 ? d->name : record_buffer(d->buffer);
}

static int next(const struct service *s, int from)
{
	do
		from = record_next(RECORD_STORED, from);
	while (from >= 0 && record_at(from)->service != s->slot);
	return from;
}

/* The open file may live on elsewhere, so epoll must be told. */
static void let_go(struct service *s, int record)
{
	struct shelf_data *d = data_of(record);

	loop_unwatch(s->u->loop, record, 0);
	free(loop_arg(s->u->loop, record));
	if (d->buffer >= 0)
		record_buffer_end(d->buffer);
	fd_no_linger(record_at(record)->fd[0]);
	record_close(record);
}

static void on_dead(void *arg, uint32_t events)
{
	struct watcher *w = arg;
	struct service *s = w->s;

	if (!(events & (EPOLLHUP | EPOLLERR)))
		return;
	service_log(s, LOG_LEVEL_DEBUG, "stored descriptor %s is dead: "
		    "let go", name_of(w->record));
	let_go(s, w->record);
}

static void attach(struct service *s, int record, bool watch)
{
	struct watcher *w = xcalloc(1, sizeof(*w));

	w->s = s;
	w->record = record;
	/* What epoll does not take (a file) can't die either. */
	if (!watch ||
	    loop_watch(s->u->loop, record, 0, 0, on_dead, w) < 0)
		loop_attach(s->u->loop, record, on_dead, w);
}

static bool same_file(int a, int b)
{
	struct stat x, y;
	long r = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);

	if (r >= 0)
		return r == 0;
	/* A kernel without kcmp: sockets, pipes and the like are one file
	 * each. */
	return fstat(a, &x) == 0 && fstat(b, &y) == 0 &&
	       !S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static int check(const struct service *s, int fd)
{
	int n = 0;

	for (int r = next(s, -1); r >= 0; r = next(s, r), n++)
		if (same_file(record_at(r)->fd[0], fd))
			return -EEXIST;
	return n < SHELF_MAX ? 0 : -E2BIG;
}

static int set_name(struct shelf_data *d, const char *name)
{
	size_t len = strlen(name);

	d->buffer = -1;
	if (len >= sizeof(d->name)) {
		d->buffer = record_buffer_new();
		if (d->buffer < 0)
			return d->buffer;
		memcpy(record_buffer(d->buffer), name, len + 1);
		len = 0;
	}
	memcpy(d->name, name, len);
	d->name[len] = 0;
	return 0;
}

int shelf_put(struct service *s, int fd, const char *name, bool poll)
{
	int r = check(s, fd);
	int record = r < 0 ? r : record_new(RECORD_STORED, s->slot, 0);
	struct shelf_data *d;

	if (record >= 0) {
		d = data_of(record);
		r = set_name(d, name);
		if (r < 0)
			record_forget(record);
	} else {
		r = record;
	}
	if (r < 0) {
		fd_drop(fd);
		return r;
	}
	d->poll = poll;
	d->order = record_globals()->next_id++;
	record_set_fd(record, 0, fd);
	record_commit(record);
	attach(s, record, poll);
	return 0;
}

int shelf_remove(struct service *s, const char *name)
{
	int n = 0;

	for (int r = next(s, -1); r >= 0; r = next(s, r))
		if (strcmp(name_of(r), name) == 0) {
			let_go(s, r);
			n++;
		}
	return n;
}

/* The record of the least order above AFTER. */
static int in_order(const struct service *s, uint64_t after, bool first)
{
	int best = -1;

	for (int r = next(s, -1); r >= 0; r = next(s, r))
		if ((first || data_of(r)->order > after) &&
		    (best < 0 || data_of(r)->order < data_of(best)->order))
			best = r;
	return best;
}

int shelf_each(struct service *s,
	       void (*fn)(void *arg, const char *name, int fd), void *arg)
{
	int n = 0;

	for (int r = in_order(s, 0, true); r >= 0;
	     r = in_order(s, data_of(r)->order, false), n++)
		fn(arg, name_of(r), record_at(r)->fd[0]);
	return n;
}

int shelf_adopt(struct service *s, int record)
{
	struct shelf_data *d = data_of(record);
	bool right = record_at(record)->fd[0] >= RECORD_LOW &&
		     memchr(d->name, 0, sizeof(d->name));

	if (right && d->buffer >= 0) {
		right = record_buffer_claim(d->buffer) == 0;
		if (right)
			record_buffer(d->buffer)[RECORD_BUFFER - 1] = 0;
	}
	if (!right) {
		record_close(record);
		return -EINVAL;
	}
	attach(s, record, false);
	return 0;
}

void shelf_end(struct service *s)
{
	for (int r = next(s, -1); r >= 0; r = next(s, r))
		let_go(s, r);
}
