/*
 * worker-pass - a worker of `pass`: takes connections at descriptor 3, writes
 * three bytes to each and closes it.
 *
 * The same program serves behind usher and behind limit-pass, so that the
 * difference between them is the dispatcher's. A receive of 0 bytes ends it.
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX 16

static void serve(const struct msghdr *msg)
{
	struct msghdr *m = (struct msghdr *)msg;
	struct cmsghdr *c;
	int fds[MAX];

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_type != SCM_RIGHTS || n > MAX)
			continue;
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		for (size_t i = 0; i < n; i++) {
			(void)!write(fds[i], "ok\n", 3);
			close(fds[i]);
		}
	}
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		union {
			struct cmsghdr align;
			char buf[CMSG_SPACE(sizeof(int) * MAX)];
		} control;
		static char words[65536];
		struct iovec iov = {words, sizeof(words)};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = &control,
				     .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(3, &msg, MSG_CMSG_CLOEXEC);

		if (n <= 0)
			return n < 0;
		serve(&msg);
	}
}
