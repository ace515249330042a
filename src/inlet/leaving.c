/*
 * leaving - sockets that were doors until a reload; see leaving.h.
 *
 * What keeps new connections away is SO_BINDTOIFINDEX with an interface that
 * there is none of: the kernel's search for a listener then passes it by,
 * while a handshake that began is found by its own four numbers and still
 * ends in this queue. (A filter that drops all would drop the last packet of
 * those too, and their clients would believe in a connection that never was.)
 * Anybody may set it, once; where interface= has taken that, a filter lets
 * all but a SYN through, and who knocks knocks again.
 */
#include "inlet/leaving.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "inlet/admit.h"
#include "inlet/arrival.h"
#include "inlet/beside.h"
#include "inlet/listener.h"
#include "inlet/request.h"

/* A handshake that lost two packets ends within it (the kernel repeats its
 * answer after 1 and 3 seconds). */
#define LINGER_MS 3500
/* How long where a filter turns away whom the new door should have. */
#define DEAF_MS   100
/* Looked at so often, ever less. */
#define LOOK_MS     2
#define BURST       16
#define LOOK_MAX_MS 100

struct leaving {
	TAILQ_ENTRY(leaving) entry;
	struct usher *u;
	int record;
	struct addr addr;	/* what it was; no text: not known */
	struct addr_name name;
	enum endpoint_use use;
	int64_t until;		/* loop_now() */
	int64_t pause;
	struct timer look;
};

static int fd_of(const struct leaving *l)
{
	return record_at(l->record)->fd[0];
}

static int bound_to(int fd)
{
	int index = 0;
	socklen_t len = sizeof(index);

	if (getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, &len) < 0)
		return 0;
	return index;
}

static int bind_to(int fd, int index)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index,
			  sizeof(index));
}

/* The flags are the 14th byte of a TCP header; SYN is 2. */
static void refuse_syns(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = { ARRAY_SIZE(code), code };

	(void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			 sizeof(program));
}

void leaving_part(const struct endpoint *ep)
{
	int fd = record_at(ep->record)->fd[0];

	if (bind_to(fd, INT_MAX) < 0)
		refuse_syns(fd);
}

/* ---- seeing to it ---- */

static void end(struct leaving *l)
{
	timer_cancel(l->u->loop, &l->look);
	TAILQ_REMOVE(&l->u->leaving, l, entry);
	record_close(l->record);
	addr_free(&l->addr);
	free(l);
}

static void come_in(struct leaving *l, int fd, const struct addr_name *peer)
{
	struct addr_name local = { .len = sizeof(local.u) };
	struct endpoint *ep = NULL;

	if (getsockname(fd, &local.u.sa, &local.len) == 0)
		ep = beside_find(l->u, &local, l->use);
	if (!ep || (l->use == USE_TRIGGER && !ep->request)) {
		close(fd);
		return;
	}
	RECORD_AS(ep->record, struct door_data)->arrivals++;
	if (l->use == USE_TRIGGER) {
		request_take(ep, fd, peer);
		return;
	}
	stats_count(&ep->service->data->arrivals, 1);
	arrival_take(ep->service, ep, fd, peer);
}

static bool has_room(struct endpoint *ep)
{
	return ep->use == USE_TRIGGER ? request_takes(ep) : listener_room(ep);
}

/* As far as there is room, or ANYHOW. True: nobody waits there any more. */
static bool let_in(struct leaving *l, bool anyhow)
{
	struct endpoint *to = beside_find(l->u, &l->name, l->use);
	struct addr_name peer;
	int fd;

	if (!to)
		return true;
	/* Workers that accept for themselves have it too. */
	if (to->use == USE_LISTEN && (to->service->holds & HOLD_SHARED))
		return true;
	fd_nonblock(fd_of(l), true);
	for (int i = 0; anyhow || i < BURST; i++) {
		if (!anyhow && !has_room(to))
			return false;
		peer.len = sizeof(peer.u);
		fd = accept4(fd_of(l), &peer.u.sa, &peer.len, SOCK_NONBLOCK);
		if (fd >= 0)
			come_in(l, fd, &peer);
		else if (errno != ECONNABORTED && errno != EINTR)
			return errno == EAGAIN;
	}
	return false;
}

static void look(void *arg)
{
	struct leaving *l = arg;
	bool empty = let_in(l, false);

	if (empty && loop_now(l->u->loop) >= l->until) {
		end(l);
		return;
	}
	timer_set(l->u->loop, &l->look, l->pause, look, l);
	l->pause += l->pause / 2 + 1;
	if (l->pause > LOOK_MAX_MS)
		l->pause = LOOK_MAX_MS;
}

/* With defer= a handshake ends when the client speaks. */
static int64_t patience(int fd)
{
	int seconds = 0;
	socklen_t len = sizeof(seconds);

	if (bound_to(fd) != INT_MAX)
		return DEAF_MS;
	(void)getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len);
	return LINGER_MS + (int64_t)seconds * 1000;
}

static struct leaving *add(struct usher *u, int record)
{
	struct leaving *l = xcalloc(1, sizeof(*l));

	l->u = u;
	l->record = record;
	l->use = record_at(record)->arg;
	l->name.len = sizeof(l->name.u);
	if (getsockname(fd_of(l), &l->name.u.sa, &l->name.len) < 0)
		l->name.len = 0;
	l->until = loop_now(u->loop) + patience(fd_of(l));
	l->pause = LOOK_MS;
	TAILQ_INSERT_TAIL(&u->leaving, l, entry);
	timer_set(u->loop, &l->look, LOOK_MS, look, l);
	return l;
}

void leaving_begin(struct endpoint *ep)
{
	struct leaving *l = add(ep->service->u, listener_part(ep));

	addr_copy(&l->addr, &ep->addr);
	RECORD_AS(l->record, struct door_data)->leaving = 1;
}

int leaving_adopt(struct usher *u, int record)
{
	if (!RECORD_AS(record, struct door_data)->leaving)
		return -ENOENT;
	add(u, record);
	return 0;
}

/* ---- coming back ---- */

/* What a socket can't be told later must be the same. */
static bool alike(const struct addr *a, const struct addr *b)
{
	return a->text && a->family == b->family && !a->host == !b->host &&
	       a->opt.v6only == b->opt.v6only && !a->opt.interface &&
	       !b->opt.interface && a->opt.fastopen == b->opt.fastopen;
}

static int come_back(struct leaving *l, const struct addr *a,
		     const struct net_note *note)
{
	int fd = fd_of(l);

	if (!alike(&l->addr, a) || bind_to(fd, 0) < 0) {
		let_in(l, true);
		end(l);
		return -ENOENT;
	}
	record_forget(l->record);
	l->record = -1;
	end(l);
	net_apply(fd, a, note);
	return fd;
}

int leaving_back(struct usher *u, const struct addr *a,
		 const struct addr_name *name, const struct net_note *note)
{
	struct leaving *l, *next;
	int fd = -ENOENT;

	for (l = TAILQ_FIRST(&u->leaving); l && fd < 0; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (a->kind == ADDR_TCP && l->name.len == name->len &&
		    memcmp(&l->name.u, &name->u, name->len) == 0)
			fd = come_back(l, a, note);
	}
	return fd;
}

int leaving_share(const struct usher *u, bool on)
{
	const struct leaving *l;
	int n = 0;

	TAILQ_FOREACH(l, &u->leaving, entry) {
		net_share_port(fd_of(l), on);
		n++;
	}
	return n;
}

void leaving_end(struct usher *u)
{
	struct leaving *l;

	while ((l = TAILQ_FIRST(&u->leaving))) {
		let_in(l, true);
		end(l);
	}
}
