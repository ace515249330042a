/*
 * manager - what is told to the service manager; see manager.h.
 *
 * sd_notify() reads NOTIFY_SOCKET each time; workers never see it, since
 * their environment begins empty (work/launch).
 */
#include "manager.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

static struct {
	struct timer dog;
	struct loop *loop;
	int64_t every;	/* ms */
} mg;

void manager_open(void)
{
	uint64_t us = 0;

	if (sd_watchdog_enabled(0, &us) > 0)
		mg.every = (int64_t)(us / 2000);
}

static void tell(const char *text)
{
	sd_notify(0, text);
}

static void alive(void *arg)
{
	tell("WATCHDOG=1");
	timer_set(mg.loop, &mg.dog, mg.every, alive, arg);
}

void manager_watchdog(struct loop *l)
{
	mg.loop = l;
	if (mg.every > 0)
		alive(NULL);
}
#else
static void tell(const char *text)
{
	(void)text;
}

void manager_open(void)
{
}

void manager_watchdog(struct loop *l)
{
	(void)l;
}
#endif

void manager_ready(void)
{
	tell("READY=1");
}

void manager_reloading(void)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)loop_us());
	tell(text);
}

void manager_stopping(void)
{
	tell("STOPPING=1\nSTATUS=draining");
}

void manager_status(const char *fmt, ...)
{
	char text[256] = "STATUS=";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + 7, sizeof(text) - 7, fmt, ap);
	va_end(ap);
	tell(text);
}
