/*
 * load-trigger - writes triggers as fast as they are taken, -j N writers.
 *
 * One write a trigger: "go" and a newline to a FIFO, a datagram, or a
 * connection with "go" and NUL that then waits for the peer's close. With -m
 * N so many distinct messages go round instead of equal ones; -p N puts N
 * triggers into a write (FIFO), as a writer does that is itself in a hurry.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* One cache line a writer, or they would count each other's time. */
struct tally {
	_Alignas(64) _Atomic uint64_t sent;
	_Atomic uint64_t errors;
	_Atomic int error;
};

struct load {
	struct where to;
	unsigned writers, messages, pack;
};

static bool by_socket(const struct where *to, const char *text, size_t len)
{
	char c;
	int fd = dial(to, 0);
	bool ok = fd >= 0;

	if (!ok)
		errno = -fd;
	ok = ok && send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
	ok = ok && recv(fd, &c, 1, 0) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Descriptor of what stays open: a FIFO, or a datagram socket; else -1. */
static int keep_open(const struct where *to)
{
	int fd = -1;

	if (!to->family)
		fd = open(to->path, O_WRONLY | O_CLOEXEC);
	else if (to->type == SOCK_DGRAM)
		fd = dial(to, 0);
	else
		return -1;
	if (fd < 0)
		die("%s", to->path);
	return fd;
}

static void write_on(const struct load *l, struct tally *t, unsigned id)
{
	const struct where *to = &l->to;
	char text[4096];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = keep_open(to);
	for (unsigned i = id;; i++) {
		size_t len = 0;
		bool ok;

		for (unsigned k = 0; k < l->pack; k++) {
			memcpy(text + len, "go", 2);
			len += 2;
			if (l->messages > 1)
				len += (size_t)sprintf(text + len, "%u",
						       (i + k) % l->messages);
			text[len++] = to->family ? '\0' : '\n';
		}
		if (fd < 0)
			ok = by_socket(to, text, len);
		else
			ok = write(fd, text, len) == (ssize_t)len;
		if (ok) {
			atomic_fetch_add_explicit(&t->sent, l->pack,
						  memory_order_relaxed);
			continue;
		}
		atomic_store(&t->error, errno);
		atomic_fetch_add(&t->errors, 1);
	}
}

static uint64_t sum(struct tally *t, unsigned n)
{
	uint64_t sent = 0;

	while (n--)
		sent += atomic_load(&t[n].sent);
	return sent;
}

static void run(struct window *w, const struct load *l)
{
	struct tally *t = mmap(NULL, l->writers * sizeof(*t),
			       PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t before = 0;

	if (t == MAP_FAILED)
		die("mmap");
	for (unsigned i = 0; i < l->writers; i++) {
		if (fork() == 0)
			write_on(l, &t[i], i);
	}
	window_open(w);
	while (window_tick(w)) {
		uint64_t now = sum(t, l->writers);

		window_count(w, now - before);
		before = now;
		usleep(1000);
	}
	for (unsigned i = 0; i < l->writers; i++) {
		if (t[i].errors && !w->errors)
			w->error = t[i].error;
		w->errors += t[i].errors;
	}
	window_print(w);
}

int main(int argc, char **argv)
{
	static struct window w;
	struct load l = {.writers = 1, .messages = 1, .pack = 1};
	const char *address = NULL;
	int option;

	while ((option = getopt(argc, argv, WINDOW_OPTIONS "a:j:m:p:")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'j')
			l.writers = (unsigned)number(optarg);
		else if (option == 'm')
			l.messages = (unsigned)number(optarg);
		else if (option == 'p')
			l.pack = (unsigned)number(optarg);
		else if (!window_option(&w, option, optarg))
			die("load-trigger -a ADDRESS [-j N] [-m N] [-p N]");
	}
	errno = 0;
	if (!address || l.pack < 1 || l.pack > 200)
		die("load-trigger: -a ADDRESS, -p 1 to 200");
	l.to = where(address);
	run(&w, &l);
	return 0;
}
