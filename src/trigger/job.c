/*
 * job - how a run ends: who waited for it, and whether it is tried again.
 */
#include <errno.h>
#include <string.h>

#include "trigger/private.h"

/* Before another try: doubled from the first to the most. */
#define RETRY_FIRST_MS 1000
#define RETRY_MOST_MS  300000

/* A message as a log line shows it: not all of a long or binary one. */
#define SHOWN 80

static char *shown(const struct run *r)
{
	size_t len = r->len < SHOWN ? r->len : SHOWN;
	char *hex, *text;

	if (r->text)
		return xasprintf("'%.*s'%s", (int)len, r->message,
				 r->len > SHOWN ? "..." : "");
	hex = text_hex(r->message, len);
	text = xasprintf("0x%s%s", hex, r->len > SHOWN ? "..." : "");
	free(hex);
	return text;
}

static void move_waits(struct job *from, struct job *to)
{
	struct trigger_wait *w;

	while ((w = TAILQ_FIRST(&from->waits))) {
		TAILQ_REMOVE(&from->waits, w, entry);
		TAILQ_INSERT_TAIL(&to->waits, w, entry);
		w->on = &to->waits;
		if (w->kept)
			*w->kept = to->run.id;
	}
}

void job_end(struct triggers *t, struct job *j, int status, const char *why)
{
	struct trigger_waits waits = TAILQ_HEAD_INITIALIZER(waits);
	struct trigger_wait *w;

	/* They may do anything, take another trigger for one. */
	TAILQ_CONCAT(&waits, &j->waits, entry);
	TAILQ_FOREACH(w, &waits, entry)
		w->on = &waits;
	queue_drop(t, j);
	while ((w = TAILQ_FIRST(&waits))) {
		trigger_forget(w);
		w->fn(w->arg, status, why);
	}
}

static int64_t delay(unsigned tries)
{
	int64_t ms = RETRY_FIRST_MS;

	while (--tries && ms < RETRY_MOST_MS)
		ms *= 2;
	return ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS;
}

void job_again(struct triggers *t, struct job *j, int64_t ms)
{
	struct job *same = queue_find(t, j->hash, j->run.message, j->run.len);

	if (same) {
		move_waits(j, same);
		queue_drop(t, j);
	} else {
		queue_again(t, j, ms);
	}
}

static void failed(struct triggers *t, struct job *j, int status,
		   const char *why)
{
	struct service *s = t->service;
	CLEANUP(freep) char *message = shown(&j->run);
	char wait[32];

	if (j->run.tries >= s->conf->trigger_retry || t->stopping) {
		service_log(s, LOG_LEVEL_WARNING, "run %llu for %s %s",
			    (unsigned long long)j->run.id, message, why);
		job_end(t, j, status, why);
		return;
	}
	j->run.tries++;
	text_duration_print(delay(j->run.tries), wait, sizeof(wait));
	service_log(s, LOG_LEVEL_WARNING,
		    "run %llu for %s %s; try %u of %lld follows in %s",
		    (unsigned long long)j->run.id, message, why,
		    j->run.tries, (long long)s->conf->trigger_retry, wait);
	job_again(t, j, delay(j->run.tries));
}

void job_done(struct run *r, int status, const char *why)
{
	struct job *j = CONTAINER_OF(r, struct job, run);
	struct triggers *t = j->on;

	if (status > 0)
		failed(t, j, status, why);
	else if (status < 0 && t->service->conf->handoff == HANDOFF_SPAWN)
		job_again(t, j, 0);	/* its end went unseen: once more */
	else
		job_end(t, j, status, why);
	trigger_soon(t);
}

void job_returned(struct run *r)
{
	struct job *j = CONTAINER_OF(r, struct job, run);
	struct triggers *t = j->on;

	job_again(t, j, 0);
	trigger_soon(t);
}
