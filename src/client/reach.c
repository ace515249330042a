/*
 * reach - an address that a client command talks to; see the header.
 */
#include "client/reach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "base/resolve.h"

int64_t reach_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- what failed, where, and what would cure it ---- */

static const char *cure_late(const struct reach *r, enum net_stage stage)
{
	switch (stage) {
	case NET_RESOLVE:
		return "the name server is silent; an address instead of a "
		       "name, or a longer --timeout, would do";
	case NET_CONNECT:
		return addr_is_unix(r->addr.kind)
			? "its queue is full, the service does not accept; "
			  "look at it, or give a longer --timeout"
			: "nothing came back; look at host and firewalls, or "
			  "give a longer --timeout";
	case NET_WRITE:
		return "its queue is full, the peer does not read, is too "
		       "slow or stuck; look at it, or give a longer "
		       "--timeout";
	default:
		return "no answer came in time; a longer --timeout would "
		       "wait";
	}
}

static const char *cure(const struct reach *r, enum net_stage stage, int e)
{
	static const struct {
		int error;
		const char *text;
	} cures[] = {
		{ ENXIO, "nobody reads this FIFO; start the service" },
		{ ECONNREFUSED, "nobody listens there; start the service" },
		{ EACCES, "its mode, owner or directory keeps you out" },
		{ EPROTOTYPE, "the socket is of another type; unix:, "
			      "unix-dgram: or unix-seqpacket: would do" },
		{ EHOSTUNREACH, "no way to that host; look at routes and "
				"firewalls" },
		{ ENETUNREACH, "no way to that network; look at the routes" },
		{ EADDRNOTAVAIL, "source= must be an address of this "
				 "machine" },
		{ ECONNRESET, "the peer broke off; its log tells why" },
		{ EPIPE, "the peer closed before everything was sent" },
		{ EMSGSIZE, "too long for one piece; shorter ones would "
			    "do" },
	};

	if (e == ETIMEDOUT)
		return cure_late(r, stage);
	if (e == ENOENT)
		return r->addr.kind == ADDR_FIFO
			? "no FIFO is there; start the service or correct "
			  "the path"
			: "no socket is there; start the service or correct "
			  "the path";
	for (size_t i = 0; i < ARRAY_SIZE(cures); i++)
		if (cures[i].error == e)
			return cures[i].text;
	return "-v tells more";
}

int reach_fail(const struct reach *r, enum net_stage stage, int error)
{
	fprintf(stderr, "usher %s: %s: %s: %s; %s\n", r->command,
		r->addr.text, net_stage_name(stage), strerror(error),
		cure(r, stage, error));
	return 1;
}

int reach_usage(const struct reach *r, const char *text)
{
	fprintf(stderr, "usher %s: %s; usher %s --help tells more\n",
		r->command, text, r->command);
	return 2;
}

/* ---- the way there ---- */

int reach_parse(struct reach *r, const char *text)
{
	CLEANUP(freep) char *why = NULL;

	return addr_parse(text, &r->addr, &why) < 0 ? reach_usage(r, why) : 0;
}

static void on_note(void *arg, const char *text)
{
	const struct reach *r = arg;

	fprintf(stderr, "usher %s: %s\n", r->command, text);
}

static int look_up(struct reach *r)
{
	CLEANUP(freep) char *why = NULL;
	int res;

	if (r->addr.kind != ADDR_TCP)
		return 0;
	res = resolve_wait(&r->addr, false, r->timeout, &why);
	if (res == 0)
		return 0;
	if (!why)
		return reach_fail(r, NET_RESOLVE, -res);
	fprintf(stderr, "usher %s: %s: %s: %s\n", r->command, r->addr.text,
		net_stage_name(NET_RESOLVE), why);
	return 1;
}

int reach_connect(struct reach *r)
{
	const struct net_note note = { r->verbose ? on_note : NULL, r };
	int res = look_up(r);

	if (res != 0)
		return res;
	r->fd = net_connect(&r->addr, r->timeout, &note);
	return r->fd < 0 ? reach_fail(r, NET_CONNECT, -r->fd) : 0;
}

void reach_end(struct reach *r)
{
	fd_closep(&r->fd);
	addr_free(&r->addr);
}
