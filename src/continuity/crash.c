/*
 * crash - a crash of our own is told from a kill; see crash.h.
 *
 * The handler stores one number into shared memory and lets the signal have
 * its way: its disposition is the default again by then. A sanitizer build
 * keeps the sanitizer's own handlers.
 */
#include "continuity/crash.h"

#include <signal.h>

#include "base/record.h"

#define HEALTHY_MS 10000

static struct timer health;

static void on_crash(int signo)
{
	record_globals()->self_crashes++;
	raise(signo);	/* pending until we return: then it ends us */
}

static void healthy(void *arg)
{
	(void)arg;
	record_globals()->self_crashes = 0;
}

void crash_watch(struct loop *l)
{
	static const int signals[] = {
		SIGABRT,
#ifndef USHER_SANITIZERS
		SIGSEGV, SIGBUS, SIGILL, SIGFPE,
#endif
	};
	struct sigaction sa = { .sa_handler = on_crash,
				.sa_flags = SA_RESETHAND };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
	timer_set(l, &health, HEALTHY_MS, healthy, NULL);
}
