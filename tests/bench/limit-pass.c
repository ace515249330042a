/*
 * limit-pass - accept and pass each connection to a pool of workers over one
 * SOCK_SEQPACKET pair: what a dispatcher costs that knows nothing.
 *
 * -n N workers (the program that follows, door at descriptor 3), -b N up to
 * so many descriptors a message. It accepts until nobody is there and sleeps in
 * epoll, as whoever has more than one door must; a full queue is waited for.
 */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BATCH_MAX 16

static void start_worker(int door_fd, char **argv)
{
	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(door_fd, 3);
	execv(argv[0], argv);
	die("%s", argv[0]);
}

static void pass(int queue, int *fds, unsigned n)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * BATCH_MAX)];
	} control;
	char word[] = "connection";
	struct iovec iov = { word, sizeof(word) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = &control.align;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	while (sendmsg(queue, &msg, MSG_DONTWAIT) < 0) {
		struct pollfd room = { .fd = queue, .events = POLLOUT };

		if (errno != EAGAIN && errno != EINTR)
			die("sendmsg");
		poll(&room, 1, -1);
	}
	while (n)
		close(fds[--n]);
}

static void serve(int listener, int queue, unsigned batch)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fds[BATCH_MAX], ep = epoll_create1(EPOLL_CLOEXEC);
	unsigned n = 0;

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			fds[n++] = fd;
		if (n == batch || (fd < 0 && n)) {
			pass(queue, fds, n);
			n = 0;
		}
		if (fd < 0)
			epoll_wait(ep, &ev, 1, -1);
	}
}

int main(int argc, char **argv)
{
	const char *address = NULL;
	unsigned batch = 1, n = 2;
	int option, listener, pair[2];

	while ((option = getopt(argc, argv, "+a:n:b:")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'n')
			n = (unsigned)number(optarg);
		else if (option == 'b')
			batch = (unsigned)number(optarg);
		else
			die("limit-pass -a ADDRESS [-n N] [-b N] WORKER");
	}
	errno = 0;
	if (optind == argc || batch < 1 || batch > BATCH_MAX)
		die("limit-pass: a worker, and a batch of 1 to %d", BATCH_MAX);
	listener = door(address, SOCK_NONBLOCK);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	while (n--)
		start_worker(pair[1], argv + optind);
	serve(listener, pair[0], batch);
}
