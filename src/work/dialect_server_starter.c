/*
 * dialect_server_starter - Perl's Server::Starter (start_server(1)).
 *
 * SERVER_STARTER_PORT names each socket as it was asked for, with its
 * descriptor: "8080=3;127.0.0.1:8081=4;/run/app=5". Workers leave at SIGTERM
 * and finish what they have.
 */
#include "work/dialect.h"

#include <stdio.h>

#include "work/pool.h"

struct list {
	char *text;
};

static void add(void *arg, const struct endpoint *ep, int fd)
{
	struct list *list = arg;
	const struct addr *a = &ep->addr;
	CLEANUP(freep) char *old = list->text;
	char where[ADDR_TEXT];
	const char *name = where;

	if (addr_is_unix(a->kind))
		name = a->path;
	else if (ep->wildcard)
		snprintf(where, sizeof(where), "%u", addr_port(&ep->name));
	else
		addr_print(&ep->name, where, sizeof(where));
	list->text = xasprintf("%s%s%s=%d", old ? old : "", old ? ";" : "",
			       name, fd);
}

static int prepare(struct generation *g, struct worker *w, struct launch *l)
{
	struct list list = { NULL };
	int n = dialect_doors(g, l, 3, add, &list);

	(void)w;
	if (n >= 0) {
		launch_env(l, "SERVER_STARTER_PORT=%s",
			   list.text ? list.text : "");
		launch_env(l, "SERVER_STARTER_GENERATION=%u", g->number);
	}
	free(list.text);
	return n < 0 ? n : 0;
}

const struct dialect dialect_server_starter = {
	.protocol = PROTOCOL_SERVER_STARTER,
	.name = "server-starter",
	.prepare = prepare,
};
