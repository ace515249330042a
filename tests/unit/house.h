/*
 * house - the least that a test of a workshop stands on: a state, a loop, a
 * log that is kept, and services without doors.
 */
#ifndef USHER_TESTS_HOUSE_H
#define USHER_TESTS_HOUSE_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "model/model.h"

struct house {
	struct usher u;
	struct conf_service conf;
	struct slot_data data;
	char told[1 << 16];	/* the log, a line each */
	size_t lines;
};

static void house_tap(void *arg, enum log_level level,
		      const struct log_about *about, const char *text)
{
	struct house *h = arg;
	size_t len = strlen(h->told);

	(void)level;
	h->lines++;
	snprintf(h->told + len, sizeof(h->told) - len, "%s[%d] %s\n",
		 about && about->service ? about->service : "",
		 about ? (int)about->pid : 0, text);
}

/* First in main: the roles' numbers are taken, so that check's own files lie
 * above them. */
static inline void house_begin(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < RECORD_LOW);
	close(fd);
}

static inline void house_open(struct house *h)
{
	memset(h, 0, sizeof(*h));
	ck_assert_int_eq(record_open(256, 8), 0);
	ck_assert_int_eq(loop_open(&h->u.loop, false), 0);
	h->u.by_slot = xcalloc(slot_max(), sizeof(*h->u.by_slot));
	TAILQ_INIT(&h->u.services);
	TAILQ_INIT(&h->u.gone);
	TAILQ_INIT(&h->u.leaving);
	/* What the log would print is read from the tap. */
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	log_tap(house_tap, h);
}

/* A service of that name on the test's own memory. */
static inline struct service *house_service(struct house *h, const char *name)
{
	struct service *s = xcalloc(1, sizeof(*s));

	s->u = &h->u;
	s->name = name;
	s->conf = &h->conf;
	s->slot = (uint32_t)slot_find(name, true);
	s->data = (struct slot_data *)(void *)slot_at(s->slot)->data;
	TAILQ_INIT(&s->endpoints);
	h->u.by_slot[s->slot] = s;
	return s;
}

static inline void house_service_end(struct service *s)
{
	s->u->by_slot[s->slot] = NULL;
	slot_end(s->slot);
	free(s->last_line);
	free(s);
}

static void house_stop(void *arg)
{
	loop_stop(arg);
}

/* Runs the loop for MS. */
static inline void house_run(struct house *h, int64_t ms)
{
	struct timer t = { 0 };

	timer_set(h->u.loop, &t, ms, house_stop, h->u.loop);
	ck_assert_int_eq(loop_run(h->u.loop), 0);
}

static inline void house_close(struct house *h)
{
	log_tap(NULL, NULL);
	ck_assert_uint_eq(record_count(), 0);
	loop_close(&h->u.loop);
	free(h->u.by_slot);
	record_shutdown();
}

#endif
