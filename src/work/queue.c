/*
 * queue - one hand-off socketpair of `pass`; see queue.h.
 *
 * How many messages wait the kernel tells in bytes of memory only (SIOCOUTQ),
 * so the sizes of what was sent are kept in a ring: what still waits are the
 * last of them. They are asked for when what was sent since would fill the
 * queue. Where the guess is off it corrects itself when the queue is empty.
 * A message counts as often as it has arrivals in it, so the limit holds for
 * batches too.
 */
#include "work/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* What the kernel counts for a short message: buffer and its head. */
#define OVERHEAD      320
#define HEAD	      256
/* Words about a connection fit this. */
#define USUAL	      700
#define REPORTS_BURST 64
/* Look again after this, where the queue is not what is full (descriptors in
 * flight of a whole user). */
#define AGAIN_MS      20
/* Room was there so often without need: look away. */
#define IDLE_EVENTS   8

/* RECORD_QUEUE's data; the record's id is the only worker's pid. */
struct queue_data {
	uint32_t shut;
	uint32_t size;		/* what the last message took, as guessed */
};

struct sent {
	uint32_t size, arrivals;
};

struct queue {
	struct service *s;
	int record, fd;		/* ours */
	const struct queue_events *events;
	void *arg;
	bool reports, shut;
	bool full;		/* said so: room has to be called */
	bool armed;		/* the write side is watched */
	unsigned idle_events;
	uint32_t limit;
	struct sent *sent;	/* ring, oldest first */
	uint32_t room, head, nsent;
	uint32_t known;		/* arrivals in those */
	uint64_t bytes;		/* of those */
	uint64_t round;		/* of the loop, when the kernel was asked */
	struct timer again;
};

/* ---- how much waits ---- */

static uint32_t memory_of(size_t len)
{
	size_t room = 512;

	while (room < ((len + 63) & ~63ul) + OVERHEAD)
		room *= 2;
	return (uint32_t)(room + HEAD);
}

static void forget_oldest(struct queue *q)
{
	q->bytes -= q->sent[q->head].size;
	q->known -= q->sent[q->head].arrivals;
	q->head = (q->head + 1) % q->room;
	q->nsent--;
}

static void remember(struct queue *q, uint32_t size, uint32_t arrivals)
{
	if (q->nsent == q->room) {
		uint32_t room = q->room ? q->room * 2 : 16;
		struct sent *sent = xcalloc(room, sizeof(*sent));

		for (uint32_t i = 0; i < q->nsent; i++)
			sent[i] = q->sent[(q->head + i) % q->room];
		free(q->sent);
		q->sent = sent;
		q->room = room;
		q->head = 0;
	}
	q->sent[(q->head + q->nsent) % q->room] =
		(struct sent){ size, arrivals };
	q->nsent++;
	q->known += arrivals;
	q->bytes += size;
}

/* What an earlier usher sent: as many as its last one goes into all. */
static void recall(struct queue *q)
{
	uint32_t size = RECORD_AS(q->record, struct queue_data)->size;
	int64_t left = fd_outq(q->fd);

	if (size < HEAD)
		size = memory_of(USUAL);
	for (; left > 0; left -= size)
		remember(q, size, 1);
}

uint32_t queue_count(struct queue *q)
{
	struct loop_stats now;
	/* A message that is being taken is a byte yet when its event comes
	 * (sock_wfree), and no other event follows: less than any message's
	 * head is none. */
	int bytes = fd_outq(q->fd) - (HEAD - 1);

	loop_stats(q->s->u->loop, &now);
	q->round = now.rounds;
	if (bytes <= 0)
		q->known = q->nsent = q->head = 0, q->bytes = 0;
	while (q->nsent && q->bytes - q->sent[q->head].size >= (uint64_t)bytes)
		forget_oldest(q);
	/* Greater than thought. */
	if (bytes > 0 && q->known == 0)
		return 1;
	return q->known;
}

uint32_t queue_about(struct queue *q)
{
	struct loop_stats now;

	if (q->known == 0)
		return 0;
	loop_stats(q->s->u->loop, &now);
	return now.rounds == q->round ? q->known : queue_count(q);
}

/* ---- looking ---- */

static void look(struct queue *q)
{
	uint32_t events = EPOLLET | (q->reports ? EPOLLIN : 0) |
			  (q->armed ? EPOLLOUT : 0);

	loop_change(q->s->u->loop, q->record, 0, events);
}

static void fill(struct queue *q)
{
	q->full = true;
	q->idle_events = 0;
	if (!q->armed) {
		q->armed = true;
		look(q);
	}
}

/* Full until it is half empty, so that a flood costs a wake-up for many. */
static void drained(struct queue *q)
{
	if (!q->full || queue_count(q) > q->limit / 2)
		return;
	q->full = false;
	timer_cancel(q->s->u->loop, &q->again);
	q->events->room(q->arg);
}

static void on_again(void *arg)
{
	drained(arg);
}

uint32_t queue_left(struct queue *q, uint32_t n)
{
	if (q->shut || q->full)
		return 0;
	if (q->known + n > q->limit)
		queue_count(q);
	return q->known < q->limit ? q->limit - q->known : 0;
}

bool queue_room(struct queue *q)
{
	if (q->shut || q->full)
		return false;
	if (queue_left(q, 1) > 0)
		return true;
	fill(q);	/* what is taken from now on, or was since, shows */
	return false;
}

/* ---- what workers say ---- */

/* The number after the space at *AT, which moves behind it. */
static bool number(const char **at, uint64_t most, uint64_t *out)
{
	char *end;

	if ((*at)[0] != ' ' || (*at)[1] < '0' || (*at)[1] > '9')
		return false;
	errno = 0;
	*out = strtoull(*at + 1, &end, 10);
	*at = end;
	return !errno && *out <= most;
}

static struct queue_report report_of(const char *text)
{
	static const struct {
		const char *text;
		enum queue_word word;
	} words[] = {
		{ "taken", QUEUE_TAKEN },
		{ "done", QUEUE_DONE },
		{ "refused", QUEUE_REFUSED },
	};
	static const struct queue_report gossip = { .word = QUEUE_GOSSIP };
	struct queue_report r = { .word = QUEUE_GOSSIP, .up = -1, .down = -1 };
	size_t len = strcspn(text, " ");
	const char *at = text + len;
	uint64_t up, down;

	if (strcmp(text, "avail") == 0)
		r.word = QUEUE_AVAIL;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i].text) == len &&
		    strncmp(text, words[i].text, len) == 0 &&
		    number(&at, UINT64_MAX, &r.id))
			r.word = words[i].word;
	if (r.word == QUEUE_DONE && *at) {
		if (!number(&at, INT64_MAX, &up) ||
		    !number(&at, INT64_MAX, &down))
			return gossip;
		r.up = (int64_t)up;
		r.down = (int64_t)down;
	}
	return *at || r.word == QUEUE_GOSSIP ? gossip : r;
}

/* 1: there was one, 0: nothing. */
static int read_report(struct queue *q)
{
	char text[96];
	struct fd_message m = { .buf = text, .size = sizeof(text) - 1 };
	struct queue_report report = { .word = QUEUE_GOSSIP };
	int r = fd_receive(q->fd, &m, MSG_DONTWAIT);

	if (r == -EAGAIN || (r < 0 && r != -EMSGSIZE && r != -EBADMSG))
		return 0;
	if (r > 0 && m.extra == 0) {
		while (m.len && (text[m.len - 1] == 0 ||
				 text[m.len - 1] == '\n'))
			m.len--;
		text[m.len] = 0;
		if (strlen(text) == m.len)
			report = report_of(text);
	}
	q->events->said(q->arg, m.has_cred ? m.cred.pid : 0, &report);
	return 1;
}

void queue_listen(struct queue *q)
{
	for (int i = 0; i < 1024 && q->reports && read_report(q); i++)
		;
}

/* A report may end the worker and with it this queue: its record says. */
static void on_event(void *arg, uint32_t events)
{
	struct queue *q = arg;
	int record = q->record, left = REPORTS_BURST;
	uint32_t serial = record_at(record)->serial;

	while ((events & EPOLLIN) && q->reports && left > 0 &&
	       read_report(q)) {
		if (record_at(record)->serial != serial)
			return;
		left--;
	}
	if (left == 0)
		look(q);	/* what is left gives an edge again */
	if (!(events & EPOLLOUT) || !q->armed)
		return;
	if (q->full) {
		q->idle_events = 0;
		drained(q);
	} else if (++q->idle_events > IDLE_EVENTS) {
		q->armed = false;
		look(q);
	}
}

/* ---- sending ---- */

int queue_send(struct queue *q, const void *buf, size_t len, const int *fds,
	       int n)
{
	ssize_t r = fd_send(q->fd, buf, len, fds, n, MSG_DONTWAIT);

	if (r >= 0) {
		uint32_t size = memory_of(len);

		RECORD_AS(q->record, struct queue_data)->size = size;
		remember(q, size, n > 0 ? (uint32_t)n : 1);
		return 0;
	}
	if (r != -EAGAIN)
		return (int)r;
	fill(q);
	if (!timer_is_set(&q->again))
		timer_set(q->s->u->loop, &q->again, AGAIN_MS, on_again, q);
	return -EAGAIN;
}

int queue_farewell(struct queue *q)
{
	return queue_send(q, "", 0, NULL, 0);
}

void queue_shut(struct queue *q)
{
	if (q->shut)
		return;
	q->shut = true;
	RECORD_AS(q->record, struct queue_data)->shut = 1;
	shutdown(q->fd, SHUT_WR);
}

bool queue_is_shut(const struct queue *q)
{
	return q->shut;
}

int queue_take_back(struct queue *q,
		    void (*fn)(void *arg, const char *buf, size_t len,
			       const int *fds, int n),
		    void *arg)
{
	CLEANUP(freep) char *buf = xmalloc(QUEUE_MESSAGE);
	int fds[FD_MESSAGE_MAX], count = 0;
	struct fd_message m = { .buf = buf, .size = QUEUE_MESSAGE,
				.fds = fds, .max = FD_MESSAGE_MAX };

	for (;;) {
		int r = fd_receive(queue_worker_end(q), &m, MSG_DONTWAIT);

		/* The end (a worker may have shut it down too), not a
		 * farewell. */
		if (r == 0 && fd_outq(q->fd) <= 0)
			break;
		if (r == 0 || (r > 0 && m.len == 0 && m.n == 0))
			continue;
		if (r == -EBADMSG || r == -EMSGSIZE) {
			log_error("service %s: a hand-off could not be read "
				  "back whole: %s", q->s->name, strerror(-r));
			continue;
		}
		if (r < 0)
			break;
		fn(arg, buf, m.len, fds, m.n);
		count++;
	}
	queue_count(q);
	return count;
}

/* ---- life ---- */

/*
 * Writable is, for the kernel, a queue that is a quarter full. Room for twice
 * the limit makes that half of it, so that there is one event for many.
 */
static void set_room(struct queue *q, uint32_t largest)
{
	uint64_t room = (uint64_t)q->limit * memory_of(USUAL);
	int bytes;

	if (largest > USUAL && room < 2ull * memory_of(largest))
		room = 2ull * memory_of(largest);
	bytes = room > 64u << 20 ? 64 << 20 : (int)room;
	if (setsockopt(q->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes,
		       sizeof(bytes)) < 0)
		setsockopt(q->fd, SOL_SOCKET, SO_SNDBUF, &bytes,
			   sizeof(bytes));
}

static struct queue *queue_new(struct service *s, int record,
			       const struct queue_options *o,
			       const struct queue_events *events, void *arg)
{
	struct queue *q = xcalloc(1, sizeof(*q));
	int on = o->reports;

	q->s = s;
	q->record = record;
	q->fd = record_at(record)->fd[0];
	q->events = events;
	q->arg = arg;
	q->reports = o->reports;
	q->limit = o->limit ? o->limit : 1;
	set_room(q, o->largest);
	setsockopt(q->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	return q;
}

int queue_open(struct service *s, const struct queue_options *o,
	       const struct queue_events *events, void *arg,
	       struct queue **out)
{
	int pair[2], record, r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	record = record_new(RECORD_QUEUE, s->slot, o->generation);
	if (record < 0) {
		close(pair[0]);
		close(pair[1]);
		return record;
	}
	record_set_fd(record, 0, pair[0]);
	record_set_fd(record, 1, pair[1]);
	record_at(record)->id = o->pid;
	record_commit(record);
	*out = queue_new(s, record, o, events, arg);
	r = loop_watch(s->u->loop, record, 0,
		       EPOLLET | (o->reports ? EPOLLIN : 0), on_event, *out);
	if (r < 0)
		queue_close(out);
	return r;
}

int queue_hang(struct service *s, int record, const struct queue_options *o,
		const struct queue_events *events, void *arg,
		struct queue **out)
{
	struct queue *q;

	if (record_at(record)->fd[0] < RECORD_LOW ||
	    record_at(record)->fd[1] < RECORD_LOW)
		return -EINVAL;
	q = queue_new(s, record, o, events, arg);
	q->shut = RECORD_AS(record, struct queue_data)->shut == 1;
	recall(q);
	loop_resume(s->u->loop, record, 0,
		    EPOLLET | (o->reports ? EPOLLIN : 0), on_event, q);
	*out = q;
	return 0;
}

void queue_close(struct queue **qp)
{
	struct queue *q = TAKE(*qp);

	if (!q)
		return;
	timer_cancel(q->s->u->loop, &q->again);
	/* The workers' copies keep the pair, and epoll's watch with it. */
	loop_unwatch(q->s->u->loop, q->record, 0);
	record_close(q->record);
	free(q->sent);
	free(q);
}

int queue_record(const struct queue *q)
{
	return q->record;
}

int queue_worker_end(const struct queue *q)
{
	return record_at(q->record)->fd[1];
}

void queue_set_pid(struct queue *q, pid_t pid)
{
	record_at(q->record)->id = (uint64_t)pid;
}

void queue_set_limit(struct queue *q, uint32_t limit)
{
	q->limit = limit ? limit : 1;
	set_room(q, USUAL);
	drained(q);
}
