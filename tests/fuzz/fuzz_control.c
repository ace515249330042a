/*
 * fuzz_control - any bytes, in any pieces, with any number of descriptors, at
 * the control socket.
 *
 * A real server on a real socket with one service that is not enabled. The
 * first byte says in what pieces, the second how many descriptors go along,
 * the third at which level; never admin, whose commands end processes. When
 * the client has gone nothing of it may be left, least of all a descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "action/action.h"
#include "base/fd.h"
#include "base/net.h"
#include "base/record.h"
#include "control/server.h"
#include "fuzz.h"
#include "inlet/arrival.h"

static struct usher u;
static char dir[] = "/tmp/usher-fuzz-XXXXXX";

static void on_room(struct service *s)
{
	arrival_room(s);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void turn(void)
{
	struct timer t = { 0 };

	timer_set(u.loop, &t, 0, stop, u.loop);
	loop_run(u.loop);
}

static int next_number(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, RECORD_LOW);

	close(fd);
	return fd;
}

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_control: %s\n", what);
	abort();
}

static void clear_away(void)
{
	unlink(u.conf->control.path);
	rmdir(dir);
}

static void open_house(void)
{
	static char text[512];
	struct conf_source source = { .path = "f", .text = text };
	struct conf_report report = { 0 };
	char *why = NULL;
	int r;

	check(mkdtemp(dir) != NULL, "directory");
	snprintf(text, sizeof(text), "[usher]\ncontrol = unix:%s/c\n"
		 "keeper = no\n[service s]\nlisten = unix:%s/s\n"
		 "builtin = discard\nenabled = no\n", dir, dir);
	source.len = strlen(text);
	r = conf_load(&source, &u.conf, &report);
	check(r == 0, report.errors.n ? report.errors.v[0] : "configuration");
	conf_report_free(&report);
	check(record_open(256, 16) == 0, "state");
	check(loop_open(&u.loop, false) == 0, "loop");
	log_set_level(LOG_LEVEL_ERROR);
	TAILQ_INIT(&u.services);
	TAILQ_INIT(&u.gone);
	TAILQ_INIT(&u.leaving);
	u.by_slot = calloc(slot_max(), sizeof(*u.by_slot));
	u.on_room = on_room;
	check(action_open(&u, u.conf) == 0, "services");
	check(control_open(&u, &why) == 0, "control");
	turn();
	atexit(clear_away);
}

static int connect_control(void)
{
	struct control *c = u.control;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			0);

	check(connect(fd, &c->addr.names[0].u.sa, c->addr.names[0].len) == 0,
	      "connect");
	turn();
	return fd;
}

static void read_all(int fd)
{
	char buf[65536];
	int fds[FD_MESSAGE_MAX];
	struct fd_message m = { .buf = buf, .size = sizeof(buf), .fds = fds,
				.max = FD_MESSAGE_MAX };

	while (fd_receive(fd, &m, MSG_DONTWAIT) > 0)
		fd_message_drop(&m);
}

/* A connected socket to be given away. Not the client's own: its end would be
 * seen only when patience with what holds it is over. */
static int given = -1;

static void give(void)
{
	int pair[2];

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
	      "socketpair");
	given = pair[0];
}

/* Behind a call without an end, as of who watches, no more is read. */
#define UNREAD_TURNS 100

/* Sends in pieces, the first of each kind with descriptors. */
static void send_pieces(int fd, const uint8_t *data, size_t size,
			size_t piece, int nfds)
{
	int fds[FD_BATCH], unread = 0;

	for (int i = 0; i < nfds; i++)
		fds[i] = i % 3 ? STDERR_FILENO : given;
	for (size_t at = 0; at < size;) {
		size_t n = size - at < piece ? size - at : piece;
		ssize_t sent = fd_send(fd, data + at, n, fds, nfds, 0);

		if (sent < 0 && (sent != -EAGAIN || ++unread > UNREAD_TURNS))
			return;		/* it was dropped, or it waits */
		turn();
		read_all(fd);
		at += sent > 0 ? (size_t)sent : 0;
		nfds = 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control *c;
	int fd, lowest;

	if (!u.control)
		open_house();
	if (size < 3 || size > 4096)
		return 0;
	c = u.control;
	/* Each time anew: libFuzzer opens some of its own between inputs. */
	if (given < 0)
		give();
	lowest = next_number();
	fd = connect_control();
	check(!TAILQ_EMPTY(&c->clients), "client");
	TAILQ_FIRST(&c->clients)->level =
		(enum conf_level)(data[2] % (LEVEL_OPERATE + 1));
	send_pieces(fd, data + 3, size - 3, data[0] + 1u,
		    data[1] % (FD_BATCH + 1));
	shutdown(fd, SHUT_WR);
	turn();
	read_all(fd);
	close(fd);
	/* Answers come in slices of time, and a machine may have little. */
	for (int i = 0; i < 10000 && !TAILQ_EMPTY(&c->clients); i++)
		turn();
	check(TAILQ_EMPTY(&c->clients), "a client is left");
	check(TAILQ_EMPTY(&c->calls), "a call is left");
	check(next_number() == lowest, "a descriptor is left");
	return 0;
}
