/*
 * dialect_einhorn - Stripe's Einhorn: sockets by number, an ack by socket.
 *
 * EINHORN_FD_0 and so on are the doors, EINHORN_MASTER_PID our pid (workers
 * compare it with getppid()). A worker that is up connects to
 * EINHORN_SOCK_PATH and writes one line: a YAML or JSON map with command
 * worker:ack and its pid, in which % and newline are written %25 and %0A.
 * Einhorn answers nothing to it, neither do we; ready = status waits for it.
 *
 * The socket is the generation's, named after the control socket. Who
 * connects must have the workers' uid or be root, and the pid must be that of
 * a worker; the rest is gossip.
 */
#include "work/dialect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "work/pool.h"

#define LINE_MAX_ACK 1024
#define CLIENTS_MAX  64
#define PATIENCE     5000	/* ms for a line */
#define REST         100	/* ms: out of descriptors, looks away */

/* RECORD_READY's data (arg DIALECT_ACK); its id is the generation's number. */
struct ack_data {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* A worker that speaks. */
struct client {
	TAILQ_ENTRY(client) entry;
	struct einhorn *e;
	int record;		/* RECORD_WATCH */
	struct timer patience;
	size_t len;
	char line[LINE_MAX_ACK + 1];
};

struct einhorn {
	struct generation *g;
	int record;		/* -1: no socket could be made */
	TAILQ_HEAD(clients, client) clients;
	unsigned nclients;
	struct timer rest;
};

static struct loop *loop_of(const struct einhorn *e)
{
	return e->g->service->u->loop;
}

/* ---- the line ---- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX becomes the byte, in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (*s == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			*to++ = (char)(hex(s[1]) << 4 | hex(s[2]));
			s += 3;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

/* The value after the word NAME of a YAML or JSON map, or NULL. */
static const char *value_of(const char *map, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = map; (p = strstr(p, name)); p += len) {
		const char *v = p + len;

		if (p > map && !strchr(" \n{,\"':", p[-1]))
			continue;
		v += strspn(v, "\"'");
		v += strspn(v, " \t");
		if (*v == ':')
			return v + 1 + strspn(v + 1, " \t\"':");
	}
	return NULL;
}

static pid_t ack_of(char *line)
{
	const char *command, *pid;

	unescape(line);
	command = value_of(line, "command");
	pid = value_of(line, "pid");
	if (!command || !pid || strncmp(command, "worker:ack", 10) != 0)
		return 0;
	return (pid_t)strtol(pid, NULL, 10);
}

/* ---- who speaks ---- */

static bool may_speak(const struct einhorn *e, int fd)
{
	const struct child_identity *who = &e->g->conf->who.identity;
	uid_t uid = who->set_user ? who->uid : geteuid();
	struct ucred cred;

	return fd_peercred(fd, &cred) && (cred.uid == uid || cred.uid == 0);
}

static void client_end(struct client *c)
{
	TAILQ_REMOVE(&c->e->clients, c, entry);
	c->e->nclients--;
	timer_cancel(loop_of(c->e), &c->patience);
	record_close(c->record);
	free(c);
}

static void on_patience(void *arg)
{
	client_end(arg);
}

static void heard(struct client *c)
{
	struct einhorn *e = c->e;
	pid_t pid = ack_of(c->line);
	struct worker *w = pid > 0 ? worker_by_pid(e->g, pid) : NULL;

	client_end(c);
	if (!w)
		e->g->service->data->gossip++;
	else if (e->g->conf->ready.kind == READY_STATUS && !w->ready)
		worker_is_ready(w);
}

static void on_line(void *arg, uint32_t events)
{
	struct client *c = arg;
	ssize_t n = recv(record_at(c->record)->fd[0], c->line + c->len,
			 LINE_MAX_ACK - c->len, MSG_DONTWAIT);
	char *end;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->len += (size_t)n;
	c->line[c->len] = 0;
	end = strchr(c->line, '\n');
	if (end)
		*end = 0;
	if (end || (n <= 0 && c->len > 0) || c->len == LINE_MAX_ACK)
		heard(c);
	else if (n <= 0)
		client_end(c);
}

static void client_new(struct einhorn *e, int fd)
{
	int record = record_new(RECORD_WATCH, e->g->service->slot, 0);
	struct client *c;

	if (record < 0) {
		close(fd);
		return;
	}
	record_set_fd(record, 0, fd);
	record_commit(record);
	c = xcalloc(1, sizeof(*c));
	c->e = e;
	c->record = record;
	TAILQ_INSERT_TAIL(&e->clients, c, entry);
	e->nclients++;
	timer_set(loop_of(e), &c->patience, PATIENCE, on_patience, c);
	if (loop_watch(loop_of(e), record, 0, EPOLLIN, on_line, c) < 0)
		client_end(c);
}

static void on_rested(void *arg)
{
	struct einhorn *e = arg;

	loop_change(loop_of(e), e->record, 0, EPOLLIN);
}

/* Who waits stays there, and would be told of without end. */
static void rest(struct einhorn *e)
{
	loop_change(loop_of(e), e->record, 0, 0);
	timer_set(loop_of(e), &e->rest, REST, on_rested, e);
}

static void on_connect(void *arg, uint32_t events)
{
	struct einhorn *e = arg;
	int fd = accept4(record_at(e->record)->fd[0], NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR &&
		    errno != ECONNABORTED)
			rest(e);
		return;
	}
	if (!may_speak(e, fd)) {
		e->g->service->data->gossip++;
		close(fd);
		return;
	}
	/* The one that says nothing for longest makes room. */
	if (e->nclients == CLIENTS_MAX)
		client_end(TAILQ_FIRST(&e->clients));
	client_new(e, fd);
}

/* ---- the socket ---- */

static int set_path(const struct generation *g, struct sockaddr_un *sa)
{
	const struct conf *conf = g->service->u->conf;
	const char *beside = conf->control.path;
	int n;

	if (!beside || *beside != '/')
		return -EADDRNOTAVAIL;
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "%s.ack-%u-%u",
		     beside, g->service->slot, g->number);
	return n < (int)sizeof(sa->sun_path) ? 0 : -ENAMETOOLONG;
}

static int bind_path(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);

	if (fd < 0)
		return -errno;
	/* The name is ours alone: the lock beside the control socket. */
	unlink(sa->sun_path);
	if (bind(fd, (const void *)sa, sizeof(*sa)) < 0 ||
	    chmod(sa->sun_path, 0666) < 0 || listen(fd, CLIENTS_MAX) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int make_socket(struct generation *g)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int r = set_path(g, &sa);
	int fd = r < 0 ? r : bind_path(&sa);
	int record;

	if (fd < 0)
		return fd;
	record = record_new(RECORD_READY, g->service->slot, DIALECT_ACK);
	if (record < 0) {
		close(fd);
		unlink(sa.sun_path);
		return record;
	}
	memcpy(RECORD_AS(record, struct ack_data)->path, sa.sun_path,
	       sizeof(sa.sun_path));
	record_set_fd(record, 0, fd);
	record_at(record)->id = g->number;
	record_commit(record);
	return record;
}

static struct einhorn *einhorn_new(struct generation *g, int record)
{
	struct einhorn *e = xcalloc(1, sizeof(*e));

	e->g = g;
	e->record = record;
	TAILQ_INIT(&e->clients);
	g->private = e;
	return e;
}

static void close_all(struct generation *g)
{
	struct einhorn *e = TAKE(g->private);

	if (!e)
		return;
	while (!TAILQ_EMPTY(&e->clients))
		client_end(TAILQ_FIRST(&e->clients));
	timer_cancel(loop_of(e), &e->rest);
	if (e->record >= 0)
		unlink(RECORD_AS(e->record, struct ack_data)->path);
	record_close(e->record);
	free(e);
}

/* Without the socket workers still serve; only who waits for the ack can't
 * do without. */
static int open_socket(struct generation *g)
{
	int record = make_socket(g), r;

	if (record < 0) {
		service_log(g->service, LOG_LEVEL_WARNING,
			    "no socket for Einhorn's ack: %s",
			    strerror(-record));
		if (g->conf->ready.kind == READY_STATUS)
			return record;
		einhorn_new(g, -1);
		return 0;
	}
	r = loop_watch(g->service->u->loop, record, 0, EPOLLIN, on_connect,
		       einhorn_new(g, record));
	if (r < 0)
		close_all(g);
	return r;
}

static int adopt(struct generation *g, int record)
{
	const char *path = RECORD_AS(record, struct ack_data)->path;

	if (g->private || record_at(record)->fd[0] < RECORD_LOW ||
	    !memchr(path, 0, sizeof(struct ack_data))) {
		record_close(record);
		return -EINVAL;
	}
	loop_resume(g->service->u->loop, record, 0, EPOLLIN, on_connect,
		    einhorn_new(g, record));
	return 0;
}

/* ---- starts ---- */

static int prepare(struct generation *g, struct worker *w, struct launch *l)
{
	struct einhorn *e = g->private;
	int n = dialect_doors(g, l, 3, NULL, NULL);

	(void)w;
	if (n < 0)
		return n;
	launch_env(l, "EINHORN_MASTER_PID=%d", (int)getpid());
	launch_env(l, "EINHORN_FD_COUNT=%d", n);
	for (int i = 0; i < n; i++)
		launch_env(l, "EINHORN_FD_%d=%d", i, 3 + i);
	if (e && e->record >= 0)
		launch_env(l, "EINHORN_SOCK_PATH=%s",
			   RECORD_AS(e->record, struct ack_data)->path);
	return 0;
}

const struct dialect dialect_einhorn = {
	.protocol = PROTOCOL_EINHORN,
	.name = "einhorn",
	.open = open_socket,
	.prepare = prepare,
	.close = close_all,
	.adopt = adopt,
};
