/*
 * dialect_postfix - usher in the place of Postfix's master(8).
 *
 * One status channel a generation, whose workers' end stays open here too, so
 * that the last worker's end is no end of ours; one flow pipe for all Postfix
 * services of this usher, as one mail system has one. Nothing is ever written
 * to the status channel: its end is the word to leave.
 *
 * What workers write there is gossip (work/postfix_status). A worker is
 * available from its start, AVAIL after TAKEN is one use.
 */
#include "work/dialect.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "work/pool.h"
#include "work/postfix_status.h"

#define FLOW_READ_FD  3
#define FLOW_WRITE_FD 4
#define STATUS_FD     5
#define LISTEN_FD     6

#define READ_ONCE     4096
/* Wake-ups that no worker has closed yet. */
#define FIRES_MAX     16
#define FIRE_PATIENCE 100000	/* ms; Postfix's trigger_timeout is 10 s */
#define MESSAGE_MAX   64

/* RECORD_FLOW's data: the number of starts is one for all services. */
struct flow_data {
	uint32_t starts;
};

/* RECORD_STATUS's data; its id is the generation's number. */
struct status_data {
	struct postfix_status parser;
};

/* One wake-up on its way to a worker. */
struct fire {
	TAILQ_ENTRY(fire) entry;
	struct postfix *p;
	int record;		/* RECORD_WATCH */
	struct timer patience;
	size_t len, sent;
	char message[MESSAGE_MAX + 1];
};

/* A generation's private part. */
struct postfix {
	struct generation *g;
	int status;
	TAILQ_HEAD(fires, fire) fires;
	unsigned nfires;
};

static struct loop *loop_of(const struct postfix *p)
{
	return p->g->service->u->loop;
}

/* ---- the flow pipe ---- */

static int flow_record(void)
{
	int record = record_next(RECORD_FLOW, -1), ends[2];

	if (record >= 0)
		return record;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	record = record_new(RECORD_FLOW, RECORD_NOBODY, 0);
	if (record < 0) {
		close(ends[0]);
		close(ends[1]);
		return record;
	}
	record_set_fd(record, 0, ends[0]);
	record_set_fd(record, 1, ends[1]);
	record_commit(record);
	return record;
}

static void flow_unused(void)
{
	if (record_next(RECORD_STATUS, -1) < 0)
		record_close(record_next(RECORD_FLOW, -1));
}

/* ---- what workers say ---- */

static uint32_t start_number(const struct worker *w)
{
	return (uint32_t)(uintptr_t)w->dialect;
}

static void set_start_number(struct worker *w, uint32_t n)
{
	w->dialect = (void *)(uintptr_t)n;
}

/* Of a worker that another usher started we don't know the number: it tells
 * it with its first message. */
static bool known(void *arg, int32_t pid, uint32_t generation)
{
	struct postfix *p = arg;
	struct worker *w = worker_by_pid(p->g, pid);

	return w && generation &&
	       (!w->dialect || start_number(w) == generation);
}

static void said(void *arg, int32_t pid, uint32_t generation, bool avail)
{
	struct postfix *p = arg;
	struct worker *w = worker_by_pid(p->g, pid);
	bool busy = w->state == WORKER_BUSY || w->holds > 0;

	set_start_number(w, generation);
	if (w->state >= WORKER_STOPPING) {
		/* Told to leave: all that counts is its last use. */
		w->done += avail;
		p->g->service->data->served += avail;
		return;
	}
	if (avail && p->g->conf->ready.kind == READY_STATUS && !w->ready)
		worker_is_ready(w);
	else if (avail != busy)
		p->g->service->data->gossip++;	/* what we knew already */
	if (avail && busy)
		worker_is_idle(w);
	else if (!avail && !busy)
		worker_is_busy(w);
}

static const struct postfix_status_events events = { known, said };

static void on_status(void *arg, uint32_t what)
{
	struct postfix *p = arg;
	char buf[READ_ONCE];
	ssize_t n = read(record_at(p->status)->fd[0], buf, sizeof(buf));

	(void)what;
	if (n > 0)
		p->g->service->data->gossip += postfix_status_feed(
			&RECORD_AS(p->status, struct status_data)->parser, buf,
			(size_t)n, &events, p);
	else if (n == 0)	/* not while we hold their end */
		loop_change(loop_of(p), p->status, 0, 0);
}

/* ---- the channel ---- */

static struct postfix *postfix_new(struct generation *g, int record)
{
	struct postfix *p = xcalloc(1, sizeof(*p));

	p->g = g;
	p->status = record;
	TAILQ_INIT(&p->fires);
	g->private = p;
	return p;
}

static int make_status(struct generation *g)
{
	int ends[2], record;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	record = record_new(RECORD_STATUS, g->service->slot, 0);
	if (record < 0) {
		close(ends[0]);
		close(ends[1]);
		return record;
	}
	fd_nonblock(ends[0], true);
	record_set_fd(record, 0, ends[0]);
	record_set_fd(record, 1, ends[1]);
	record_at(record)->id = g->number;
	record_commit(record);
	return record;
}

static int open_status(struct generation *g)
{
	int flow = flow_record();
	int record = flow < 0 ? flow : make_status(g);
	int r;

	if (record < 0)
		return record;
	r = loop_watch(g->service->u->loop, record, 0, EPOLLIN, on_status,
		       postfix_new(g, record));
	if (r < 0) {
		record_close(record);
		free(TAKE(g->private));
	}
	return r;
}

static int adopt(struct generation *g, int record)
{
	if (g->private || record_at(record)->kind != RECORD_STATUS ||
	    record_at(record)->fd[0] < RECORD_LOW ||
	    record_at(record)->fd[1] < RECORD_LOW) {
		record_close(record);
		return -EINVAL;
	}
	loop_resume(g->service->u->loop, record, 0, EPOLLIN, on_status,
		    postfix_new(g, record));
	return 0;
}

/* They see the end; what they still say is heard. */
static void leave(struct generation *g)
{
	struct postfix *p = g->private;

	if (p)
		shutdown(record_at(p->status)->fd[0], SHUT_WR);
}

/* ---- starts ---- */

static bool has(const struct launch *l, const char *word)
{
	for (size_t i = 0; i < l->env.n; i++)
		if (strncmp(l->env.v[i], word, strlen(word)) == 0)
			return true;
	return false;
}

static int prepare(struct generation *g, struct worker *w, struct launch *l)
{
	struct postfix *p = g->private;
	int flow = flow_record();
	struct flow_data *fd;
	int n;

	if (flow < 0)
		return flow;
	launch_fd(l, record_at(flow)->fd[0], FLOW_READ_FD);
	launch_fd(l, record_at(flow)->fd[1], FLOW_WRITE_FD);
	launch_fd(l, record_at(p->status)->fd[1], STATUS_FD);
	n = dialect_doors(g, l, LISTEN_FD, NULL, NULL);
	if (n < 0)
		return n;
	fd = RECORD_AS(flow, struct flow_data);
	if (++fd->starts == 0)
		fd->starts = 1;
	set_start_number(w, fd->starts);
	launch_env(l, "GENERATION=%o", fd->starts);
	launch_env(l, "LANG=C");
	if (!has(l, "MAIL_LOGTAG="))
		launch_env(l, "MAIL_LOGTAG=postfix");
	return 0;
}

/* ---- wake-ups ---- */

static void fire_end(struct fire *f)
{
	struct postfix *p = f->p;

	TAILQ_REMOVE(&p->fires, f, entry);
	timer_cancel(loop_of(p), &f->patience);
	record_close(f->record);
	free(f);
	if (p->nfires-- == FIRES_MAX)
		service_room(p->g->service);
}

static void on_patience(void *arg)
{
	fire_end(arg);
}

/* 0, -EAGAIN: more room needed, or -errno. */
static int fire_send(struct fire *f)
{
	ssize_t n = send(record_at(f->record)->fd[0], f->message + f->sent,
			 f->len - f->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == ENOTCONN ? -EAGAIN : -errno;
	f->sent += (size_t)n;
	return f->sent < f->len ? -EAGAIN : 0;
}

/* The message goes out, then the worker's close is waited for. */
static void on_fire(void *arg, uint32_t what)
{
	struct fire *f = arg;
	char buf[64];
	int r;

	if (f->sent < f->len && (what & EPOLLOUT)) {
		r = fire_send(f);
		if (r == 0)
			loop_change(loop_of(f->p), f->record, 0, EPOLLIN);
		else if (r != -EAGAIN)
			fire_end(f);
		return;
	}
	if (what & (EPOLLHUP | EPOLLERR) ||
	    (what & EPOLLIN &&
	     recv(record_at(f->record)->fd[0], buf, sizeof(buf),
		  MSG_DONTWAIT) == 0))
		fire_end(f);
}

static int fire_fifo(const struct endpoint *ep, const char *message,
		     size_t len)
{
	return write(record_at(ep->record)->fd[0], message, len) < 0 &&
	       errno != EAGAIN ? -errno : 0;
}

static int fire_watch(struct postfix *p, int fd, const char *message,
		      size_t len)
{
	int record = record_new(RECORD_WATCH, p->g->service->slot, 0);
	struct fire *f;
	int r;

	if (record < 0) {
		close(fd);
		return record;
	}
	record_set_fd(record, 0, fd);
	record_commit(record);
	f = xcalloc(1, sizeof(*f));
	f->p = p;
	f->record = record;
	memcpy(f->message, message, len);
	f->len = len + 1;	/* NUL ends it */
	TAILQ_INSERT_TAIL(&p->fires, f, entry);
	p->nfires++;
	timer_set(loop_of(p), &f->patience, FIRE_PATIENCE, on_patience, f);
	r = loop_watch(loop_of(p), record, 0, EPOLLIN | EPOLLOUT, on_fire, f);
	if (r < 0)
		fire_end(f);
	return r;
}

static int fire_socket(struct postfix *p, const struct endpoint *ep,
		       const char *message, size_t len)
{
	int fd = socket(ep->name.u.sa.sa_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, &ep->name.u.sa, ep->name.len) < 0 &&
	    errno != EINPROGRESS) {
		int r = -errno;

		close(fd);
		/* A full backlog: its workers have enough to wake up for. */
		return r == -EAGAIN ? 0 : r;
	}
	return fire_watch(p, fd, message, len);
}

static int fire(struct generation *g, const char *message, size_t len)
{
	struct postfix *p = g->private;
	struct endpoint *ep;

	if (len == 0) {		/* a timer's: Postfix's wake-up */
		message = "W";
		len = 1;
	}
	if (len > MESSAGE_MAX)
		return -EMSGSIZE;
	if (p->nfires == FIRES_MAX)
		return -EAGAIN;
	TAILQ_FOREACH(ep, &g->service->endpoints, entry) {
		if (ep->record < 0 || ep->use != USE_LISTEN)
			continue;
		return ep->addr.kind == ADDR_FIFO
			? fire_fifo(ep, message, len)
			: fire_socket(p, ep, message, len);
	}
	return -ENOTCONN;
}

static void close_status(struct generation *g)
{
	struct postfix *p = TAKE(g->private);

	if (!p)
		return;
	while (!TAILQ_EMPTY(&p->fires))
		fire_end(TAILQ_FIRST(&p->fires));
	record_close(p->status);
	free(p);
	flow_unused();
}

const struct dialect dialect_postfix = {
	.protocol = PROTOCOL_POSTFIX,
	.name = "postfix",
	.status = true,
	.open = open_status,
	.prepare = prepare,
	.leave = leave,
	.close = close_status,
	.adopt = adopt,
	.fire = fire,
};
