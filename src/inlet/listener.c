/*
 * listener - looking at a service's doors, and accepting; see listener.h.
 *
 * A door is a RECORD_DOOR, watched level-triggered while nothing holds it.
 * Who is out of descriptors looks away for a while: accept fails with EMFILE
 * while the socket stays readable, and would be called without end.
 *
 * Opening, moving and closing doors is inlet/listener_open's.
 */
#include "inlet/listener.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/fd.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/listener_private.h"

/* A burst, not a drain: the other descriptors want their turn. */
#define ACCEPT_BURST 16
#define REST_MS      250
/* One line a minute about it, not a flood. */
#define REST_TELL_MS 60000

static bool accepts(const struct endpoint *ep)
{
	switch (ep->addr.kind) {
	case ADDR_TCP:
	case ADDR_UNIX:
	case ADDR_UNIX_SEQPACKET:
	case ADDR_UNIX_PASS:
	case ADDR_FD:
		return true;
	default:
		return false;
	}
}

static bool held(const struct endpoint *ep)
{
	return ep->holds || ep->service->holds;
}

static void on_rested(void *arg)
{
	endpoint_release(arg, HOLD_REST);
}

void listener_rest(struct endpoint *ep, int error)
{
	struct usher *u = ep->service->u;
	int64_t now = loop_now(u->loop);

	if (!u->rest_told || now - u->rest_told > REST_TELL_MS) {
		u->rest_told = now;
		service_log(ep->service, LOG_LEVEL_WARNING,
			    "%s: %s; looking away for %d ms at a "
			    "time, clients wait in the kernel's queue (raise "
			    "LimitNOFILE or max_descriptors)",
			    ep->addr.text, strerror(error), REST_MS);
	}
	endpoint_hold(ep, HOLD_REST);
	timer_set(u->loop, &ep->rest, REST_MS, on_rested, ep);
}

/* Errors of the connection that was to be accepted, not of the door
 * (accept(2), "Error handling"). */
static bool passing(int error)
{
	return error == -EINTR || error == -ECONNABORTED ||
	       error == -ENETDOWN || error == -EPROTO ||
	       error == -ENOPROTOOPT || error == -EHOSTDOWN ||
	       error == -ENONET || error == -EHOSTUNREACH ||
	       error == -EOPNOTSUPP || error == -ENETUNREACH;
}

void listener_unblock(const struct endpoint *ep)
{
	if (ep->foreign || ep->addr.kind == ADDR_FD)
		fd_nonblock(record_at(ep->record)->fd[0], true);
}

/* As listener_accept, but says what went wrong (-errno). */
static int accept_fd(struct endpoint *ep, struct addr_name *peer)
{
	int fd = record_at(ep->record)->fd[0];

	peer->len = sizeof(peer->u);
	listener_unblock(ep);
	fd = accept4(fd, &peer->u.sa, &peer->len, SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	RECORD_AS(ep->record, struct door_data)->arrivals++;
	return fd;
}

int listener_accept(struct endpoint *ep, struct addr_name *peer)
{
	int fd = accept_fd(ep, peer);

	if (fd >= 0 || fd == -EAGAIN)
		return fd;
	if (passing(fd))
		return -ECONNABORTED;
	listener_rest(ep, -fd);
	return -EAGAIN;
}

void endpoint_foreign(struct endpoint *ep)
{
	ep->foreign = true;
	RECORD_AS(ep->record, struct door_data)->foreign = 1;
}

static int accept_one(struct endpoint *ep)
{
	struct addr_name peer;
	int fd = accept_fd(ep, &peer);

	if (fd < 0)
		return fd;
	FAULT("accepted");
	stats_count(&ep->service->data->arrivals, 1);
	arrival_take(ep->service, ep, fd, &peer);
	return 0;
}

/* With on_full other than wait, what has no room is accepted and refused. */
static bool has_room(struct service *s)
{
	if (s->conf->on_full != ON_WAIT || service_has_room(s))
		return admit_room(s);
	s->holds |= HOLD_FULL;
	return false;
}

bool listener_room(struct endpoint *ep)
{
	if (held(ep))
		return false;
	if (has_room(ep->service))
		return true;
	service_hold(ep->service, 0);
	return false;
}

static void on_acceptable(void *arg, uint32_t events)
{
	struct endpoint *ep = arg;
	struct service *s = ep->service;

	(void)events;
	for (int i = 0; i < ACCEPT_BURST && !held(ep); i++) {
		int r;

		if (!has_room(s)) {
			service_hold(s, 0);
			return;
		}
		r = accept_one(ep);
		if (r == -EAGAIN)
			break;
		if (r < 0 && !passing(r)) {
			listener_rest(ep, -r);
			return;
		}
	}
}

static struct door_data *door(const struct endpoint *ep)
{
	return RECORD_AS(ep->record, struct door_data);
}

/* Its record says so last, and first that it is over: after a take-over what
 * it says is true. */
static void look(struct endpoint *ep)
{
	struct loop *l = ep->service->u->loop;
	int r;

	if (ep->watched)
		return;
	if (door(ep)->watched) {
		loop_attach(l, ep->record, on_acceptable, ep);
		ep->watched = true;
		return;
	}
	r = loop_watch(l, ep->record, 0, EPOLLIN, on_acceptable, ep);
	if (r < 0)
		service_log(ep->service, LOG_LEVEL_ERROR,
			    "%s: can't be watched: %s", ep->addr.text,
			    strerror(-r));
	ep->watched = r == 0;
	door(ep)->watched = ep->watched;
}

void listener_look_away(struct endpoint *ep)
{
	bool was = ep->watched || (ep->record >= 0 && door(ep)->watched);

	ep->watched = false;
	if (!was)
		return;
	door(ep)->watched = 0;
	loop_unwatch(ep->service->u->loop, ep->record, 0);
}

void endpoint_update(struct endpoint *ep)
{
	if (ep->record < 0)
		return;
	if (ep->use == USE_TRIGGER) {
		if (ep->update)
			ep->update(ep);
		return;
	}
	if (!accepts(ep) || held(ep))
		listener_look_away(ep);
	else
		look(ep);
}

void service_hold(struct service *s, uint32_t bits)
{
	struct endpoint *ep;

	s->holds |= bits;
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		endpoint_update(ep);
}

void service_release(struct service *s, uint32_t bits)
{
	struct endpoint *ep;

	if (!(s->holds & bits))
		return;
	s->holds &= ~bits;
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		endpoint_update(ep);
}

void endpoint_hold(struct endpoint *ep, uint32_t bits)
{
	ep->holds |= bits;
	endpoint_update(ep);
}

void endpoint_release(struct endpoint *ep, uint32_t bits)
{
	ep->holds &= ~bits;
	endpoint_update(ep);
}

void listener_drain(struct endpoint *ep)
{
	int r = 0;

	while (accepts(ep) && (r == 0 || passing(r)))
		r = accept_one(ep);
}
