/*
 * dialect - the table of protocols that share a door, and what they have in
 * common; see dialect.h.
 */
#include "work/dialect.h"

#include <errno.h>

#include "work/pool.h"

/* What a start keeps for standard descriptors and channels. */
#define DOORS_MAX (CHILD_FDS - 16)

static const struct dialect *const table[] = {
	&dialect_systemd, &dialect_wait,	   &dialect_fastcgi,
	&dialect_postfix, &dialect_server_starter, &dialect_einhorn,
};

const struct dialect *dialect_of(enum conf_protocol p)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i]->protocol == p)
			return table[i];
	return NULL;
}

static bool is_door(const struct endpoint *ep)
{
	return ep->use == USE_LISTEN && ep->record >= 0;
}

int dialect_doors(struct generation *g, struct launch *l, int first,
		  void (*each)(void *arg, const struct endpoint *ep, int fd),
		  void *arg)
{
	struct endpoint *ep;
	int n = 0;

	TAILQ_FOREACH(ep, &g->service->endpoints, entry) {
		if (!is_door(ep))
			continue;
		if (n == DOORS_MAX)
			return -EMFILE;
		launch_fd(l, record_at(ep->record)->fd[0], first + n);
		if (each)
			each(arg, ep, first + n);
		n++;
	}
	return n;
}

int dialect_door(struct generation *g)
{
	struct endpoint *ep;
	int fd = -ENOTCONN;

	TAILQ_FOREACH(ep, &g->service->endpoints, entry)
		if (is_door(ep)) {
			if (fd >= 0)
				return -E2BIG;
			fd = record_at(ep->record)->fd[0];
		}
	return fd;
}

const char *dialect_door_name(const struct endpoint *ep)
{
	return ep->addr.opt.name ? ep->addr.opt.name : ep->service->name;
}
