/*
 * passed - unix-pass doors; see passed.h.
 *
 * What is no connected stream socket is closed and counted; a carrier that
 * brings nothing is left after a while.
 */
#include "inlet/passed.h"

#include <errno.h>
#include <unistd.h>

#include "base/fd.h"
#include "inlet/arrival.h"

#define PATIENCE_MS 10000

struct carrier {
	struct service *service;
	int record;
	struct timer timer;
};

static void leave(struct carrier *k)
{
	timer_cancel(k->service->u->loop, &k->timer);
	record_close(k->record);
	free(k);
}

static void on_patience(void *arg)
{
	leave(arg);
}

static void arrive(struct service *s, int fd)
{
	struct addr_name peer = { .len = sizeof(peer.u) };
	const char *why = NULL;

	if (fd_check(fd, FD_WANT_STREAM_CONNECTED, &why) < 0 ||
	    getpeername(fd, &peer.u.sa, &peer.len) < 0) {
		service_refused(s, REFUSED_FDS);
		service_log(s, LOG_LEVEL_INFO, "a descriptor was passed that "
			    "is no arrival: %s", why ? why : "no peer");
		fd_drop(fd);
		return;
	}
	fd_nonblock(fd, true);
	fd_cloexec(fd, false);
	arrival_take(s, NULL, fd, &peer);
}

static void on_readable(void *arg, uint32_t events)
{
	struct carrier *k = arg;
	struct service *s = k->service;
	char byte;
	int fd = -1, r;
	struct fd_message m = { .buf = &byte, .size = 1, .fds = &fd,
				.max = 1 };

	(void)events;
	r = fd_receive(record_at(k->record)->fd[0], &m, MSG_DONTWAIT);
	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r == 1 && m.n == 0 && m.extra == 0)
		return;		/* a byte alone: it may still come */
	leave(k);
	if (r < 0 || m.extra)
		service_refused(s, REFUSED_FDS);
	if (m.n)
		arrive(s, fd);
}

static struct carrier *carrier_new(struct service *s, int record)
{
	struct carrier *k = xcalloc(1, sizeof(*k));

	k->service = s;
	k->record = record;
	timer_set(s->u->loop, &k->timer, PATIENCE_MS, on_patience, k);
	return k;
}

int passed_begin(struct endpoint *ep, int fd)
{
	struct service *s = ep->service;
	int record = record_new(RECORD_CONN, s->slot, CONN_PASSED);
	struct carrier *k;
	int r;

	if (record < 0) {
		close(fd);
		return record;
	}
	record_set_fd(record, 0, fd);
	record_commit(record);
	k = carrier_new(s, record);
	r = loop_watch(s->u->loop, record, 0, EPOLLIN, on_readable, k);
	if (r < 0) {
		leave(k);
		return r;
	}
	on_readable(k, 0);
	return 0;
}

int passed_adopt(struct service *s, int record)
{
	loop_resume(s->u->loop, record, 0, EPOLLIN, on_readable,
		    carrier_new(s, record));
	return 0;
}

void passed_drop(struct service *s)
{
	for (int i = -1; (i = record_next(RECORD_CONN, i)) >= 0;) {
		struct carrier *k = loop_arg(s->u->loop, i);

		if (record_at(i)->arg == CONN_PASSED &&
		    record_at(i)->service == s->slot && k && k->service == s)
			leave(k);
	}
}
