/*
 * holdings - the commands of the store: what comes in, goes out, is lent.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json_out.h"
#include "control/commands.h"
#include "control/parts.h"
#include "control/server.h"
#include "control/store.h"
#include "inlet/listener.h"

/* Our own control connections must not come to lie in the store: a socket
 * that waits in itself is never closed. */
static bool is_control(const struct control *c, int fd)
{
	struct addr_name n = { .len = sizeof(n.u) };
	const struct addr_name *own = &c->addr.names[0];

	if (getsockname(fd, &n.u.sa, &n.len) == 0 && n.len == own->len &&
	    memcmp(&n.u, &own->u, n.len) == 0)
		return true;
	n.len = sizeof(n.u);
	return getpeername(fd, &n.u.sa, &n.len) == 0 && n.len == own->len &&
	       memcmp(&n.u, &own->u, n.len) == 0;
}

static enum call_result wrong(struct call *c, int i, const char *why)
{
	return call_fail(c, ERROR_DESCRIPTOR, "descriptor %d: %s", i, why);
}

enum call_result do_store(struct call *c)
{
	struct store *st = c->control->store;
	const char *name = call_text(c, "name"), *why = store_name_bad(name);
	int64_t expire = call_duration(c, "expire", 0);
	uint64_t mark = store_mark(st);
	int n = c->nfds;

	if (why)
		return call_invalid(c, "name", "%s", why);
	if (n == 0)
		return wrong(c, 0, "none came with the call");
	for (int i = 0; i < n; i++) {
		if (fd_check(c->fds[i], FD_WANT_ANY, &why) < 0)
			return wrong(c, i, why);
		if (is_control(c->control, c->fds[i]))
			return wrong(c, i, "it is a control connection");
	}
	if (store_room(st, c->uid) < n)
		return call_fail(c, ERROR_FAILED, "the store is full: %d of a "
				 "user, %d in all; forget some names",
				 STORE_UID_MAX, STORE_MAX);
	for (int i = 0; i < n; i++) {
		int r = store_put(st, name, c->fds[i], c->uid, expire);

		if (r < 0) {
			store_back(st, mark);
			return call_errno(c, r, NULL);
		}
		call_take_fd(c, i);
	}
	json_put(c->reply, "result",
		 json_sprintf("%s: %d descriptor%s held", name, n,
			      n == 1 ? "" : "s"));
	return CALL_DONE;
}

/* ---- what is held ---- */

struct listing {
	struct parts parts;
	struct json_out out;	/* its f is a slice's */
	struct store_item *items;
	size_t n, told;
	bool begun;
};

static void put_item(struct json_out *o, const struct store_item *item)
{
	json_out_open(o, NULL, '{');
	json_out_text(o, "name", item->name);
	json_out_int(o, "uid", item->uid);
	json_out_int(o, "descriptors", item->descriptors);
	if (item->expires < 0)
		json_out_text(o, "expires", NULL);
	else
		json_out_real(o, "expires", (double)item->expires / 1000);
	json_out_close(o, '}');
}

static bool put_next(struct parts *p)
{
	struct listing *l = (struct listing *)p;

	l->out.f = p->out;
	if (!l->begun) {
		l->begun = true;
		json_out_open(&l->out, NULL, '{');
		json_out_open(&l->out, "names", '[');
	}
	if (l->told < l->n) {
		put_item(&l->out, &l->items[l->told++]);
		return true;
	}
	json_out_close(&l->out, ']');
	json_out_close(&l->out, '}');
	return false;
}

static void listing_end(struct parts *p)
{
	free(((struct listing *)p)->items);
}

enum call_result do_list_store(struct call *c)
{
	struct listing *l = xcalloc(1, sizeof(*l));

	l->n = store_list(c->control->store, &l->items);
	l->parts.step = put_next;
	l->parts.end = listing_end;
	return parts_begin(c, &l->parts);
}

/* ---- fetch ---- */

static void send_names(struct call *c, const char *const *names, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_safe_text(names[i]));
	json_put(c->reply, "names", list);
	c->nsend = n;
}

static int doors_of(const struct service *s, int *fds, const char **names,
		    int max)
{
	const struct endpoint *ep;
	int n = 0;

	TAILQ_FOREACH(ep, &s->endpoints, entry) {
		if (ep->use != USE_LISTEN || ep->record < 0 || n == max)
			continue;
		names[n] = ep->addr.opt.name ? ep->addr.opt.name : s->name;
		fds[n++] = record_at(ep->record)->fd[0];
	}
	return n;
}

static enum call_result lend(struct call *c, struct service *s)
{
	int pidfd, r;

	if (s->holds & HOLD_SHARED)
		return call_invalid(c, "lease", "workers of %s accept for "
				    "themselves, its doors can't be left "
				    "alone", s->name);
	if (c->pid <= 0)
		return call_invalid(c, "lease", "your process can't be seen "
				    "from here");
	pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (pidfd < 0)
		return call_errno(c, -errno, NULL);
	r = store_lend(c->control->store, s, pidfd, c->pid);
	if (r == 0)
		return CALL_DONE;
	close(pidfd);
	if (r == -EBUSY)
		return call_fail(c, ERROR_BUSY, "the doors of %s are lent to "
				 "pid %d", s->name,
				 (int)store_lent(c->control->store, s));
	return call_errno(c, r, NULL);
}

static enum call_result fetch_doors(struct call *c, struct service *s)
{
	const char *names[FD_BATCH];
	struct endpoint *ep;
	int n = doors_of(s, c->send_fds, names, FD_BATCH);

	if (n == 0)
		return call_fail(c, ERROR_FAILED, "%s has no open door",
				 s->name);
	if (call_flag(c, "lease") && lend(c, s) != CALL_DONE)
		return CALL_FAILED;
	TAILQ_FOREACH(ep, &s->endpoints, entry)
		if (ep->use == USE_LISTEN && ep->record >= 0)
			endpoint_foreign(ep);
	send_names(c, names, n);
	return CALL_DONE;
}

enum call_result do_fetch(struct call *c)
{
	const char *name = call_text(c, "name");
	const char *names[FD_BATCH];
	struct service *s;
	int n;

	c->send_fds = xcalloc(FD_BATCH, sizeof(int));
	n = store_get(c->control->store, name, c->send_fds, FD_BATCH);
	if (n > 0) {
		if (call_flag(c, "lease"))
			return call_invalid(c, "lease", "only a service's "
					    "doors can be lent");
		for (int i = 0; i < n; i++)
			names[i] = name;
		send_names(c, names, n);
		return CALL_DONE;
	}
	s = model_find(c->u, name);
	if (s)
		return fetch_doors(c, s);
	call_fail(c, ERROR_NO_NAME, "neither store nor services have %s", name);
	json_put_text(c->reply, "name", name);
	return CALL_FAILED;
}

enum call_result do_forget(struct call *c)
{
	const char *name = call_text(c, "name");
	int n = store_forget(c->control->store, name);

	if (n == 0) {
		call_fail(c, ERROR_NO_NAME, "nothing is held as %s", name);
		json_put_text(c->reply, "name", name);
		return CALL_FAILED;
	}
	json_put(c->reply, "result",
		 json_sprintf("%s: %d descriptor%s closed", name, n,
			      n == 1 ? "" : "s"));
	return CALL_DONE;
}
