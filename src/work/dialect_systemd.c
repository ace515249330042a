/*
 * dialect_systemd - socket activation as systemd does it (sd_listen_fds(3)).
 *
 * Listening sockets from descriptor 3, then what earlier workers stored.
 * LISTEN_PIDFDID is systemd's own word about another process: with it the
 * library would find that nothing was passed.
 */
#include "work/dialect.h"

#include <errno.h>
#include <string.h>

#include "work/pool.h"
#include "work/shelf.h"

struct start {
	struct launch *l;
	struct strv names;
	int at;
};

static void add_name(void *arg, const struct endpoint *ep, int fd)
{
	struct start *st = arg;

	(void)fd;
	strv_push(&st->names, xstrdup(dialect_door_name(
			       st->l->service, ep)));
}

static void add_stored(void *arg, const char *name, int fd)
{
	struct start *st = arg;

	if (st->l->nfds >= CHILD_FDS - 8)
		return;
	launch_fd(st->l, fd, st->at++);
	strv_push(&st->names, xstrdup(name));
}

static char *joined(const struct strv *names)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < names->n; i++) {
		CLEANUP(freep) char *old = text;

		text = xasprintf("%s%s%s", old, i ? ":" : "", names->v[i]);
	}
	return text;
}

static void without(struct launch *l, const char *word)
{
	for (size_t i = 0; i < l->env.n; i++)
		if (strncmp(l->env.v[i], word, strlen(word)) == 0) {
			free(l->env.v[i]);
			/* The NULL at the end moves too. */
			memmove(&l->env.v[i], &l->env.v[i + 1],
				(l->env.n - i) * sizeof(char *));
			l->env.n--;
			if (l->pid_env > (int)i)
				l->pid_env--;
			return;
		}
}

static int prepare(struct generation *g, struct worker *w, struct launch *l)
{
	struct start st = { .l = l };
	int n = dialect_doors(g, l, 3, add_name, &st);

	(void)w;
	if (n >= 0) {
		CLEANUP(freep) char *names = NULL;

		st.at = 3 + n;
		shelf_each(g->service, add_stored, &st);
		names = joined(&st.names);
		launch_env(l, "LISTEN_FDS=%d", st.at - 3);
		launch_env(l, "LISTEN_FDNAMES=%s", names);
		launch_pid_env(l, "LISTEN_PID");
		without(l, "LISTEN_PIDFDID=");
	}
	strv_free(&st.names);
	return n < 0 ? n : 0;
}

const struct dialect dialect_systemd = {
	.protocol = PROTOCOL_SYSTEMD,
	.name = "systemd",
	.prepare = prepare,
};
