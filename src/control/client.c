/*
 * client - one client of the control socket: what it says, what it is told.
 *
 * Calls of a client are answered in order: while one is under way nothing
 * more is read, so that what a client may have in our memory is one message
 * and what it has not read of its answers.
 *
 * Who has something due (a message, an end, an answer to send) stands in a
 * line that is served after the doors, a fraction of a millisecond a round.
 */
#include "control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"

/* A message must be whole within this, a first one come. */
#define HALF_MS 10000
/* Between two calls. */
#define IDLE_MS 300000
/* Nothing of an answer was read for so long. */
#define UNREAD_MS 15000

/* The longest message of who may only read, and of the others. */
#define MESSAGE_READ 65536
#define MESSAGE_MOST 262144

/* Served in one turn of the loop: the doors want theirs. */
#define SLICE_US 250

/* What a client's deadline is for. */
enum waits { WAITS_NOTHING, WAITS_FIRST, WAITS_HALF, WAITS_NEXT, WAITS_READ };
static const struct {
	int64_t ms;
	const char *text;
} patience[] = {
	[WAITS_FIRST] = { HALF_MS, "said nothing" },
	[WAITS_HALF] = { HALF_MS, "did not end its request" },
	[WAITS_NEXT] = { IDLE_MS, "was silent" },
	[WAITS_READ] = { UNREAD_MS, "did not read its answer" },
};

/* RECORD_CLIENT's data: who it is, for people who look at a state. */
struct client_data {
	uint32_t uid, gid;
	int32_t pid;
	uint32_t level;
	int32_t pending;	/* calls without an answer */
	uint64_t waits;		/* the only one's trigger; 0: another call */
	uint32_t slot;		/* and its service */
	uint32_t line;
	uint32_t half;		/* it has said more than was answered */
};

/* ---- ends ---- */

static void drop_out(struct client *cl)
{
	struct out *o;

	while ((o = STAILQ_FIRST(&cl->out))) {
		STAILQ_REMOVE_HEAD(&cl->out, entry);
		for (int i = 0; i < o->nfds; i++)
			close(o->fds[i]);
		free(o->fds);
		free(o);
	}
	cl->unread = 0;
}

static void client_end(struct client *cl)
{
	struct control *c = cl->control;

	TAILQ_REMOVE(&c->clients, cl, entry);
	if (cl->due)
		TAILQ_REMOVE(&c->due, cl, due_entry);
	c->nclients--;
	if (cl->call)
		dispatch_orphan(cl->call);
	timer_cancel(c->u->loop, &cl->deadline);
	drop_out(cl);
	intake_end(&cl->in);
	record_close(cl->record);
	peer_free(&cl->peer);
	free(cl);
	server_refill(c);
}

static void client_kill(struct client *cl)
{
	cl->dead = true;
	client_poke(cl);
}

static void on_deadline(void *arg)
{
	struct client *cl = arg;

	log_info("control: uid %u pid %d %s for %d s: dropped", cl->peer.uid,
		 (int)cl->peer.pid, patience[cl->waits].text,
		 (int)(patience[cl->waits].ms / 1000));
	client_kill(cl);
}

/* ---- what is watched for ---- */

static enum waits waits_for(const struct client *cl)
{
	if (cl->unread > 0)
		return WAITS_READ;
	/* Descriptors that wait behind a call may hold its very connection,
	 * whose end would never be seen. */
	if (cl->dead || (cl->call && cl->in.nfds == 0))
		return WAITS_NOTHING;
	if (cl->call)
		return WAITS_NEXT;
	if (intake_half(&cl->in))
		return WAITS_HALF;
	return cl->waits == WAITS_FIRST ? WAITS_FIRST : WAITS_NEXT;
}

static void update(struct client *cl)
{
	struct loop *loop = cl->control->u->loop;
	uint32_t events = 0;
	enum waits waits = waits_for(cl);

	if (!cl->eof && !cl->call && !cl->leaving && !cl->more)
		events |= EPOLLIN;
	if (cl->unread > 0)
		events |= EPOLLOUT;
	if (cl->unread == 0 && !cl->call && !cl->dead &&
	    (cl->leaving || (cl->eof && !cl->more)))
		client_kill(cl);
	if (events != cl->events && !cl->dead) {
		cl->events = events;
		loop_change(loop, cl->record, 0, events);
	}
	if (cl->unread == 0 && cl->call && cl->call->room)
		cl->call->room(cl->call);
	if ((int)waits == cl->waits)
		return;
	cl->waits = waits;
	if (waits == WAITS_NOTHING)
		timer_cancel(loop, &cl->deadline);
	else
		timer_set(loop, &cl->deadline, patience[waits].ms,
			  on_deadline, cl);
}

/* Something was done: its patience begins anew with the next update. */
static void renew(struct client *cl)
{
	cl->waits = WAITS_NOTHING;
	timer_cancel(cl->control->u->loop, &cl->deadline);
}

/* ---- what goes out ---- */

static void sent(struct client *cl, struct out *o, size_t n)
{
	for (int i = 0; i < o->nfds; i++)
		close(o->fds[i]);
	o->nfds = 0;
	o->sent += n;
	cl->unread -= n;
	renew(cl);
	if (o->sent == o->len) {
		STAILQ_REMOVE_HEAD(&cl->out, entry);
		free(o->fds);
		free(o);
	}
}

static void flush(struct client *cl)
{
	struct out *o;

	while (!cl->dead && (o = STAILQ_FIRST(&cl->out))) {
		ssize_t n = fd_send(client_fd(cl), o->data + o->sent,
				    o->len - o->sent, o->fds, o->nfds,
				    MSG_DONTWAIT);

		if (n == -EAGAIN)
			return;
		if (n < 0)
			client_kill(cl);
		else
			sent(cl, o, (size_t)n);
	}
}

int client_say(struct client *cl, const char *data, size_t len,
	       const int *fds, int n, bool later)
{
	struct out *o = xcalloc(1, sizeof(*o) + len);

	memcpy(o->data, data, len);
	o->len = len;
	o->fds = n > 0 ? xcalloc((size_t)n, sizeof(int)) : NULL;
	while (o->nfds < n) {
		int fd = fcntl(fds[o->nfds], F_DUPFD_CLOEXEC, RECORD_LOW);
		int error = errno;

		if (fd >= 0) {
			o->fds[o->nfds++] = fd;
			continue;
		}
		while (o->nfds > 0)
			close(o->fds[--o->nfds]);
		free(o->fds);
		free(o);
		return -error;
	}
	STAILQ_INSERT_TAIL(&cl->out, o, entry);
	cl->unread += len;
	if (later) {
		client_poke(cl);
	} else {
		flush(cl);
		update(cl);
	}
	return 0;
}

/* ---- what comes in ---- */

/* What is not answered yet dies with this process. */
static void note_half(struct client *cl, bool half)
{
	RECORD_AS(cl->record, struct client_data)->half = half;
}

static void serve(struct client *cl, int64_t until)
{
	int fds[FD_MESSAGE_MAX];
	struct message m;
	bool late = false;

	cl->more = false;
	cl->serving = true;
	while (!cl->leaving && !cl->dead && !late) {
		cl->more = intake_next(&cl->in, &m);
		if (!cl->more)
			note_half(cl, intake_half(&cl->in));
		if (!cl->more || cl->call)
			break;
		renew(cl);
		dispatch_message(cl, &m, fds, intake_fds(&cl->in, &m, fds));
		intake_done(&cl->in, &m);
		late = loop_us() >= until;
	}
	cl->serving = false;
	if (late)
		client_poke(cl);
}

static void broken(struct client *cl, const char *text)
{
	dispatch_broken(cl, text);
	cl->leaving = true;
}

/* One read; what is there then has its turn after the doors. */
static void receive(struct client *cl)
{
	static char data[MESSAGE_READ];
	int fds[FD_MESSAGE_MAX];
	size_t room = intake_room(&cl->in);
	struct fd_message m = {
		.buf = data,
		.size = room < sizeof(data) ? room : sizeof(data),
		.fds = fds,
		.max = FD_MESSAGE_MAX,
	};
	int r;

	if (room == 0) {
		broken(cl, "a request is longer than it may be");
		return;
	}
	r = fd_receive(client_fd(cl), &m, 0);
	if (r == -EAGAIN)
		return;
	if (r == -EBADMSG) {
		broken(cl, "descriptors were cut off: too many are open");
	} else if (r < 0) {
		client_kill(cl);
	} else if (r == 0) {
		cl->eof = true;
	} else if (intake_add(&cl->in, data, m.len, fds, m.n) < 0) {
		broken(cl, "more descriptors than a request can have");
	} else {
		note_half(cl, true);
		cl->more = true;
		client_poke(cl);
	}
}

/* Who has its turn before it is looked at again needs no other interest. */
static void on_client(void *arg, uint32_t events)
{
	struct client *cl = arg;

	if (cl->dead)
		return;
	if (events & EPOLLOUT)
		flush(cl);
	if (cl->due)
		return;
	if ((events & EPOLLIN) && (cl->events & EPOLLIN))
		receive(cl);
	else if (events & (EPOLLHUP | EPOLLERR))
		client_kill(cl);
	if (!cl->due)
		update(cl);
}

static void on_turn(void *arg)
{
	struct control *c = arg;
	int64_t until = loop_us() + SLICE_US;
	struct client *cl;

	do {
		cl = TAILQ_FIRST(&c->due);
		if (!cl)
			return;
		TAILQ_REMOVE(&c->due, cl, due_entry);
		cl->due = false;
		if (cl->dead) {
			client_end(cl);
			continue;
		}
		serve(cl, until);
		flush(cl);
		update(cl);
	} while (loop_us() < until);
	timer_set(c->u->loop, &c->more, 0, on_turn, c);
}

/* While it is served it goes on by itself. */
void client_poke(struct client *cl)
{
	struct control *c = cl->control;

	if (cl->due || (cl->serving && !cl->dead))
		return;
	cl->due = true;
	TAILQ_INSERT_TAIL(&c->due, cl, due_entry);
	if (!timer_is_set(&c->more))
		task_set(c->u->loop, &c->work, on_turn, c);
}

/* ---- a client's life ---- */

void client_pending(struct client *cl, int n)
{
	struct client_data *d = RECORD_AS(cl->record, struct client_data);

	d->pending += n;
	d->waits = 0;
}

uint64_t *client_waits(struct client *cl, uint32_t slot, bool line)
{
	struct client_data *d = RECORD_AS(cl->record, struct client_data);

	d->slot = slot;
	d->line = line;
	return &d->waits;
}

static struct client *client_make(struct control *c, int record,
				  struct peer *p, enum conf_level level)
{
	struct client *cl = xcalloc(1, sizeof(*cl));

	cl->control = c;
	cl->record = record;
	cl->peer = *p;
	*p = (struct peer){ 0 };
	cl->level = level;
	cl->in.most = level > LEVEL_READ ? MESSAGE_MOST : MESSAGE_READ;
	STAILQ_INIT(&cl->out);
	TAILQ_INSERT_TAIL(&c->clients, cl, entry);
	c->nclients++;
	return cl;
}

int client_open(struct control *c, int fd, struct peer *p,
		       enum conf_level level)
{
	struct client_data *d;
	struct client *cl;
	int record = record_new(RECORD_CLIENT, RECORD_NOBODY, 0), r;

	if (record < 0)
		return record;
	d = RECORD_AS(record, struct client_data);
	*d = (struct client_data){ .uid = p->uid, .gid = p->gid,
				   .pid = p->pid, .level = level };
	record_set_fd(record, 0, fd);
	record_commit(record);
	FAULT("client-recorded");
	cl = client_make(c, record, p, level);
	cl->events = EPOLLIN;
	r = loop_watch(c->u->loop, record, 0, EPOLLIN, on_client, cl);
	if (r < 0) {
		client_end(cl);
		return 0;	/* closed with its record */
	}
	cl->waits = WAITS_FIRST;
	timer_set(c->u->loop, &cl->deadline, patience[WAITS_FIRST].ms,
		  on_deadline, cl);
	return 0;
}

/* Whether what was said to another process is all answered, or is a wait that
 * this one can end. */
static bool goes_on(const struct client_data *d)
{
	return !d->half && (d->pending == 0 ||
			    (d->pending == 1 && d->waits));
}

/* It had its answer and left, while nobody looked. */
static bool has_left(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

/* A client whose connection another process accepted. What it had said in
 * part is lost with that process, so it begins anew. */
int client_adopt(struct control *c, int record)
{
	struct client_data *d = RECORD_AS(record, struct client_data);
	struct service *s = model_by_slot(c->u, d->slot);
	CLEANUP(peer_free) struct peer p = { 0 };
	struct client *cl;

	if (!goes_on(d) && has_left(record_at(record)->fd[0])) {
		record_close(record);
		return 0;
	}
	if (!goes_on(d) || (d->waits && !s) ||
	    peer_get(record_at(record)->fd[0], &p) < 0) {
		record_close(record);
		return -ENOTCONN;
	}
	cl = client_make(c, record, &p,
			 peer_level(&p, &c->u->conf->control_allow));
	cl->events = EPOLLIN;
	loop_resume(c->u->loop, record, 0, EPOLLIN, on_client, cl);
	if (d->waits && trigger_call_again(cl, s, &d->waits, d->line) < 0) {
		client_end(cl);
		return 0;	/* closed with its record */
	}
	update(cl);
	return 0;
}

void client_end_all(struct control *c)
{
	struct client *cl;

	while ((cl = TAILQ_FIRST(&c->clients))) {
		flush(cl);
		client_end(cl);
	}
	timer_cancel(c->u->loop, &c->more);
	task_cancel(c->u->loop, &c->work);
}
