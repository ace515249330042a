/*
 * loop-cost - what one event costs usher's loop among so many others.
 *
 * -w WATCHES that never have anything to say, -n TIMERS that are far away. One
 * eventfd is always ready; its callback reads it, sets a timer anew, as an
 * idle time-out is at each byte, and writes to it again. Prints nanoseconds an
 * event. Linked with usher's own code.
 */
#include "base/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/record.h"

#define HOUR 3600000

struct bench {
	struct loop *loop;
	struct timer *timers;
	size_t n, next;
	int fd;
	int64_t end;
	uint64_t events;
};

static void never(void *arg)
{
	(void)arg;
	abort();
}

static void silent(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	abort();
}

static void on_event(void *arg, uint32_t events)
{
	struct bench *b = arg;
	uint64_t one = 1;

	(void)events;
	if (read(b->fd, &one, sizeof(one)) != sizeof(one))
		abort();
	/* A stride that is prime to any number we are asked for. */
	b->next = (b->next + 7919) % b->n;
	timer_set(b->loop, &b->timers[b->next], HOUR, never, b);
	one = 1;
	if (write(b->fd, &one, sizeof(one)) != sizeof(one))
		abort();
	if (++b->events % 256 == 0 && loop_us() >= b->end)
		loop_stop(b->loop);
}

static int watch(struct bench *b, unsigned value, loop_fn *fn)
{
	int index = record_new(RECORD_WATCH, RECORD_NOBODY, 0);
	int fd = eventfd(value, EFD_NONBLOCK);

	if (index < 0 || fd < 0)
		return -1;
	record_set_fd(index, 0, fd);
	record_commit(index);
	if (loop_watch(b->loop, index, 0, EPOLLIN, fn, b) < 0)
		return -1;
	return fd;
}

static int fill(struct bench *b, long watches)
{
	b->timers = calloc(b->n, sizeof(*b->timers));
	if (!b->timers)
		return -1;
	for (size_t i = 0; i < b->n; i++)
		timer_set(b->loop, &b->timers[i], HOUR + (int64_t)i, never, b);
	while (watches--) {
		if (watch(b, 0, silent) < 0)
			return -1;
	}
	b->fd = watch(b, 1, on_event);
	return b->fd;
}

int main(int argc, char **argv)
{
	struct bench b = {.n = 1};
	long watches = 0;
	double seconds = 1;
	int option;
	int64_t begin;

	while ((option = getopt(argc, argv, "w:n:t:")) != -1) {
		if (option == 'w')
			watches = atol(optarg);
		else if (option == 'n')
			b.n = strtoull(optarg, NULL, 10);
		else if (option == 't')
			seconds = atof(optarg);
		else
			return 2;
	}
	if (!b.n || record_open((uint32_t)watches + 1024, 16) < 0 ||
	    loop_open(&b.loop, false) < 0 || fill(&b, watches) < 0) {
		perror("loop-cost");
		return 1;
	}
	begin = loop_us();
	b.end = begin + (int64_t)(seconds * 1e6);
	loop_run(b.loop);
	printf("{\"events\": %llu, \"each\": %.1f}\n",
	       (unsigned long long)b.events,
	       (double)(loop_us() - begin) * 1e3 / (double)b.events);
	for (size_t i = 0; i < b.n; i++)
		timer_cancel(b.loop, &b.timers[i]);
	loop_close(&b.loop);
	record_shutdown();
	free(b.timers);
	return 0;
}
