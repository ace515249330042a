/*
 * limit-accept - accept, write three bytes, close: the least a server does.
 *
 * With -n N so many processes share the listener, which is the limit of
 * `share`; as such a worker (LISTEN_FDS) it also serves under usher. With -e
 * it reads first and writes back what came, as an echo that is asked once.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

static void serve(int listener, bool echo)
{
	char buf[4096] = "ok\n";

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		ssize_t n = 3;

		if (fd < 0)
			continue;
		if (echo)
			n = read(fd, buf, sizeof(buf));
		if (n > 0 && write(fd, buf, (size_t)n) < 0)
			errno = 0; /* the client's loss is the client's count */
		if (echo && read(fd, buf, sizeof(buf)) < 0)
			errno = 0;
		close(fd);
	}
}

int main(int argc, char **argv)
{
	const char *address = NULL;
	bool echo = false;
	int option, fd, n = 1;

	while ((option = getopt(argc, argv, "a:n:e")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'n')
			n = (int)number(optarg);
		else if (option == 'e')
			echo = true;
		else
			die("limit-accept [-a ADDRESS] [-n WORKERS] [-e]");
	}
	signal(SIGPIPE, SIG_IGN);
	fd = door(address, 0);
	for (; n > 1; n--) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(fd, echo);
		}
	}
	serve(fd, echo);
}
