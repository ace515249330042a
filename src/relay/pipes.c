/*
 * pipes - a few pipes of 256 KiB kept for the next direction that needs one.
 *
 * A pipe made for each connection costs a third more in connection rate and
 * 11 KiB each (doc/BENCHMARKS); one from the pool costs nothing. One that
 * waits is a RECORD_WATCH of its own.
 */
#include "relay/relays.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIPE_SIZE (256 * 1024)

/* The record goes first: killed in between, the pipe is nobody's, and empty. */
static bool from_pool(struct relays *h, int *fds)
{
	int record;

	if (h->npipes == 0)
		return false;
	record = h->pipes[--h->npipes];
	fds[0] = record_at(record)->fd[0];
	fds[1] = record_at(record)->fd[1];
	record_forget(record);
	return true;
}

int pipe_take(struct relay *r, int k)
{
	int *at = &record_at(r->record)->fd[2 + 2 * k];
	int fds[2];

	if (!from_pool(r->home, fds)) {
		if (pipe2(fds, O_NONBLOCK) < 0)
			return -errno;
		/* Refused past the user's share: it works with 64 KiB. */
		fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE);
	}
	at[0] = fds[0];
	at[1] = fds[1];
	return 0;
}

static bool to_pool(struct relays *h, const int *fds)
{
	int record;

	if (h->npipes == (int)ARRAY_SIZE(h->pipes))
		return false;
	record = record_new(RECORD_WATCH, h->service->slot, 0);
	if (record < 0)
		return false;
	record_at(record)->fd[0] = fds[0];
	record_at(record)->fd[1] = fds[1];
	record_commit(record);
	h->pipes[h->npipes++] = record;
	return true;
}

void pipe_give(struct relay *r, int k, bool empty)
{
	int *at = &record_at(r->record)->fd[2 + 2 * k];
	int fds[2] = { at[0], at[1] };

	if (fds[0] < 0)
		return;
	at[0] = at[1] = -1;
	if (empty && to_pool(r->home, fds))
		return;
	close(fds[0]);
	close(fds[1]);
}

void pipes_close(struct relays *h)
{
	while (h->npipes > 0)
		record_close(h->pipes[--h->npipes]);
}
