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

/* The door of G after EP (NULL: the first), I of its own list. */
static struct endpoint *next_door(const struct generation *g,
				  struct endpoint *ep, size_t *i)
{
	do {
		if (g->doors)
			ep = *i < g->ndoors ? g->doors[(*i)++] : NULL;
		else
			ep = ep ? TAILQ_NEXT(ep, entry)
				: TAILQ_FIRST(&g->service->endpoints);
	} while (ep && !is_door(ep));
	return ep;
}

int dialect_doors(struct generation *g, struct launch *l, int first,
		  void (*each)(void *arg, const struct endpoint *ep, int fd),
		  void *arg)
{
	struct endpoint *ep = NULL;
	int n = 0;

	for (size_t i = 0; (ep = next_door(g, ep, &i));) {
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
	struct endpoint *ep = NULL;
	int fd = -ENOTCONN;

	for (size_t i = 0; (ep = next_door(g, ep, &i));) {
		if (fd >= 0)
			return -E2BIG;
		fd = record_at(ep->record)->fd[0];
	}
	return fd;
}

const char *dialect_door_name(const struct service *s,
			      const struct endpoint *ep)
{
	return ep->addr.opt.name ? ep->addr.opt.name : s->name;
}
