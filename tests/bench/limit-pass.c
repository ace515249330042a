/*
 * limit-pass - accept and pass each connection to a pool of workers over one
 * SOCK_SEQPACKET pair: what a dispatcher costs that knows nothing.
 *
 * -n N workers (the program that follows, door at descriptor 3), -b N up to
 * so many descriptors a message, -w the words that usher's workers are given
 * (PROTOCOL), here once for a message. It accepts until nobody is there and
 * sleeps in epoll, as whoever has more than one door must; a full queue is
 * waited for.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/un.h>
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

static size_t tcp_words(int fd, char *out, size_t size,
			const struct sockaddr_in *peer)
{
	struct sockaddr_in local;
	socklen_t len = sizeof(local);
	char here[16], there[16];

	getsockname(fd, (struct sockaddr *)&local, &len);
	inet_ntop(AF_INET, &local.sin_addr, here, sizeof(here));
	inet_ntop(AF_INET, &peer->sin_addr, there, sizeof(there));
	return (size_t)snprintf(
		out, size,
		"PROTO=TCP%cTCPREMOTEIP=%s%cTCPREMOTEPORT=%u%cTCPLOCALIP=%s%c"
		"TCPLOCALPORT=%u%cREMOTE_ADDR=%s%cREMOTE_PORT=%u%c",
		0, there, 0, ntohs(peer->sin_port), 0, here, 0,
		ntohs(local.sin_port), 0, there, 0, ntohs(peer->sin_port), 0);
}

static size_t unix_words(int fd, char *out, size_t size)
{
	struct ucred who = {0};
	struct sockaddr_un local = {0};
	socklen_t len = sizeof(who), local_len = sizeof(local);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
	getsockname(fd, (struct sockaddr *)&local, &local_len);
	return (size_t)snprintf(out, size,
				"PROTO=UNIX%cUNIXREMOTEPID=%d%c"
				"UNIXREMOTEEUID=%u%cUNIXREMOTEEGID=%u%c"
				"UNIXLOCALPATH=%s%c",
				0, who.pid, 0, who.uid, 0, who.gid, 0,
				local.sun_path, 0);
}

/* Who the client of FD is, as usher tells it. */
static size_t client_words(int fd, const struct sockaddr *peer, char *out,
			   size_t size)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	size_t n = (size_t)snprintf(out, size, "connection%c", 0);

	if (peer->sa_family == AF_INET)
		n += tcp_words(fd, out + n, size - n, (const void *)peer);
	else
		n += unix_words(fd, out + n, size - n);
	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	n += (size_t)snprintf(out + n, size - n,
			      "SO_COOKIE=%llu%cUSHER_SERVICE=b%c"
			      "USHER_GENERATION=1%c%c",
			      (unsigned long long)cookie, 0, 0, 0, 0);
	return n;
}

static void pass(int queue, int *fds, unsigned n, char *text, size_t len)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * BATCH_MAX)];
	} control;
	struct iovec iov = {text, len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct cmsghdr *c = &control.align;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	while (sendmsg(queue, &msg, MSG_DONTWAIT) < 0) {
		struct pollfd room = {.fd = queue, .events = POLLOUT};

		if (errno != EAGAIN && errno != EINTR)
			die("sendmsg");
		poll(&room, 1, -1);
	}
	while (n)
		close(fds[--n]);
}

static void serve(int listener, int queue, unsigned batch, bool words)
{
	struct sockaddr_storage peer = {0};
	char text[1024] = "connection";
	size_t text_len = sizeof("connection");
	struct epoll_event ev = {.events = EPOLLIN};
	int fds[BATCH_MAX], ep = epoll_create1(EPOLL_CLOEXEC);
	unsigned n = 0;

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		socklen_t len = sizeof(peer);
		int fd = accept4(listener, (struct sockaddr *)&peer, &len,
				 SOCK_CLOEXEC);

		if (fd >= 0)
			fds[n++] = fd;
		if (fd >= 0 && words)
			text_len = client_words(fd, (struct sockaddr *)&peer,
						text, sizeof(text));
		if (n == batch || (fd < 0 && n)) {
			pass(queue, fds, n, text, text_len);
			n = 0;
		}
		if (fd < 0)
			epoll_wait(ep, &ev, 1, -1);
	}
}

int main(int argc, char **argv)
{
	const char *address = NULL;
	bool words = false;
	unsigned batch = 1, n = 2;
	int option, listener, pair[2];

	while ((option = getopt(argc, argv, "+a:n:b:w")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'n')
			n = (unsigned)number(optarg);
		else if (option == 'b')
			batch = (unsigned)number(optarg);
		else if (option == 'w')
			words = true;
		else
			die("limit-pass -a ADDRESS [-n N] [-b N] [-w] WORKER");
	}
	errno = 0;
	if (optind == argc || batch < 1 || batch > BATCH_MAX)
		die("limit-pass: a worker, and a batch of 1 to %d", BATCH_MAX);
	listener = door(address, SOCK_NONBLOCK);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	while (n--)
		start_worker(pair[1], argv + optind);
	serve(listener, pair[0], batch, words);
}
