/*
 * manager - what is told to the service manager; see manager.h.
 *
 * NOTIFY_SOCKET is read each time; workers never see it, since their
 * environment begins empty (work/launch).
 */
#include "manager.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

#define RETRY_MS 100

static struct {
	struct timer dog, retry;
	struct loop *loop;
	int64_t every;		/* ms */
	char pending[64];	/* a word that the manager did not take yet */
} mg;

void manager_open(void)
{
	uint64_t us = 0;

	if (sd_watchdog_enabled(0, &us) > 0)
		mg.every = (int64_t)(us / 2000);
}

/* As sd_notify(), which waits where the manager does not read: that must not
 * hold the loop up. 0 or -errno. */
static int tell_gently(const char *text)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	int fd, r = 0;

	if (len < 2 || len >= sizeof(sa.sun_path) || !strchr("/@", *path))
		return 0;
	memcpy(sa.sun_path, path, len + 1);
	if (*path == '@')
		sa.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	len += offsetof(struct sockaddr_un, sun_path) + (*path == '/');
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (void *)&sa,
		   (socklen_t)len) < 0)
		r = -errno;
	close(fd);
	return r;
}

static void retry(void *arg)
{
	(void)arg;
	if (tell_gently(mg.pending) != -EAGAIN)
		*mg.pending = 0;
	else if (mg.loop)
		timer_set(mg.loop, &mg.retry, RETRY_MS, retry, NULL);
}

/* Must arrive, if late: the last word holds, since it ends what those before
 * it began. */
static void tell(const char *text)
{
	snprintf(mg.pending, sizeof(mg.pending), "%s", text);
	retry(NULL);
}

static void alive(void *arg)
{
	tell_gently("WATCHDOG=1");
	timer_set(mg.loop, &mg.dog, mg.every, alive, arg);
}

void manager_watchdog(struct loop *l)
{
	mg.loop = l;
	if (*mg.pending)
		retry(NULL);
	if (mg.every > 0)
		alive(NULL);
}
#else
static void tell(const char *text)
{
	(void)text;
}

static int tell_gently(const char *text)
{
	(void)text;
	return 0;
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
	static char told[256];
	char text[256] = "STATUS=";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + 7, sizeof(text) - 7, fmt, ap);
	va_end(ap);
	/* Once, until it differs; one that was not taken is told again. */
	if (strcmp(text, told) != 0 && tell_gently(text) == 0)
		strcpy(told, text);
}
