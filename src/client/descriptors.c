/*
 * descriptors - commands that give descriptors to usher or take some:
 * inject, adopt, store, fetch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "client/loot.h"
#include "client/words.h"

static int number(const struct ask *a, const char *option, const char *text,
		  int *out)
{
	int64_t n;

	if (text_number(text, 0, INT32_MAX, &n) < 0)
		return ask_usage(a, "--%s: not '%s'; a number", option, text);
	*out = (int)n;
	return 0;
}

/* The descriptor of --fd, by default standard input. 0 or an exit status. */
static int own_fd(const struct ask *a, int *out)
{
	const char *text = ask_option(a, "fd");
	int r;

	*out = STDIN_FILENO;
	r = text ? number(a, "fd", text, out) : 0;
	if (r)
		return r;
	if (fcntl(*out, F_GETFD) < 0)
		return ask_usage(a, "descriptor %d is not open here; the "
				 "shell gives one with %d<FILE", *out, *out);
	return 0;
}

/* Calls METHOD with N descriptors; the line of result is printed. */
static int give(struct ask *a, const char *method, json_t *p, const int *fds,
		int n)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	int r = talk_send(&a->talk, method, p, fds, n, false);

	if (r == 0)
		r = talk_receive(&a->talk, &reply, NULL, -1);
	if (reply && !ask_json(a, reply) && r == 0)
		puts(json_get_text(reply, "result", "done"));
	return r;
}

int run_inject(struct ask *a)
{
	int fd, r = own_fd(a, &fd);

	if (r == 0)
		r = ask_connect(a);
	return r ? r : give(a, "Inject", json_pack("{s:s}", "service",
						   a->argv[0]), &fd, 1);
}

/* ---- adopt ---- */

static int adopt_one(struct ask *a, int fd)
{
	return give(a, "Adopt", json_pack("{s:s}", "service", a->argv[0]), &fd,
		    1);
}

/* Every socket of the program that is bound there: one for IPv4 and one for
 * IPv6, or one for each of its processes. */
static int adopt_from(struct ask *a, pid_t pid, const char *address)
{
	CLEANUP(freep) char *why = NULL;
	int fds[LOOT_MAX], n, r;

	n = loot_listening(pid, address, fds, &why);
	if (n < 0) {
		fprintf(stderr, "usher adopt: %s\n", why);
		return n == -EPERM ? EXIT_REFUSED : EXIT_FAILED;
	}
	r = ask_connect(a);
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = adopt_one(a, fds[i]);
		close(fds[i]);
	}
	return r;
}

int run_adopt(struct ask *a)
{
	const char *pid = ask_option(a, "pid");
	const char *address = ask_option(a, "listen");
	int fd, r, n = 0;

	if (!pid != !address)
		return ask_usage(a, "--pid PID and --listen ADDRESS go "
				 "together");
	if (pid && ask_option(a, "fd"))
		return ask_usage(a, "either --fd or --pid");
	if (pid) {
		r = number(a, "pid", pid, &n);
		return r ? r : adopt_from(a, n, address);
	}
	r = own_fd(a, &fd);
	if (r == 0)
		r = ask_connect(a);
	return r ? r : adopt_one(a, fd);
}

/* ---- store ---- */

static void print_stored(const json_t *item)
{
	double left = json_get_real(item, "expires", -1);

	printf("%-32s %4lld %6lld", json_get_text(item, "name", ""),
	       (long long)json_get_int(item, "descriptors", 0),
	       (long long)json_get_int(item, "uid", 0));
	if (left >= 0)
		printf(" %.0fs", left);
	putchar('\n');
}

static int list_store(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	const json_t *names, *item;
	int r = ask_reply(a, "ListStore", NULL, &reply);
	size_t i;

	if (r || !reply)
		return r;
	names = json_object_get(reply, "names");
	printf("%zu name%s\n", json_array_size(names),
	       json_array_size(names) == 1 ? "" : "s");
	if (json_array_size(names))
		printf("%-32s %4s %6s %s\n", "NAME", "FDS", "UID", "EXPIRES");
	json_array_foreach(names, i, item)
		print_stored(item);
	return 0;
}

int run_store(struct ask *a)
{
	const char *expire = ask_option(a, "expire");
	int fds[64] = { STDIN_FILENO }, n = a->nall ? a->nall : 1, r = 0;
	json_t *p;

	if (ask_option(a, "list"))
		return a->argc ? ask_usage(a, "--list takes no name")
			       : list_store(a);
	if (!a->argc)
		return ask_usage(a, "a name is missing");
	for (int i = 0; i < a->nall && r == 0; i++)
		r = number(a, "fd", a->all[i], &fds[i]);
	for (int i = 0; i < n && r == 0; i++)
		if (fcntl(fds[i], F_GETFD) < 0)
			r = ask_usage(a, "descriptor %d is not open here",
				      fds[i]);
	if (r == 0)
		r = ask_connect(a);
	if (r)
		return r;
	p = json_pack("{s:s}", "name", a->argv[0]);
	if (expire)
		json_put_text(p, "expire", expire);
	return give(a, "Store", p, fds, n);
}

/* ---- fetch ---- */

/* Descriptors to 3 and up, open through exec. None of them may be trodden on
 * by another's new place: first all go above, then down. */
static int place(int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		int up = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + n);

		if (up < 0)
			return -errno;
		close(fds[i]);
		fds[i] = up;
	}
	for (int i = 0; i < n; i++)
		if (dup2(fds[i], 3 + i) < 0)
			return -errno;
	return 0;
}

static void set_words(const json_t *names, int n)
{
	CLEANUP(freep) char *list = xstrdup("");
	char number_text[16];
	const json_t *name;
	size_t i;

	json_array_foreach((json_t *)names, i, name) {
		char *more = xasprintf("%s%s%s", list, i ? ":" : "",
				       json_string_value(name));

		free(list);
		list = more;
	}
	snprintf(number_text, sizeof(number_text), "%d", n);
	setenv("LISTEN_FDS", number_text, 1);
	snprintf(number_text, sizeof(number_text), "%d", (int)getpid());
	setenv("LISTEN_PID", number_text, 1);
	setenv("LISTEN_FDNAMES", list, 1);
	unsetenv("LISTEN_PIDFDID");
}

static int become(struct ask *a, const json_t *names)
{
	struct talk *t = &a->talk;
	int r;

	/* The connection's own descriptor may lie where one must go. */
	fd_closep(&t->fd);
	r = place(t->fds, t->nfds);
	if (r == 0) {
		set_words(names, t->nfds);
		execvp(a->argv[1], a->argv + 1);
		r = -errno;
	}
	talk_complain(t, "%s: %s", a->argv[1], strerror(-r));
	return EXIT_FAILED;
}

int run_fetch(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	json_t *p;
	int r = ask_connect(a);

	if (r)
		return r;
	p = json_pack("{s:s}", "name", a->argv[0]);
	if (ask_option(a, "lease"))
		json_put_bool(p, "lease", true);
	r = talk_call(&a->talk, "Fetch", p, &reply);
	if (r) {
		if (reply)
			ask_json(a, reply);
		return r;
	}
	if ((size_t)a->talk.nfds !=
	    json_array_size(json_object_get(reply, "names"))) {
		talk_complain(&a->talk, "%d descriptors came, not as many as "
			      "names; too many are open here (ulimit -n)",
			      a->talk.nfds);
		return EXIT_FAILED;
	}
	return become(a, json_object_get(reply, "names"));
}
