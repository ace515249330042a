/*
 * log - one line for one event; see log.h.
 *
 * A line is one datagram (journal, syslog) or one write of at most PIPE_BUF
 * bytes after poll said that there is room (standard error), so nothing
 * waits and lines of several processes do not mix. A terminal calls itself
 * writable when there is room for one byte, and would be waited for: it is
 * opened a second time, without waiting.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/record.h"
#include "base/text.h"

#define JOURNAL_PATH "/run/systemd/journal/socket"
#define SYSLOG_PATH  "/dev/log"
#define LINE_MAX_OUT 4096

static struct {
	enum log_target target;
	enum log_level level;
	int fd;			/* standard error: a terminal's, or < 0 */
	bool torn;		/* the last line's end did not go through */
	uint64_t dropped, told;
	log_tap_fn *tap;
	void *tap_arg;
} lg = { .target = LOG_STDERR, .level = LOG_LEVEL_INFO, .fd = -1 };

static const struct {
	const char *word;
	enum log_level level;
} levels[] = {
	{ "error", LOG_LEVEL_ERROR },	{ "warning", LOG_LEVEL_WARNING },
	{ "notice", LOG_LEVEL_NOTICE }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};

const char *log_level_name(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (levels[i].level == level)
			return levels[i].word;
	return NULL;
}

int log_level_parse(const char *word, enum log_level *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i].word, word) == 0) {
			*out = levels[i].level;
			return 0;
		}
	return -EINVAL;
}

/* Those below are given out by number when the state is opened. */
static int lift(int low)
{
	int fd, r;

	if (low < 0)
		return -errno;
	fd = fcntl(low, F_DUPFD_CLOEXEC, RECORD_LOW);
	r = -errno;
	close(low);
	return fd < 0 ? r : fd;
}

static int open_socket(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = lift(socket(AF_UNIX,
			     SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	int r;

	if (fd < 0)
		return fd;
	strcpy(sa.sun_path, path);
	if (connect(fd, (void *)&sa, sizeof(sa)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int log_open(enum log_target target)
{
	int fd;

	if (target == LOG_AUTO)
		target = getenv("JOURNAL_STREAM") ? LOG_JOURNAL : LOG_STDERR;
	log_close();
	lg.target = LOG_STDERR;
	if (target == LOG_STDERR) {
		/* Another's terminal can't be opened; it is written to. */
		if (isatty(STDERR_FILENO))
			lg.fd = lift(open("/proc/self/fd/2",
					  O_WRONLY | O_NOCTTY | O_NONBLOCK |
						  O_CLOEXEC));
		return 0;
	}
	fd = open_socket(target == LOG_JOURNAL ? JOURNAL_PATH : SYSLOG_PATH);
	if (fd < 0)
		return fd;
	lg.fd = fd;
	lg.target = target;
	return 0;
}

void log_close(void)
{
	fd_closep(&lg.fd);
	lg.target = LOG_STDERR;
}

enum log_target log_where(void)
{
	return lg.target;
}

void log_set_level(enum log_level level)
{
	lg.level = level;
}

enum log_level log_get_level(void)
{
	return lg.level;
}

void log_tap(log_tap_fn *fn, void *arg)
{
	lg.tap = fn;
	lg.tap_arg = arg;
}

uint64_t log_dropped(void)
{
	return lg.dropped;
}

/* ---- writing ---- */

/* What was stopped for a while, or is started anew, is looked for again. */
static bool put_socket(const char *p, size_t n)
{
	if (lg.fd >= 0) {
		if (send(lg.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return true;
		if (errno != ECONNREFUSED && errno != ENOTCONN &&
		    errno != ECONNRESET)
			return false;
		fd_closep(&lg.fd);
	}
	lg.fd = open_socket(lg.target == LOG_JOURNAL ? JOURNAL_PATH
						     : SYSLOG_PATH);
	return lg.fd >= 0 &&
	       send(lg.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool put_stderr(const char *p, size_t n)
{
	struct pollfd pfd = { .fd = lg.fd < 0 ? STDERR_FILENO : lg.fd,
			      .events = POLLOUT };
	ssize_t done;

	if (poll(&pfd, 1, 0) < 1 || !(pfd.revents & POLLOUT))
		return false;
	if (lg.torn && write(pfd.fd, "\n", 1) < 1)
		return false;
	done = write(pfd.fd, p, n);
	lg.torn = done > 0 && (size_t)done < n;
	return done == (ssize_t)n;
}

static bool put(const char *p, size_t n)
{
	return lg.target == LOG_STDERR ? put_stderr(p, n) : put_socket(p, n);
}

static size_t prefix(char *buf, size_t room, const struct log_about *a)
{
	int n = 0;

	if (a && a->service && a->pid)
		n = snprintf(buf, room, "%s[%d]: ", a->service, (int)a->pid);
	else if (a && a->service)
		n = snprintf(buf, room, "%s: ", a->service);
	return n > 0 ? (size_t)n : 0;
}

static size_t format_plain(char *buf, enum log_level level,
			   const struct log_about *a, const char *text)
{
	size_t n = (size_t)snprintf(buf, LINE_MAX_OUT, "usher: %s: ",
				    log_level_name(level));
	int m;

	n += prefix(buf + n, LINE_MAX_OUT - n, a);
	m = snprintf(buf + n, LINE_MAX_OUT - n - 1, "%s", text);
	n += (size_t)m < LINE_MAX_OUT - n - 1 ? (size_t)m
					       : LINE_MAX_OUT - n - 2;
	buf[n++] = '\n';
	return n;
}

/* RFC 3164 as syslog(3) writes it to the local socket. */
static size_t format_syslog(char *buf, enum log_level level,
			    const struct log_about *a, const char *text)
{
	time_t now = time(NULL);
	char date[32] = "";
	struct tm tm;
	size_t n;
	int m;

	if (localtime_r(&now, &tm))
		strftime(date, sizeof(date), "%b %e %T", &tm);
	n = (size_t)snprintf(buf, LINE_MAX_OUT, "<%d>%s usher[%d]: ",
			     (3 << 3) | (int)level, date, (int)getpid());
	n += prefix(buf + n, LINE_MAX_OUT - n, a);
	m = snprintf(buf + n, LINE_MAX_OUT - n, "%s", text);
	return (size_t)m < LINE_MAX_OUT - n ? n + (size_t)m : LINE_MAX_OUT - 1;
}

/* NAME=VALUE lines; a value with a newline would need the binary form, and a
 * line of ours has none (log_write sees to that). */
static size_t format_journal(char *buf, enum log_level level,
			     const struct log_about *a, const char *text)
{
	size_t n = (size_t)snprintf(buf, LINE_MAX_OUT,
				    "PRIORITY=%d\nSYSLOG_IDENTIFIER=usher\n",
				    (int)level);
#define FIELD(has, ...)                                              \
	do {                                                         \
		if (has)                                             \
			n += (size_t)snprintf(buf + n,               \
				LINE_MAX_OUT - n, __VA_ARGS__);      \
	} while (0)
	if (a) {
		FIELD(a->service, "USHER_SERVICE=%.64s\n", a->service);
		FIELD(a->pid, "USHER_PID=%d\n", (int)a->pid);
		FIELD(a->cookie, "USHER_COOKIE=%llu\n",
		      (unsigned long long)a->cookie);
		FIELD(a->event, "USHER_EVENT=%.64s\n", a->event);
		FIELD(a->source, "USHER_SOURCE=%.128s\n", a->source);
	}
#undef FIELD
	n += (size_t)snprintf(buf + n, LINE_MAX_OUT - n, "MESSAGE=");
	n += prefix(buf + n, LINE_MAX_OUT - n, a);
	n += (size_t)snprintf(buf + n, LINE_MAX_OUT - n, "%s", text);
	if (n > LINE_MAX_OUT - 1)
		n = LINE_MAX_OUT - 1;
	buf[n++] = '\n';
	return n;
}

static bool emit(enum log_level level, const struct log_about *a,
		 const char *text)
{
	char line[LINE_MAX_OUT];
	size_t n;

	if (lg.target == LOG_JOURNAL)
		n = format_journal(line, level, a, text);
	else if (lg.target == LOG_SYSLOG)
		n = format_syslog(line, level, a, text);
	else
		n = format_plain(line, level, a, text);
	return put(line, n);
}

static void tell_dropped(void)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu log lines could not be written",
		 (unsigned long long)(lg.dropped - lg.told));
	if (emit(LOG_LEVEL_WARNING, NULL, text))
		lg.told = lg.dropped;
}

void log_write(enum log_level level, const struct log_about *about,
	       const char *fmt, ...)
{
	char text[LINE_MAX_OUT - 512];
	va_list ap;
	int saved = errno;

	if (level > lg.level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* One event, one line: what somebody else's text brings is shown. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			*p = '?';
	if (lg.dropped != lg.told)
		tell_dropped();
	if (!emit(level, about, text))
		lg.dropped++;
	if (lg.tap)
		lg.tap(lg.tap_arg, level, about, text);
	errno = saved;
}
