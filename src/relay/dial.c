/*
 * dial - a relay's way to its upstream, in the loop.
 *
 * Upstreams are tried by `balance`, of each one every address, each with
 * connect_timeout. What can't even begin (a Unix backlog that is full, no
 * descriptor or port left) is tried again by a timer until then.
 */
#include "relay/relays.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/net.h"
#include "inlet/proxy.h"

#define RETRY_MS 10

static struct loop *loop_of(const struct relay *r)
{
	return r->home->service->u->loop;
}

static int64_t patience(const struct relay *r)
{
	int64_t ms = r->home->service->conf->connect_timeout;

	return ms ? ms : INT64_MAX / 4;
}

static void hang_up(struct relay *r)
{
	int *fd = &record_at(r->record)->fd[1];
	int old = *fd;

	r->ending &= 1;
	r->seen &= 1;
	if (old < 0)
		return;
	*fd = -1;
	close(old);
}

static void leave_upstream(struct relay *r)
{
	if (!r->up)
		return;
	r->up->conns--;
	upstream_unref(&r->up);
}

void relay_dial_end(struct relay *r)
{
	leave_upstream(r);
	free(TAKE(r->tried));
}

static void connected(struct relay *r)
{
	relay_data(r)->upstream = r->up->id;
	upstream_worked(r->home->ups, r->up);
	free(TAKE(r->tried));
	timer_cancel(loop_of(r), &r->timer);
	relay_opened(r);
}

/* Not the upstream's fault, and it may pass. */
static bool passes(const struct relay *r, int error)
{
	if (r->home->patient &&
	    (error == -ECONNREFUSED || error == -ENOENT))
		return true;
	return error == -EAGAIN || error == -EMFILE || error == -ENFILE ||
	       error == -ENOBUFS || error == -ENOMEM ||
	       error == -EADDRNOTAVAIL;
}

static int side_of(const struct upstream *up)
{
	if (up->addr.kind == ADDR_UNIX_SEQPACKET)
		return SIDE_PACKETS;
	return up->addr.kind == ADDR_UNIX ? 0 : SIDE_TCP;
}

/* 1: connected; 0: epoll will tell; -errno. */
static int attempt(struct relay *r)
{
	struct addr *a = &r->up->addr;
	const struct addr_name *name = &a->names[r->name];
	const int on = 1;
	int fd, result;

	fd = net_socket(a, name, false, NULL);
	if (fd < 0)
		return fd;
	record_at(r->record)->fd[1] = fd;
	if (a->kind == ADDR_TCP && a->opt.nodelay == ADDR_UNSET)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	relay_kind_is(r, 1, side_of(r->up));
	result = connect(fd, &name->u.sa, name->len) == 0 ? 1 : -errno;
	if (result == -EINPROGRESS || result == -EINTR)
		result = 0;
	if (result >= 0 && relay_watch(r, 1) < 0)
		result = -ENOMEM;
	if (result < 0)
		hang_up(r);
	return result;
}

static void give_up(struct relay *r, int error)
{
	upstream_failed(r->home->ups, r->up, strerror(-error));
	r->tried = xrealloc(r->tried,
			    (r->ntried + 1u) * sizeof(*r->tried));
	r->tried[r->ntried++] = r->up->id;
	leave_upstream(r);
}

static bool choose(struct relay *r)
{
	struct conn c;

	relay_conn(r, &c);
	r->up = upstream_pick(r->home->ups, &c.peer, r->tried, r->ntried);
	r->name = 0;
	if (r->up)
		r->up->conns++;
	return r->up != NULL;
}

static void on_timer(void *arg);

/* From the address that R stands at: until one is under way. ERROR is why
 * the one before failed. */
static void go_on(struct relay *r, int error)
{
	for (;;) {
		int64_t now = loop_us() / 1000;
		int result;

		if (r->up && r->name >= r->up->addr.nnames)
			give_up(r, error);
		if (!r->up && !choose(r)) {
			relay_refuse(r);
			return;
		}
		if (r->up->addr.nnames == 0) {
			error = -EHOSTUNREACH;
			continue;
		}
		if (r->state != RELAY_RETRY)
			r->until = now + patience(r);
		result = attempt(r);
		if (result == 1) {
			connected(r);
			return;
		}
		if (result == 0) {
			r->state = RELAY_CONNECTING;
			timer_set(loop_of(r), &r->timer, r->until - now,
				  on_timer, r);
			return;
		}
		if (passes(r, result) && now < r->until) {
			r->state = RELAY_RETRY;
			timer_set(loop_of(r), &r->timer, RETRY_MS, on_timer,
				  r);
			return;
		}
		r->state = RELAY_CONNECTING;
		error = result;
		r->name++;
	}
}

static void on_timer(void *arg)
{
	struct relay *r = arg;

	if (r->state == RELAY_RETRY) {
		go_on(r, -ETIMEDOUT);
		return;
	}
	hang_up(r);
	r->name++;
	go_on(r, -ETIMEDOUT);
}

void relay_dial(struct relay *r)
{
	r->state = RELAY_CONNECTING;
	hang_up(r);
	go_on(r, -EHOSTUNREACH);
}

void relay_undial(struct relay *r)
{
	timer_cancel(loop_of(r), &r->timer);
	hang_up(r);
	relay_dial_end(r);
	r->ntried = 0;
}

static int socket_error(const struct relay *r)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(record_at(r->record)->fd[1], SOL_SOCKET, SO_ERROR, &error,
		   &len);
	return error ? -error : -ECONNRESET;
}

void relay_dialing(struct relay *r, int side, uint32_t events)
{
	/* A client that only ended its side may have sent something first. */
	if (side == 0) {
		if (events & EPOLLERR)
			relay_reset(r);
		return;
	}
	if (r->state != RELAY_CONNECTING)
		return;
	if (events & EPOLLERR) {
		int error = socket_error(r);

		hang_up(r);
		r->name++;
		go_on(r, error);
	} else if (events & EPOLLOUT) {
		connected(r);
	}
}

int relay_announce(struct relay *r, const struct conn *c)
{
	struct relay_data *d = relay_data(r);
	struct flow *f = &d->flow[0];
	enum conf_proxy version = r->home->service->conf->send_proxy;
	int n;

	if (version == PROXY_OFF)
		return 0;
	n = record_buffer_new();
	if (n < 0)
		return n;
	f->buffer = n;
	d->added = (uint32_t)proxy_format(version, &c->peer, &c->local,
					  (unsigned char *)record_buffer(n));
	d->in -= d->added;
	f->rd = d->added;
	return 0;
}
