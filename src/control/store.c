/*
 * store - descriptors held for others; see the header.
 */
#include "control/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "inlet/listener.h"

/* RECORD_STORED's data; the record's id is the order in which they came. */
struct stored_data {
	int64_t expires;	/* CLOCK_MONOTONIC, ms; 0: never */
	uint32_t uid;
	char name[STORE_NAME];
};

struct lease {
	TAILQ_ENTRY(lease) entry;
	struct store *store;
	char service[SLOT_NAME];
	int record;		/* RECORD_LEASE: fd 0 the pidfd, id the pid */
};

struct store {
	struct usher *u;
	int *held;		/* records, the oldest first */
	unsigned n;
	size_t room;		/* of held */
	uint64_t next;
	struct timer expiry;
	TAILQ_HEAD(, lease) leases;
};

static struct stored_data *data_of(int record)
{
	return RECORD_AS(record, struct stored_data);
}

/* By age. What a service's workers stored is the service's (work/shelf) and
 * not here. */
static void hold(struct store *st, int record)
{
	unsigned at = st->n;

	if (st->n == st->room) {
		st->room = st->room ? st->room * 2 : 16;
		st->held = xrealloc(st->held, st->room * sizeof(*st->held));
	}
	for (; at > 0 && record_at(st->held[at - 1])->id >
			 record_at(record)->id; at--)
		st->held[at] = st->held[at - 1];
	st->held[at] = record;
	st->n++;
}

/* Closes those that DROPS wants, and keeps the others' order. How many. */
static int sweep(struct store *st, bool (*drops)(int record, const void *arg),
		 const void *arg)
{
	unsigned left = 0, before = st->n;

	for (unsigned i = 0; i < before; i++)
		if (drops(st->held[i], arg))
			record_close(st->held[i]);
		else
			st->held[left++] = st->held[i];
	st->n = left;
	return (int)(before - left);
}

/* ---- time ---- */

static void look_at_clock(struct store *st);

static bool has_expired(int record, const void *arg)
{
	const struct stored_data *d = data_of(record);

	if (!d->expires || d->expires > *(const int64_t *)arg)
		return false;
	log_notice("store: %s expired", d->name);
	return true;
}

static void on_expiry(void *arg)
{
	struct store *st = arg;
	int64_t now = loop_now(st->u->loop);

	sweep(st, has_expired, &now);
	look_at_clock(st);
}

/* One timer, for whatever expires first. */
static void look_at_clock(struct store *st)
{
	int64_t first = 0, now = loop_now(st->u->loop);

	for (unsigned i = 0; i < st->n; i++) {
		int64_t at = data_of(st->held[i])->expires;

		if (at && (!first || at < first))
			first = at;
	}
	if (!first)
		timer_cancel(st->u->loop, &st->expiry);
	else
		timer_set(st->u->loop, &st->expiry,
			  first > now ? first - now : 0, on_expiry, st);
}

/* ---- names and descriptors ---- */

const char *store_name_bad(const char *name)
{
	size_t n = strlen(name);

	if (n == 0)
		return "a name is wanted";
	if (n >= STORE_NAME)
		return "a name has 119 bytes at most";
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
			return "a name is printable ASCII without blanks "
			       "and ':'";
	return NULL;
}

int store_room(const struct store *st, uid_t uid)
{
	int own = STORE_UID_MAX, all = STORE_MAX - (int)st->n;

	for (unsigned i = 0; i < st->n; i++)
		own -= data_of(st->held[i])->uid == uid;
	return own < all ? own : all;
}

int store_put(struct store *st, const char *name, int fd, uid_t uid,
	      int64_t expire)
{
	struct stored_data *d;
	int record;

	if (store_room(st, uid) <= 0)
		return -ENOSPC;
	record = record_new(RECORD_STORED, RECORD_NOBODY, 0);
	if (record < 0)
		return record;
	d = data_of(record);
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->uid = uid;
	d->expires = expire ? loop_now(st->u->loop) + expire : 0;
	record_at(record)->id = st->next++;
	record_set_fd(record, 0, fd);
	record_commit(record);
	hold(st, record);
	look_at_clock(st);
	return 0;
}

static bool is_named(int record, const void *name)
{
	return strcmp(data_of(record)->name, name) == 0;
}

int store_get(const struct store *st, const char *name, int *fds, int max)
{
	int n = 0;

	for (unsigned i = 0; i < st->n && n < max; i++)
		if (is_named(st->held[i], name))
			fds[n++] = record_at(st->held[i])->fd[0];
	return n;
}

int store_forget(struct store *st, const char *name)
{
	int n = sweep(st, is_named, name);

	look_at_clock(st);
	return n;
}

static bool is_younger(int record, const void *than)
{
	return record_at(record)->id >= *(const uint64_t *)than;
}

uint64_t store_mark(const struct store *st)
{
	return st->next;
}

void store_back(struct store *st, uint64_t mark)
{
	sweep(st, is_younger, &mark);
	look_at_clock(st);
}

unsigned store_count(const struct store *st)
{
	return st->n;
}

static int by_name(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	int r = strcmp(data_of(x)->name, data_of(y)->name);

	return r ? r : record_at(x)->id < record_at(y)->id ? -1 : 1;
}

size_t store_list(const struct store *st, struct store_item **out)
{
	CLEANUP(freep) int *order = xmalloc((st->n + 1) * sizeof(*order));
	struct store_item *items = xcalloc(st->n + 1, sizeof(*items));
	int64_t now = loop_now(st->u->loop);
	size_t n = 0;

	if (st->n)
		memcpy(order, st->held, st->n * sizeof(*order));
	qsort(order, st->n, sizeof(*order), by_name);
	for (unsigned i = 0; i < st->n; i++) {
		const struct stored_data *d = data_of(order[i]);

		if (n && strcmp(items[n - 1].name, d->name) == 0) {
			items[n - 1].descriptors++;
			continue;
		}
		snprintf(items[n].name, sizeof(items[n].name), "%s", d->name);
		items[n].uid = d->uid;
		items[n].expires = d->expires ? d->expires - now : -1;
		items[n++].descriptors = 1;
	}
	*out = items;
	return n;
}

/* ---- leases ---- */

static void hold_doors(struct service *s, bool hold)
{
	struct endpoint *ep;

	TAILQ_FOREACH(ep, &s->endpoints, entry) {
		if (ep->use != USE_LISTEN)
			continue;
		if (hold)
			endpoint_hold(ep, HOLD_LEASE);
		else
			endpoint_release(ep, HOLD_LEASE);
	}
}

static void lease_end(struct lease *l)
{
	TAILQ_REMOVE(&l->store->leases, l, entry);
	record_close(l->record);
	free(l);
}

static void on_returned(void *arg, uint32_t events)
{
	struct lease *l = arg;
	struct service *s = model_find(l->store->u, l->service);

	(void)events;
	if (s) {
		service_log(s, LOG_LEVEL_NOTICE, "its doors are back: pid %d "
			    "has ended", (int)record_at(l->record)->id);
		hold_doors(s, false);
	}
	lease_end(l);
}

static struct lease *lease_new(struct store *st, const struct service *s,
			       int record)
{
	struct lease *l = xcalloc(1, sizeof(*l));

	l->store = st;
	l->record = record;
	snprintf(l->service, sizeof(l->service), "%s", s->name);
	TAILQ_INSERT_TAIL(&st->leases, l, entry);
	return l;
}

static struct lease *lease_of(const struct store *st, const struct service *s)
{
	struct lease *l;

	TAILQ_FOREACH(l, &st->leases, entry)
		if (strcmp(l->service, s->name) == 0)
			return l;
	return NULL;
}

pid_t store_lent(const struct store *st, const struct service *s)
{
	const struct lease *l = lease_of(st, s);

	return l ? (pid_t)record_at(l->record)->id : 0;
}

int store_lend(struct store *st, struct service *s, int pidfd, pid_t pid)
{
	struct lease *l;
	int record, r;

	if (lease_of(st, s))
		return -EBUSY;
	record = record_new(RECORD_LEASE, s->slot, 0);
	if (record < 0)
		return record;
	record_at(record)->id = (uint64_t)pid;
	record_set_fd(record, 0, pidfd);
	record_commit(record);
	l = lease_new(st, s, record);
	r = loop_watch(st->u->loop, record, 0, EPOLLIN, on_returned, l);
	if (r < 0) {
		record_forget(record);
		TAILQ_REMOVE(&st->leases, l, entry);
		free(l);
		return r;
	}
	hold_doors(s, true);
	return 0;
}

/* ---- life ---- */

struct store *store_open(struct usher *u)
{
	struct store *st = xcalloc(1, sizeof(*st));

	st->u = u;
	TAILQ_INIT(&st->leases);
	return st;
}

static bool is_text(const char *s, size_t size)
{
	return memchr(s, '\0', size) && !store_name_bad(s);
}

int store_adopt(struct store *st, int record)
{
	struct record *r = record_at(record);
	struct service *s;

	if (r->kind == RECORD_STORED) {
		if (!is_text(data_of(record)->name, STORE_NAME)) {
			record_close(record);
			return -EINVAL;
		}
		hold(st, record);
		if (r->id >= st->next)
			st->next = r->id + 1;
		look_at_clock(st);
		return 0;
	}
	s = model_by_slot(st->u, r->service);
	if (!s || lease_of(st, s)) {
		record_close(record);
		return -ENOENT;
	}
	loop_resume(st->u->loop, record, 0, EPOLLIN, on_returned,
		    lease_new(st, s, record));
	hold_doors(s, true);
	return 0;
}

void store_close(struct store *st)
{
	struct lease *l;

	timer_cancel(st->u->loop, &st->expiry);
	while ((l = TAILQ_FIRST(&st->leases)))
		lease_end(l);
	for (unsigned i = 0; i < st->n; i++)
		record_close(st->held[i]);
	free(st->held);
	free(st);
}
