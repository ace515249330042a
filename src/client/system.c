/*
 * system - usher shutdown: told, and waited for.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/net.h"
#include "client/words.h"

/* The process at the other end, as it was when it began to listen; -1. */
static int pidfd_of(const struct talk *t)
{
	struct ucred cred;

	if (!fd_peercred(t->fd, &cred) || cred.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, cred.pid, 0);
}

/* The connection ends, and then the process: shutdown is its last word. */
static void wait_end(struct talk *t, int pidfd)
{
	char byte;

	while (net_read(t->fd, &byte, 1, -1) > 0)
		;
	if (pidfd >= 0)
		net_wait(pidfd, POLLIN, -1);
}

int run_shutdown(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	CLEANUP(fd_closep) int pidfd = -1;
	json_t *p = json_object();
	int r = ask_connect(a);

	if (ask_option(a, "now"))
		json_put_bool(p, "now", true);
	if (r) {
		json_decref(p);
		return r;
	}
	pidfd = pidfd_of(&a->talk);
	r = talk_call(&a->talk, "Shutdown", p, &reply);
	if (r)
		return r;
	wait_end(&a->talk, pidfd);
	json_put_text(reply, "result", "stopped");
	if (!ask_json(a, reply))
		puts("stopped: doors closed, nothing is left");
	return 0;
}
