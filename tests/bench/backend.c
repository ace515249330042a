/*
 * backend - what stands behind a relay: -m says what it does with a client.
 *
 * echo writes back what it reads; three writes three bytes and closes; source
 * writes without end; sink reads without end; both does the two at once.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static char buf[256 * 1024];

/* Each returns false once the client has gone. */
typedef bool serve_fn(int fd, uint32_t events);

static bool gone(ssize_t n)
{
	return n == 0 || (n < 0 && errno != EAGAIN);
}

static bool echo(int fd, uint32_t events)
{
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	(void)events;
	if (n > 0)
		n = send(fd, buf, (size_t)n, MSG_NOSIGNAL);
	return !gone(n);
}

static bool source(int fd, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		return false;
	return !gone(send(fd, buf, sizeof(buf), MSG_NOSIGNAL));
}

/* MSG_TRUNC: TCP throws the bytes away where they are. */
static bool sink(int fd, uint32_t events)
{
	(void)events;
	return !gone(recv(fd, buf, sizeof(buf), MSG_TRUNC));
}

static bool both(int fd, uint32_t events)
{
	if ((events & EPOLLIN) && !sink(fd, events))
		return false;
	return !(events & EPOLLOUT) || source(fd, events);
}

static bool three(int fd, uint32_t events)
{
	(void)events;
	(void)!send(fd, "ok\n", 3, MSG_NOSIGNAL);
	return false;
}

static const struct mode {
	const char *name;
	serve_fn *serve;
	uint32_t events;
} modes[] = {
	{"echo", echo, EPOLLIN},
	{"three", three, 0}, /* served at once */
	{"source", source, EPOLLOUT | EPOLLRDHUP},
	{"sink", sink, EPOLLIN},
	{"both", both, EPOLLIN | EPOLLOUT | EPOLLRDHUP},
};

static void on_door(int ep, int listener, const struct mode *mode)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event ev = {.events = mode->events, .data.fd = fd};

		if (!mode->events && !mode->serve(fd, 0))
			close(fd);
		else
			epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	}
}

static void run(int listener, const struct mode *mode)
{
	struct epoll_event evs[64];
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(ep, evs, ARRAY_SIZE(evs), -1);

		for (int i = 0; i < n; i++) {
			int fd = evs[i].data.fd;

			if (fd == listener)
				on_door(ep, listener, mode);
			else if (!mode->serve(fd, evs[i].events))
				close(fd);
		}
	}
}

int main(int argc, char **argv)
{
	const char *address = NULL, *name = "echo";
	int option;

	while ((option = getopt(argc, argv, "a:m:")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'm')
			name = optarg;
		else
			die("backend -a ADDRESS -m "
			    "echo|three|source|sink|both");
	}
	signal(SIGPIPE, SIG_IGN);
	all_descriptors();
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].name, name) == 0)
			run(door(address, SOCK_NONBLOCK), &modes[i]);
	}
	errno = 0;
	die("backend: %s: no such mode", name);
}
