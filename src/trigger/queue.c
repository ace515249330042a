/*
 * queue - jobs: what waits, by its message, and what runs.
 *
 * A trigger that coalesces costs a hash and a comparison. A job's message
 * lies in its record, a long one in a buffer of the state.
 */
#include <errno.h>
#include <string.h>

#include "trigger/private.h"

#define TABLE_LEAST 64

/* FNV-1a: messages are short. */
uint32_t queue_hash(const char *message, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)message[i]) * 16777619u;
	return h ^ h >> 15;
}

struct job *queue_find(const struct triggers *t, uint32_t hash,
		       const char *message, size_t len)
{
	struct job *j = t->size ? t->table[hash & (t->size - 1)] : NULL;

	for (; j; j = j->chain)
		if (j->hash == hash && j->run.len == len &&
		    memcmp(j->run.message, message, len) == 0)
			return j;
	return NULL;
}

static void grow(struct triggers *t)
{
	uint32_t size = t->size ? t->size * 2 : TABLE_LEAST;
	struct job **table;

	if ((uint64_t)t->nwaiting < t->size)
		return;
	table = xcalloc(size, sizeof(struct job *));
	for (uint32_t i = 0; i < t->size; i++) {
		struct job *next;

		for (struct job *j = t->table[i]; j; j = next) {
			next = j->chain;
			j->chain = table[j->hash & (size - 1)];
			table[j->hash & (size - 1)] = j;
		}
	}
	free(t->table);
	t->table = table;
	t->size = size;
}

static void enter(struct triggers *t, struct job *j)
{
	struct job **at;

	grow(t);
	at = &t->table[j->hash & (t->size - 1)];
	j->chain = *at;
	*at = j;
	t->nwaiting++;
}

static void leave(struct triggers *t, struct job *j)
{
	struct job **at = &t->table[j->hash & (t->size - 1)];

	while (*at != j)
		at = &(*at)->chain;
	*at = j->chain;
	t->nwaiting--;
}

static struct jobs *list_of(struct triggers *t, enum job_where where)
{
	switch (where) {
	case JOB_LATER:
		return &t->later;
	case JOB_READY:
		return &t->ready;
	default:
		return &t->running;
	}
}

static void place(struct triggers *t, struct job *j, enum job_where where)
{
	j->where = where;
	job_data(j)->where = where;
	job_data(j)->tries = j->run.tries;
	TAILQ_INSERT_TAIL(list_of(t, where), j, entry);
}

static void unplace(struct triggers *t, struct job *j)
{
	timer_cancel(t->service->u->loop, &j->due);
	TAILQ_REMOVE(list_of(t, j->where), j, entry);
}

static const char *message_of(int record)
{
	const struct run_data *d = RECORD_AS(record, struct run_data);

	return d->buffer < 0 ? d->text : record_buffer(d->buffer);
}

static struct job *job_new(struct triggers *t, int record)
{
	const struct run_data *d = RECORD_AS(record, struct run_data);
	struct job *j = xcalloc(1, sizeof(*j));

	TAILQ_INIT(&j->waits);
	j->on = t;
	j->run.id = record_at(record)->id;
	j->run.service = t->service;
	j->run.record = record;
	j->run.message = message_of(record);
	j->run.len = d->len;
	j->run.text = text_printable(j->run.message, d->len);
	j->run.tries = d->tries;
	j->run.done = job_done;
	j->run.again = job_returned;
	j->hash = queue_hash(j->run.message, d->len);
	return j;
}

/* A record with the message in it, complete before it is committed. */
static int run_record(struct triggers *t, const char *message, size_t len)
{
	int record = record_new(RECORD_RUN, t->service->slot, RUN_JOB);
	struct run_data *d;

	if (record < 0)
		return record;
	d = RECORD_AS(record, struct run_data);
	d->buffer = -1;
	d->len = (uint32_t)len;
	if (len > RUN_INLINE) {
		d->buffer = len <= RECORD_BUFFER ? record_buffer_new()
						 : -ENOBUFS;
		if (d->buffer < 0) {
			record_commit(record);
			record_close(record);
			return -ENOBUFS;
		}
	}
	memcpy((char *)(uintptr_t)message_of(record), message, len);
	record_at(record)->id = ++record_globals()->next_id;
	record_commit(record);
	return record;
}

struct job *queue_add(struct triggers *t, uint32_t hash, const char *message,
		      size_t len)
{
	int record = run_record(t, message, len);
	struct job *j;

	if (record < 0)
		return NULL;
	j = job_new(t, record);
	j->hash = hash;
	enter(t, j);
	place(t, j, JOB_LATER);
	return j;
}

static void on_due(void *arg)
{
	struct job *j = arg;

	queue_delay(j->on, j, 0);
}

void queue_delay(struct triggers *t, struct job *j, int64_t ms)
{
	struct loop *l = t->service->u->loop;

	unplace(t, j);
	place(t, j, ms > 0 ? JOB_LATER : JOB_READY);
	if (ms > 0) {
		timer_set(l, &j->due, ms, on_due, j);
		job_data(j)->due = j->due.due;
	} else {
		trigger_soon(t);
	}
}

void queue_run(struct triggers *t, struct job *j)
{
	unplace(t, j);
	leave(t, j);
	place(t, j, JOB_RUNNING);
	t->nrunning++;
}

void queue_back(struct triggers *t, struct job *j)
{
	unplace(t, j);
	t->nrunning--;
	enter(t, j);
	place(t, j, JOB_READY);
	TAILQ_REMOVE(&t->ready, j, entry);
	TAILQ_INSERT_HEAD(&t->ready, j, entry);
}

void queue_again(struct triggers *t, struct job *j, int64_t ms)
{
	unplace(t, j);
	t->nrunning--;
	enter(t, j);
	place(t, j, JOB_LATER);
	queue_delay(t, j, ms);
}

void queue_drop(struct triggers *t, struct job *j)
{
	int buffer = job_data(j)->buffer;

	unplace(t, j);
	if (j->where == JOB_RUNNING)
		t->nrunning--;
	else
		leave(t, j);
	record_close(j->run.record);
	if (buffer >= 0)
		record_buffer_end(buffer);
	free(j);
}

/* A job of the usher before us. Whether one that ran still does is asked
 * when the handler has found its processes: queue_settle. */
int queue_adopt(struct triggers *t, int record)
{
	struct run_data *d = RECORD_AS(record, struct run_data);
	struct job *j;

	if (d->len > (d->buffer < 0 ? RUN_INLINE : RECORD_BUFFER) ||
	    (d->buffer >= 0 && record_buffer_claim(d->buffer) < 0)) {
		record_close(record);
		return -EINVAL;
	}
	j = job_new(t, record);
	if (d->where == JOB_RUNNING ||
	    queue_find(t, j->hash, j->run.message, d->len)) {
		place(t, j, JOB_RUNNING);
		t->nrunning++;
		j->orphan = true;
		return 0;
	}
	enter(t, j);
	place(t, j, JOB_LATER);
	queue_delay(t, j, d->where == JOB_LATER
		    ? d->due - loop_us() / 1000 : 0);
	return 0;
}

void queue_settle(struct triggers *t)
{
	struct service *s = t->service;
	struct job *next;

	for (struct job *j = TAILQ_FIRST(&t->running); j; j = next) {
		next = TAILQ_NEXT(j, entry);
		if (!j->orphan)
			continue;
		j->orphan = false;
		if (!s->handler->attach ||
		    s->handler->attach(s, &j->run) < 0)
			job_again(t, j, 0);
	}
}
