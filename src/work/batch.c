/*
 * batch - several connections in a message, where they come in bursts.
 *
 * What is accepted in a round of the loop is collected, and goes at the
 * round's end or when a message is full. What finds no room waits in the
 * state, each for itself.
 */
#include <unistd.h>

#include "base/fd.h"
#include "work/pass.h"

uint32_t batch_size(const struct generation *g)
{
	int64_t batch = g->queue ? g->conf->batch : 1;

	return (uint32_t)(batch > FD_BATCH ? FD_BATCH : batch < 1 ? 1 : batch);
}

/* Words for as many of N as fit; how many. */
static uint32_t write_words(struct pool *p, const struct target *t,
			    const struct conn *c, uint32_t n,
			    struct message *m)
{
	struct message_load load = pass_load(p, t->q);
	uint32_t i;

	for (i = 0; i < n; i++, load.queued++)
		if (!message_connection(m, p->service, t->g->number, &c[i],
					&load))
			break;
	return i;
}

/* One message. How many are on their way, 0: nowhere to go now. */
static uint32_t send_some(struct pool *p, struct conn *c, uint32_t n)
{
	char words[QUEUE_MESSAGE];
	struct message m = { .buf = words, .room = sizeof(words) };
	struct held *held[FD_BATCH];
	int fds[FD_BATCH];
	struct target t;
	uint32_t left, size;

	if (p->held || !pass_aim(p, NULL, &t))
		return 0;
	size = batch_size(t.g);
	left = t.w ? 1 : queue_left(t.q, n < size ? n : size);
	if (left > size)
		left = size;
	n = write_words(p, &t, c, n < left ? n : left, &m);
	for (uint32_t i = 0; i < n; i++) {
		fds[i] = c[i].fd;
		held[i] = reports_hand(p, &c[i], NULL, &t);
	}
	if (n == 0 || pass_hand(&t, &m, fds, (int)n, n) < 0) {
		while (n > 0)
			n--, reports_cancel(p, held[n], &c[n]);
		return 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		close(fds[i]);
		pass_gone_on(p, &c[i], held[i]);
	}
	pass_want_workers(p, t.g);
	return n;
}

void batch_flush(struct pool *p)
{
	struct pass *pass = pass_of(p);
	uint32_t done = 0, n = pass->npending, k;

	pass->npending = 0;
	task_cancel(p->service->u->loop, &pass->flush);
	while (done < n && (k = send_some(p, pass->pending + done, n - done)))
		done += k;
	if (done < n)
		pass_no_room(p);
	for (; done < n; done++)
		arrival_return(p->service, &pass->pending[done]);
}

static void on_flush(void *arg)
{
	batch_flush(arg);
}

void batch_collect(struct pool *p, struct conn *c)
{
	struct pass *pass = pass_of(p);

	if (!pass->pending)
		pass->pending = xcalloc(FD_BATCH, sizeof(*pass->pending));
	pass->pending[pass->npending++] = *c;
	if (pass->npending >= batch_size(p->current))
		batch_flush(p);
	else if (!pass->flush.set)
		task_set(p->service->u->loop, &pass->flush, on_flush, p);
}

void batch_end(struct pool *p)
{
	struct pass *pass = pass_of(p);

	for (uint32_t i = 0; i < pass->npending; i++)
		close(pass->pending[i].fd);
	pass->npending = 0;
	task_cancel(p->service->u->loop, &pass->flush);
	free(pass->pending);
}
