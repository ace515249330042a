/*
 * worker - a worker of `handoff = pass` in C: each message brings one
 * connection.
 *
 *	cc -o worker worker.c
 *
 *	[service hello]
 *	listen = tcp:*:7000
 *	exec = /usr/local/bin/worker
 *	handoff = pass
 *	workers = 2-8
 *
 * Told to stop (SIGTERM) it finishes the client that it has: the signal is
 * blocked but while it waits. See usher-worker(7).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t leaving;

static void on_term(int signo)
{
	(void)signo;
	leaving = 1;
}

/*
 * The next connection and its words (NAME=VALUE, each ended by NUL). -1: it
 * is time to go, -2: none came, another worker was faster.
 */
static int next_client(int door, char *words, size_t size)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { words, size - 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n = recvmsg(door, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd = -2;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -2 : -1;
	if (n == 0)
		return -1;
	words[n] = 0;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static const char *value(const char *words, const char *name)
{
	size_t n = strlen(name);

	for (; *words; words += strlen(words) + 1)
		if (strncmp(words, name, n) == 0 && words[n] == '=')
			return words + n + 1;
	return "";
}

static void serve(int fd, const char *words)
{
	dprintf(fd, "hello from %d, connection %s\n", (int)getpid(),
		value(words, "SO_COOKIE"));
}

int main(void)
{
	static char words[65536];
	struct sigaction sa = { .sa_handler = on_term };
	const char *number = getenv("USHER_FD");
	int door = number ? atoi(number) : 3;
	sigset_t term, none;

	sigemptyset(&none);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	while (!leaving) {
		struct pollfd wait = { .fd = door, .events = POLLIN };
		int fd;

		if (ppoll(&wait, 1, NULL, &none) < 0)
			continue;
		fd = next_client(door, words, sizeof(words));
		if (fd == -1)
			break;
		if (fd < 0)
			continue;
		serve(fd, words);
		close(fd);
	}
	return 0;
}
