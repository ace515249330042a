/*
 * doors - the commands that bring sockets: a connection that becomes an
 * arrival, a listening socket that becomes a door.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "action/action.h"
#include "action/doors.h"
#include "base/fd.h"
#include "control/commands.h"
#include "inlet/arrival.h"
#include "inlet/listener.h"

/* ---- inject ---- */

static int refused_why(const struct service *s, const uint64_t *before)
{
	for (int i = 0; i < REFUSED_KINDS; i++)
		if (s->data->refused[i] != before[i])
			return i;
	return REFUSED_FULL;
}

enum call_result do_inject(struct call *c)
{
	struct service *s = c->service;
	struct addr_name peer = { .len = sizeof(peer.u) };
	uint64_t before[REFUSED_KINDS];
	const char *why = NULL;
	int index, fd = call_fd(c, &index);

	if (fd < 0)
		return CALL_FAILED;
	if (fd_check(fd, FD_WANT_STREAM_CONNECTED, &why) < 0)
		return call_fail(c, ERROR_DESCRIPTOR, "%s", why);
	if (s->holds & HOLD_SHARED || s->conf->handoff == HANDOFF_SHARE)
		return call_invalid(c, "service", "workers of %s accept for "
				    "themselves; they can't be given one",
				    s->name);
	if (s->holds & (HOLD_FULL | HOLD_PAUSE | HOLD_DRAIN) || s->gone ||
	    !s->conf->enabled)
		return call_fail(c, ERROR_BUSY, "%s takes none now", s->name);
	if (getpeername(fd, &peer.u.sa, &peer.len) < 0)
		return call_fail(c, ERROR_DESCRIPTOR, "its peer has gone");
	fd_cloexec(fd, false);
	fd_nonblock(fd, true);
	memcpy(before, s->data->refused, sizeof(before));
	stats_count(&s->data->arrivals, 1);
	if (arrival_take(s, NULL, call_take_fd(c, index), &peer) < 0)
		return call_fail(c, ERROR_FAILED, "refused: %s",
				 refusal_name(refused_why(s, before)));
	json_put(c->reply, "result", json_sprintf("%s: has arrived", s->name));
	return CALL_DONE;
}

/* ---- adopt ---- */

/* What a socket is called, and its address as a file would name it. */
static int describe(int fd, struct addr *out)
{
	struct addr_name n = { .len = sizeof(n.u) };
	char text[ADDR_TEXT];
	int type;
	socklen_t len = sizeof(type);
	CLEANUP(freep) char *full = NULL;
	CLEANUP(freep) char *why = NULL;

	if (getsockname(fd, &n.u.sa, &n.len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	addr_print(&n, text, sizeof(text));
	if (n.u.sa.sa_family != AF_UNIX)
		full = xasprintf("%s:%s", type == SOCK_DGRAM ? "udp" : "tcp",
				 text);
	else
		full = xasprintf("unix%s%s",
				 type == SOCK_DGRAM ? "-dgram" :
				 type == SOCK_SEQPACKET ? "-seqpacket" : "",
				 text + strlen("unix"));
	if (addr_parse(full, out, &why) < 0)
		return -EINVAL;
	free(out->names);
	out->names = xmalloc(sizeof(n));
	out->names[0] = n;
	out->nnames = 1;
	return 0;
}

/* NULL, or why S (NULL: one to come) can't use FD. */
static const char *unusable(const struct service *s, int fd)
{
	bool dgram = fd_check(fd, FD_WANT_DGRAM, NULL) == 0;
	const char *why;

	if (!dgram && fd_check(fd, FD_WANT_LISTENING, &why) < 0)
		return why;
	if (!s)
		return NULL;
	if (dgram && s->conf->protocol != PROTOCOL_WAIT)
		return "a listening socket is wanted, this one is for "
		       "datagrams";
	if (s->conf->listen.n == 0)
		return "the service takes triggers only";
	return NULL;
}

static struct service *holder(struct usher *u, uint64_t cookie)
{
	struct service *s;
	struct endpoint *ep;

	TAILQ_FOREACH(s, &u->services, entry)
		TAILQ_FOREACH(ep, &s->endpoints, entry)
			if (ep->record >= 0 &&
			    fd_cookie(record_at(ep->record)->fd[0]) == cookie)
				return s;
	return NULL;
}

static enum call_result adopted(struct call *c, const char *service,
				uint64_t cookie)
{
	struct service *s = holder(c->u, cookie);

	if (!s)
		return call_fail(c, ERROR_FAILED, "%s could not take it",
				 service);
	json_put(c->reply, "result",
		 json_sprintf("%s: the socket is a door of it now", s->name));
	return CALL_DONE;
}

/* A door that the file does not name: it stays until the service goes. */
static void add_door(struct service *s, int fd, const struct addr *a)
{
	struct endpoint *ep = listener_adopt(s, fd, a, USE_LISTEN);

	if (!ep) {
		close(fd);
		return;
	}
	endpoint_foreign(ep);
	ep->adopted = true;
	RECORD_AS(ep->record, struct door_data)->adopted = 1;
	endpoint_update(ep);
	/* Workers that accept get their sockets when they start. */
	if (s->conf->handoff == HANDOFF_SHARE)
		action_roll(s, false, NULL, NULL);
}

struct adopting {
	uint64_t cookie;
};

static void on_reloaded(void *arg, int result, const char *text)
{
	struct call *c = arg;
	struct adopting *a = c->data;
	const char *name = call_text(c, "service");
	struct service *s = model_find(c->u, name);
	struct addr addr = { 0 };
	int fd = listener_given();
	enum call_result answer;

	if (fd >= 0 && s && describe(fd, &addr) == 0)
		add_door(s, fd, &addr);
	else if (fd >= 0)
		close(fd);
	addr_free(&addr);
	if (!s && result == 0) {
		answer = call_fail(c, ERROR_NO_SERVICE, "neither usher nor the "
				   "file has a service %s", name);
		json_put_text(c->reply, "service", name);
	} else if (!s) {
		answer = call_errno(c, result, text);
	} else {
		answer = adopted(c, name, a->cookie);
	}
	free(TAKE(c->data));
	call_finish(c, answer);
}

static bool wants(const struct service *s, const struct addr *a)
{
	for (size_t i = 0; i < s->conf->listen.n; i++) {
		const struct addr *l = &s->conf->listen.v[i].addr;

		if (l->kind == a->kind && !doors_find((struct service *)s, l,
						      USE_LISTEN))
			return true;
	}
	return false;
}

/* The file may name the door, or the service, since we read it. */
static enum call_result by_reload(struct call *c, uint64_t cookie)
{
	struct adopting *a = xcalloc(1, sizeof(*a));
	int r, fd;

	a->cookie = cookie;
	c->data = a;
	r = action_reload(c->u, false, on_reloaded, c);
	if (r == 0)
		return CALL_LATER;
	fd = listener_given();
	fd_closep(&fd);
	free(TAKE(c->data));
	return call_errno(c, r, NULL);
}

enum call_result do_adopt(struct call *c)
{
	struct addr addr = { 0 };
	struct service *s = c->service;
	const char *why;
	int index, fd = call_fd(c, &index), r;
	uint64_t cookie;
	bool missing;

	if (fd < 0)
		return CALL_FAILED;
	why = unusable(s, fd);
	if (why)
		return call_fail(c, ERROR_DESCRIPTOR, "%s", why);
	if (describe(fd, &addr) < 0)
		return call_fail(c, ERROR_DESCRIPTOR, "it has no address");
	missing = s && wants(s, &addr);
	addr_free(&addr);
	cookie = fd_cookie(fd);
	if (holder(c->u, cookie))
		return call_fail(c, ERROR_BUSY, "it is a door of %s already",
				 holder(c->u, cookie)->name);
	r = listener_give(fd);
	if (r < 0)
		return call_fail(c, ERROR_BUSY, "another one is being adopted");
	call_take_fd(c, index);
	if (missing)
		doors_begin(s);
	return holder(c->u, cookie) ? adopted(c, s->name, cookie)
				    : by_reload(c, cookie);
}
