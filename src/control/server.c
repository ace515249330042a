/*
 * server - the control socket's door: who comes in, and who has no place.
 *
 * What becomes of a client is client.c's.
 */
#include "control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* So many at once; half of them may be strangers (below admin), of whom each
 * uid has a share, so that nobody shuts the administrator out. */
#define CLIENTS_MAX 256
#define CLIENTS_STRANGERS 192
#define CLIENTS_UID 128

/* Accepted in one callback: the others want their turn. */
#define BURST 16
#define REST_MS 100
#define RESERVES 2

void server_refill(struct control *c)
{
	struct record *r = record_at(c->reserve);

	for (int i = 0; i < RESERVES; i++) {
		int fd;

		if (r->fd[i] >= 0)
			continue;
		fd = fcntl(ROLE_NULL, F_DUPFD, RECORD_LOW);
		if (fd < 0)
			return;
		record_set_fd(c->reserve, i, fd);
	}
}

/* ---- who comes ---- */

static bool granted_somewhere(const struct control *c, const struct peer *p)
{
	const struct service *s;

	TAILQ_FOREACH(s, &c->u->services, entry)
		if (peer_granted(p, &s->conf->trigger_allow) ||
		    peer_granted(p, &s->conf->inject_allow))
			return true;
	return false;
}

/* NULL: there is a place; else why not. */
static const char *no_place(const struct control *c, const struct peer *p,
			    enum conf_level level)
{
	const struct client *cl;
	unsigned strangers = 0, same = 0;

	if (c->nclients >= CLIENTS_MAX)
		return "too many clients";
	if (level == LEVEL_ADMIN)
		return NULL;
	TAILQ_FOREACH(cl, &c->clients, entry) {
		strangers += cl->level < LEVEL_ADMIN;
		same += cl->peer.uid == p->uid;
	}
	if (same >= CLIENTS_UID)
		return "too many clients of this user";
	return strangers >= CLIENTS_STRANGERS ? "too many clients" : NULL;
}

/* May FD come in? If not it is told why. */
static bool welcome(struct control *c, int fd, const struct peer *p,
		    enum conf_level level)
{
	const char *why;

	if (level == LEVEL_NONE && !granted_somewhere(c, p)) {
		c->refused++;
		log_notice("control: uid %u pid %d refused: its level is none,"
			   " read is needed", p->uid, (int)p->pid);
		dispatch_refuse(fd, ERROR_PERMISSION, "read",
				"not allowed here: see control_allow");
		return false;
	}
	why = no_place(c, p, level);
	if (!why)
		return true;
	c->refused++;
	log_notice("control: uid %u pid %d refused: %s", p->uid, (int)p->pid,
		   why);
	dispatch_refuse(fd, ERROR_BUSY, NULL, why);
	return false;
}

static void client_arrive(struct control *c, int fd)
{
	CLEANUP(peer_free) struct peer p;
	enum conf_level level;

	if (peer_get(fd, &p) < 0) {
		close(fd);
		return;
	}
	c->accepted++;
	level = peer_level(&p, &c->u->conf->control_allow);
	if (!welcome(c, fd, &p, level) || client_open(c, fd, &p, level) < 0)
		close(fd);
}

/* Out of descriptors: one of those kept back, so that the administrator is
 * served when nobody else can be. */
static bool give_reserve(struct control *c)
{
	for (int i = 0; i < RESERVES; i++) {
		int fd = record_at(c->reserve)->fd[i];

		if (fd < 0)
			continue;
		record_set_fd(c->reserve, i, -1);
		close(fd);
		return true;
	}
	return false;
}

static void on_rested(void *arg)
{
	struct control *c = arg;

	server_refill(c);
	loop_change(c->u->loop, c->door, 0, EPOLLIN);
}

static void on_door(void *arg, uint32_t events)
{
	struct control *c = arg;

	(void)events;
	for (int i = 0; i < BURST; i++) {
		int fd = accept4(record_at(c->door)->fd[0], NULL, NULL,
				 SOCK_NONBLOCK);

		if (fd >= 0) {
			client_arrive(c, fd);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno == EMFILE || errno == ENFILE) {
			if (give_reserve(c))
				continue;
			loop_change(c->u->loop, c->door, 0, 0);
			timer_set(c->u->loop, &c->rest, REST_MS, on_rested, c);
			return;
		}
	}
}

/* ---- the door ---- */

static int keep_reserve(struct control *c)
{
	c->reserve = record_new(RECORD_WATCH, RECORD_NOBODY, 0);
	if (c->reserve < 0)
		return c->reserve;
	record_commit(c->reserve);
	server_refill(c);
	return 0;
}

int server_watch(struct control *c)
{
	int r = c->reserve < 0 ? keep_reserve(c) : 0;

	if (r < 0)
		return r;
	return loop_watch(c->u->loop, c->door, 0, EPOLLIN, on_door, c);
}

int server_attach(struct control *c)
{
	loop_resume(c->u->loop, c->door, 0, EPOLLIN, on_door, c);
	return keep_reserve(c);
}

void server_end(struct control *c)
{
	client_end_all(c);
	timer_cancel(c->u->loop, &c->rest);
	record_close(c->reserve);
}
