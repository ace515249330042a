/*
 * absent - parts that have not landed: each refuses to start.
 */
#include <errno.h>

#include "builtin/builtin.h"
#include "relay/relay.h"
#include "work/pool.h"

static int start(struct service *s)
{
	(void)s;
	return -ENOSYS;
}

static bool room(struct service *s)
{
	(void)s;
	return false;
}

static int arrive(struct service *s, struct conn *c)
{
	(void)s;
	(void)c;
	return -EAGAIN;
}

static void changed(struct service *s, const struct conf_service *old,
		    unsigned bits)
{
	(void)s;
	(void)old;
	(void)bits;
}

static int roll(struct service *s,
		void (*done)(void *arg, int result, const char *why),
		void *arg)
{
	(void)s;
	(void)done;
	(void)arg;
	return -EOPNOTSUPP;
}

static void stop(struct service *s, bool now)
{
	(void)now;
	service_gone(s);
}

static uint32_t busy(const struct service *s)
{
	(void)s;
	return 0;
}

static void end(struct service *s)
{
	(void)s;
}

#define ABSENT(word)                                                      \
	{                                                                 \
		.name = word, .start = start, .room = room,               \
		.arrive = arrive, .changed = changed, .roll = roll,       \
		.stop = stop, .busy = busy, .end = end,                   \
	}

const struct handler handler_backend = ABSENT("backend");
const struct handler handler_agent = ABSENT("agent");
