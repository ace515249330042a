/*
 * spool - watches the directories in which FIFOs lie; see spool.h.
 *
 * One inotify descriptor for all of them, made with the first FIFO and closed
 * after the last. The events of a directory name what changed in it.
 */
#include "inlet/spool.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/offload.h"
#include "inlet/fifo.h"
#include "inlet/request.h"

#define RETRY_MS 1000

/* What a RECORD_WATCH of the spool has as its argument. */
#define WATCH_SPOOL 1

#define CHANGES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define ENDS    (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)

/* A FIFO that is watched. Its directory's watch has a number that all FIFOs
 * in it share. */
struct spooled {
	TAILQ_ENTRY(spooled) entry;
	struct endpoint *ep;
	char *dir, *name;
	int wd;			/* -1: the directory has gone */
	bool suspect;		/* to be looked at by the timer */
	char *told;		/* what is wrong, as told */
};

struct spool {
	struct usher *u;
	int record;
	TAILQ_HEAD(, spooled) fifos;
	struct timer retry;
};

static int inotify_of(const struct spool *sp)
{
	return record_at(sp->record)->fd[0];
}

static void on_retry(void *arg);

static void later(struct spool *sp, struct spooled *f)
{
	f->suspect = true;
	if (!timer_is_set(&sp->retry))
		timer_set(sp->u->loop, &sp->retry, RETRY_MS, on_retry, sp);
}

static void watch_dir(struct spool *sp, struct spooled *f)
{
	f->wd = inotify_add_watch(inotify_of(sp), f->dir, CHANGES |
				  IN_CLOSE_WRITE | IN_DELETE_SELF |
				  IN_MOVE_SELF | IN_ONLYDIR);
	if (f->wd < 0)
		later(sp, f);
}

/* ---- a FIFO that is not what it was ---- */

static void well_again(struct spooled *f)
{
	struct service *s = f->ep->service;

	if (f->told && s->degraded && strcmp(s->degraded, f->told) == 0)
		service_recover(s);
	free(TAKE(f->told));
}

static void renew(struct spool *sp, struct spooled *f, enum fifo_state state)
{
	static const char *const happened[] = {
		[FIFO_OURS] = "is as it was",
		[FIFO_GONE] = "was removed",
		[FIFO_FILE] = "was replaced by a regular file",
		[FIFO_OTHER] = "was replaced",
	};
	CLEANUP(freep) char *why = NULL;
	struct service *s = f->ep->service;

	request_drain(f->ep);
	if (fifo_renew(f->ep, &why) == 0) {
		service_log(s, LOG_LEVEL_WARNING,
			    "FIFO %s/%s %s; it is made anew", f->dir, f->name,
			    happened[state]);
		well_again(f);
		return;
	}
	if (!f->told || strcmp(f->told, why ?: "")) {
		free(f->told);
		f->told = xstrdup(why ?: "");
		service_degrade(s, "%s", f->told);
	}
	later(sp, f);
}

/* A file that was just made is still being written: its close tells. */
static void examine(struct spool *sp, struct spooled *f, uint32_t mask)
{
	enum fifo_state state = fifo_look(f->ep);

	f->suspect = false;
	if (state == FIFO_OURS)
		well_again(f);
	else if (state == FIFO_FILE && (mask & IN_CREATE))
		later(sp, f);
	else
		renew(sp, f, state);
}

static void on_retry(void *arg)
{
	struct spool *sp = arg;
	struct spooled *f;

	TAILQ_FOREACH(f, &sp->fifos, entry) {
		if (!f->suspect)
			continue;
		examine(sp, f, 0);
		if (f->wd < 0)
			watch_dir(sp, f);
	}
}

/* ---- events ---- */

static void event_of(struct spool *sp, struct spooled *f,
		     const struct inotify_event *e)
{
	if (e->mask & (ENDS | IN_Q_OVERFLOW)) {
		if (e->mask & IN_MOVE_SELF)	/* it is elsewhere now */
			inotify_rm_watch(inotify_of(sp), e->wd);
		if (e->mask & ENDS)
			f->wd = -1;
		later(sp, f);
		return;
	}
	if (!e->len || strcmp(e->name, f->name))
		return;
	if ((e->mask & IN_CLOSE_WRITE) && fifo_look(f->ep) != FIFO_FILE)
		request_closed(f->ep);
	else if (e->mask & (CHANGES | IN_CLOSE_WRITE))
		examine(sp, f, e->mask);
}

/* Several events of one kind about one FIFO in a batch are one. */
static void on_events(void *arg, uint32_t events)
{
	struct spool *sp = arg;
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n = read(inotify_of(sp), buf, sizeof(buf));

	(void)events;
	for (ssize_t i = 0; i < n;) {
		const struct inotify_event *e = (const void *)(buf + i);
		struct spooled *f;
		bool known = e->mask & (IN_Q_OVERFLOW | IN_IGNORED);

		i += (ssize_t)sizeof(*e) + e->len;
		TAILQ_FOREACH(f, &sp->fifos, entry)
			if (f->wd == e->wd || (e->mask & IN_Q_OVERFLOW)) {
				known = true;
				event_of(sp, f, e);
			}
		if (!known)	/* of a process that was killed */
			inotify_rm_watch(inotify_of(sp), e->wd);
	}
}

/* ---- life ---- */

static struct spool *spool_new(struct usher *u, int record)
{
	struct spool *sp = xcalloc(1, sizeof(*sp));

	sp->u = u;
	sp->record = record;
	TAILQ_INIT(&sp->fifos);
	loop_watch(u->loop, record, 0, EPOLLIN, on_events, sp);
	return u->trigger = sp;
}

/* Of another kind of descriptor it would say EINVAL. */
static bool is_inotify(int fd)
{
	return inotify_add_watch(fd, "", IN_CREATE) < 0 && errno == ENOENT;
}

int spool_adopt(struct usher *u, int record)
{
	if (record_at(record)->arg != WATCH_SPOOL || u->trigger ||
	    !is_inotify(record_at(record)->fd[0]))
		return -EINVAL;
	spool_new(u, record);
	return 0;
}

static struct spool *spool_of(struct usher *u)
{
	struct spool *sp = u->trigger;
	int fd, record;

	if (sp)
		return sp;
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	record = fd < 0 ? -errno : record_new(RECORD_WATCH, RECORD_NOBODY,
					      WATCH_SPOOL);
	if (record < 0) {
		log_error("FIFOs can't be watched: %s (raise "
			  "fs.inotify.max_user_instances)", strerror(-record));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	record_set_fd(record, 0, fd);
	record_commit(record);
	return spool_new(u, record);
}

/* close() of an inotify descriptor waits for the kernel's marks to be gone:
 * some 20 ms. */
static void close_it(void *arg)
{
	close((int)(intptr_t)arg);
}

static void closed(void *arg)
{
	(void)arg;
}

static void close_inotify(struct spool *sp)
{
	void *fd = (void *)(intptr_t)inotify_of(sp);

	record_set_fd(sp->record, 0, -1);
	/* The process's end would wait for a thread, and closes it anyway. */
	if (!sp->u->stopping && offload(close_it, closed, fd) < 0)
		close_it(fd);
	record_close(sp->record);
}

void spool_settle(struct usher *u)
{
	struct spool *sp = u->trigger;

	if (!sp || !TAILQ_EMPTY(&sp->fifos))
		return;
	timer_cancel(u->loop, &sp->retry);
	close_inotify(sp);
	u->trigger = NULL;
	free(sp);
}

void spool_watch(struct endpoint *ep)
{
	struct spool *sp = spool_of(ep->service->u);
	struct spooled *f;
	char *slash;

	if (!sp)
		return;
	f = xcalloc(1, sizeof(*f));
	f->ep = ep;
	f->dir = fifo_path(ep->service, &ep->addr);
	slash = strrchr(f->dir, '/');
	f->name = xstrdup(slash + 1);
	slash[slash == f->dir] = '\0';
	TAILQ_INSERT_TAIL(&sp->fifos, f, entry);
	watch_dir(sp, f);
	/* What happened before we looked. */
	examine(sp, f, 0);
}

void spool_leave(struct endpoint *ep)
{
	struct spool *sp = ep->service->u->trigger;
	struct spooled *f, *other;

	if (!sp)
		return;
	TAILQ_FOREACH(f, &sp->fifos, entry)
		if (f->ep == ep)
			break;
	if (!f)
		return;
	TAILQ_REMOVE(&sp->fifos, f, entry);
	TAILQ_FOREACH(other, &sp->fifos, entry)
		if (other->wd == f->wd)
			break;
	if (!other && f->wd >= 0)
		inotify_rm_watch(inotify_of(sp), f->wd);
	free(f->dir);
	free(f->name);
	free(f->told);
	free(f);
	spool_settle(sp->u);
}
