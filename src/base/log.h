/*
 * log - one line for one event, to the journal, to standard error or syslog.
 *
 * Never blocks: a line that a full pipe or a stopped journald does not take
 * is dropped and counted, and the count is told with the next line that goes
 * through. The journal is spoken to in its native protocol
 * (systemd.io/JOURNAL_NATIVE_PROTOCOL), so that a service, a pid, a peer are
 * fields: journalctl USHER_SERVICE=web.
 */
#ifndef USHER_BASE_LOG_H
#define USHER_BASE_LOG_H

#include <stdint.h>
#include <sys/types.h>

#include "base/mem.h"

/* syslog(3)'s numbers, so that they serve journal and syslog as they are. */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

enum log_target { LOG_AUTO, LOG_JOURNAL, LOG_STDERR, LOG_SYSLOG };

/* What a line is about; what is NULL or 0 is left out. */
struct log_about {
	const char *service;
	pid_t pid;		/* a worker's */
	uint64_t cookie;	/* a connection's */
	const char *event;	/* a short name: worker-exit, refused ... */
	const char *source;	/* a peer's address */
};

/* LOG_AUTO: the journal when systemd started us (JOURNAL_STREAM), else
 * standard error. Returns 0 or -errno, and then standard error is used. */
int log_open(enum log_target target);
/* Where lines go: LOG_JOURNAL, LOG_STDERR or LOG_SYSLOG. */
enum log_target log_where(void);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "error" ... "debug", or NULL; -EINVAL for an unknown word. */
const char *log_level_name(enum log_level level);
int log_level_parse(const char *word, enum log_level *out);

/* Every line at or above the level is given to FN too (the event stream).
 * NULL: nobody. FN must not log. */
typedef void log_tap_fn(void *arg, enum log_level level,
			const struct log_about *about, const char *text);
void log_tap(log_tap_fn *fn, void *arg);

void log_write(enum log_level level, const struct log_about *about,
	       const char *fmt, ...) PRINTF(3, 4);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_LEVEL_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

/* How many lines were dropped so far. */
uint64_t log_dropped(void);
void log_close(void);

#endif
