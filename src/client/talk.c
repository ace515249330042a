/*
 * talk - a conversation with the daemon; see the header.
 */
#include "client/talk.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net.h"
#include "serve.h"

#define SYSTEM_CONTROL "/run/usher/control"
#define CONNECT_MS     5000
/* Silent for so long: does anybody live there? So long to say so. */
#define SILENT_MS      3000
#define ALIVE_MS       5000

void talk_complain(const struct talk *t, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "usher %s: ", t->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* ---- where the daemon is ---- */

static char *as_address(const char *s)
{
	return strncmp(s, "unix:", 5) == 0 ? xstrdup(s)
					   : xasprintf("unix:%s", s);
}

static char *choose(const char *control)
{
	CLEANUP(freep) char *runtime = NULL;
	CLEANUP(freep) char *own = NULL;
	const char *env = getenv("USHER_CONTROL");

	if (control)
		return as_address(control);
	if (env && *env)
		return as_address(env);
	runtime = serve_runtime();
	own = xasprintf("%s/control", runtime);
	return as_address(access(own, F_OK) == 0 ? own : SYSTEM_CONTROL);
}

static void note(void *arg, const char *text)
{
	const struct talk *t = arg;

	if (t->verbose)
		talk_complain(t, "%s", text);
}

static int unreachable(const struct talk *t, int error)
{
	const char *cure = "";

	if (t->quiet && error != -EACCES)
		return EXIT_NOT_REACHED;
	if (error == -ENOENT || error == -ECONNREFUSED)
		cure = "; no usher serves there: start one (usher serve), or "
		       "name its socket with --control PATH";
	else if (error == -EACCES)
		cure = "; the socket's mode does not let you connect";
	talk_complain(t, "%s: connect: %s%s", t->address, strerror(-error),
		      cure);
	return error == -EACCES ? EXIT_REFUSED : EXIT_NOT_REACHED;
}

static int open_talk(struct talk *t, const char *control)
{
	const struct net_note n = { note, t };
	CLEANUP(freep) char *why = NULL;
	struct addr a = { 0 };

	t->address = choose(control);
	if (addr_parse(t->address, &a, &why) < 0) {
		talk_complain(t, "--control %s: %s", t->address, why);
		return EXIT_USAGE;
	}
	t->fd = net_connect(&a, CONNECT_MS, &n);
	addr_free(&a);
	if (t->fd < 0)
		return unreachable(t, t->fd);
	if (t->verbose)
		talk_complain(t, "connected to %s", t->address);
	return 0;
}

int talk_open(struct talk *t, const char *command, const char *control,
	      bool verbose)
{
	*t = (struct talk){ .fd = -1, .command = command,
			    .verbose = verbose };
	return open_talk(t, control);
}

void talk_close(struct talk *t)
{
	fd_closep(&t->fd);
	while (t->nfds > 0)
		close(t->fds[--t->nfds]);
	free(t->buf);
	free(t->address);
	free(t->error);
}

int talk_again(struct talk *t, const char *control, bool quiet)
{
	talk_close(t);
	*t = (struct talk){ .fd = -1, .command = t->command,
			    .quiet = quiet, .patience = t->patience };
	return open_talk(t, control);
}

/* ---- out ---- */

static int lost(const struct talk *t, const char *stage, int error)
{
	talk_complain(t, "%s: %s: %s", t->address, stage,
		      error ? strerror(-error)
			    : "usher closed the connection");
	return EXIT_NOT_REACHED;
}

/* Descriptors go with the first byte, and a message that has some is small
 * enough to go at once. */
static int send_all(struct talk *t, const char *text, size_t len,
		    const int *fds, int n)
{
	size_t sent = 0;

	while (sent < len) {
		ssize_t r = fd_send(t->fd, text + sent, len - sent, fds, n, 0);

		if (r == -EAGAIN)
			r = net_wait(t->fd, POLLOUT, -1) < 0 ? -EIO : 0;
		else if (r > 0)
			n = 0;
		/* It was closed on us: what it said before is there to read. */
		if (r == -EPIPE || r == -ECONNRESET)
			return 0;
		if (r < 0)
			return t->quiet ? EXIT_NOT_REACHED
					: lost(t, "write", (int)r);
		sent += (size_t)r;
	}
	return 0;
}

int talk_send(struct talk *t, const char *method, json_t *parameters,
	      const int *fds, int n, bool more)
{
	CLEANUP(json_decrefp) json_t *m = json_object();
	CLEANUP(freep) char *text = NULL;
	size_t len;

	json_put(m, "method", json_sprintf("org.usher.%s", method));
	json_put(m, "parameters", parameters ? parameters : json_object());
	if (more)
		json_put_bool(m, "more", true);
	text = json_line(m, &len);
	return send_all(t, text, len + 1, fds, n);
}

/* ---- in ---- */

static void keep_fds(struct talk *t, const struct fd_message *m)
{
	for (int i = 0; i < m->n; i++) {
		if (t->nfds < TALK_FDS)
			t->fds[t->nfds++] = m->fds[i];
		else
			close(m->fds[i]);
	}
}

/* Another connection asks what costs nothing. */
static bool is_alive(const struct talk *t)
{
	static const char ask[] =
		"{\"method\":\"org.varlink.service.GetInfo\"}";
	static const struct net_note nobody;
	CLEANUP(fd_closep) int fd = -1;
	CLEANUP(freep) char *why = NULL;
	struct addr a = { 0 };

	if (addr_parse(t->address, &a, &why) < 0)
		return false;
	fd = net_connect(&a, ALIVE_MS, &nobody);
	addr_free(&a);
	return fd >= 0 &&
	       fd_send(fd, ask, sizeof(ask), NULL, 0, 0) == sizeof(ask) &&
	       net_wait(fd, POLLIN, ALIVE_MS) > 0;
}

/* As net_wait. 0 without a limit: nobody is there. */
static int wait_answer(struct talk *t, int64_t ms)
{
	int64_t silent = 0;
	int r;

	if (ms >= 0)
		return net_wait(t->fd, POLLIN, ms);
	for (;;) {
		r = net_wait(t->fd, POLLIN, SILENT_MS);
		if (r != 0)
			return r;
		silent = is_alive(t) ? 0 : silent + SILENT_MS + ALIVE_MS;
		if (silent > t->patience)
			return 0;
	}
}

static int nobody_answers(struct talk *t)
{
	t->silent = true;
	talk_complain(t, "%s: answer: nobody answers; usher was killed and "
		      "its keeper holds the doors for the next one, or it "
		      "hangs: see its log, start it again", t->address);
	return EXIT_NOT_REACHED;
}

/* More bytes. 0, -ETIMEDOUT, or an exit status. */
static int read_more(struct talk *t, int64_t ms)
{
	int fds[TALK_FDS], r;
	struct fd_message m = { .fds = fds, .max = TALK_FDS };

	if (t->cap - t->len < 4096) {
		t->cap = t->cap ? t->cap * 2 : 16384;
		t->buf = xrealloc(t->buf, t->cap);
	}
	m.buf = t->buf + t->len;
	m.size = t->cap - t->len;
	r = wait_answer(t, ms);
	if (r == 0)
		return ms < 0 ? nobody_answers(t) : -ETIMEDOUT;
	r = r < 0 ? r : fd_receive(t->fd, &m, 0);
	if (r == -EAGAIN)
		return 0;
	if (r <= 0)
		return t->quiet ? EXIT_NOT_REACHED : lost(t, "answer", r);
	keep_fds(t, &m);
	t->len += m.len;
	return 0;
}

/* One line for people from an error reply. */
static int tell_error(struct talk *t, const char *name, const json_t *p)
{
	const char *message = json_get_text(p, "message", name);
	const json_t *errors = json_object_get(p, "errors"), *e;
	size_t i;

	free(t->error);
	t->error = xstrdup(name);
	if (!t->quiet) {
		json_array_foreach((json_t *)errors, i, e)
			fprintf(stderr, "%s\n", json_string_value(e));
		talk_complain(t, "%s", message);
	}
	return strcmp(name, "org.usher.PermissionDenied") == 0
		       ? EXIT_REFUSED : EXIT_FAILED;
}

static int take_reply(struct talk *t, size_t len, json_t **out,
		      bool *continues)
{
	CLEANUP(freep) char *why = NULL;
	CLEANUP(json_decrefp) json_t *m = json_parse(t->buf, len, &why);
	const char *error = json_get_text(m, "error", NULL);

	t->len -= len + 1;
	memmove(t->buf, t->buf + len + 1, t->len);
	if (!m) {
		talk_complain(t, "%s: no Varlink answer: %s", t->address, why);
		return EXIT_FAILED;
	}
	*out = json_incref(json_object_get(m, "parameters"));
	if (!*out)
		*out = json_object();
	if (continues)
		*continues = json_get_bool(m, "continues", false);
	return error ? tell_error(t, error, *out) : 0;
}

int talk_receive(struct talk *t, json_t **out, bool *continues, int64_t ms)
{
	size_t looked = 0;

	*out = NULL;
	for (;;) {
		const char *end = t->len > looked ? memchr(
			t->buf + looked, '\0', t->len - looked) : NULL;
		int r;

		if (end)
			return take_reply(t, (size_t)(end - t->buf), out,
					  continues);
		looked = t->len;
		r = read_more(t, ms);
		if (r)
			return r;
	}
}

int talk_call(struct talk *t, const char *method, json_t *parameters,
	      json_t **out)
{
	int r = talk_send(t, method, parameters, NULL, 0, false);

	*out = NULL;
	return r ? r : talk_receive(t, out, NULL, -1);
}
