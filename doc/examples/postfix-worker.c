/*
 * A worker that speaks Postfix's master protocol, in plain C.
 *
 *	cc -o postfix-worker postfix-worker.c
 *
 *	[service greet]
 *	listen = tcp:127.0.0.1:2525
 *	exec = /usr/local/sbin/postfix-worker
 *	protocol = postfix
 *	workers = 0-20
 *
 * It says who is busy, so usher starts another one only when somebody comes
 * and nobody is free. Descriptor 5 is the status channel: TAKEN and AVAIL are
 * written there, and its end is the word to leave. Doors begin at 6.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATUS_FD 5
#define LISTEN_FD 6

enum { TAKEN, AVAIL };

struct status {
	int pid;
	unsigned generation;
	int avail;
};

static unsigned generation;

/* All twelve bytes at once, or the next message would be torn too. */
static void say(int avail)
{
	struct status s = { getpid(), generation, avail };

	/* Nobody listens any more: leave. */
	if (write(STATUS_FD, &s, sizeof(s)) != sizeof(s))
		exit(0);
}

static void serve(int client)
{
	char line[512];
	ssize_t n;

	dprintf(client, "220 worker %d\r\n", (int)getpid());
	n = read(client, line, sizeof(line));
	if (n > 0 && write(client, line, (size_t)n) < 0)
		perror("write");
}

int main(void)
{
	const char *octal = getenv("GENERATION");
	struct pollfd fds[] = {
		{ .fd = STATUS_FD, .events = POLLIN },
		{ .fd = LISTEN_FD, .events = POLLIN },
	};

	/* Octal: the eighth start is "10". */
	generation = octal ? (unsigned)strtoul(octal, NULL, 8) : 0;
	for (;;) {
		int client;

		/* Long without a client: leave, usher starts another. */
		if (poll(fds, 2, 100000) == 0)
			return 0;
		if (fds[0].revents)
			return 0;
		/* Non-blocking: another worker may have been quicker. */
		client = accept(LISTEN_FD, NULL, NULL);
		if (client < 0)
			continue;
		say(TAKEN);
		serve(client);
		close(client);
		say(AVAIL);
	}
}
