/*
 * intake - bytes of a control connection to messages, and whose descriptors.
 *
 * A message that begins with { is JSON and ends with NUL; any other is a line
 * for people and ends with a newline (or NUL). What is not ended is nothing:
 * a client that died in the middle of a word gave no command.
 *
 * Descriptors belong to the message that the bytes they came with end in: a
 * call that brings some is the last of its sendmsg (doc/PROTOCOL).
 */
#ifndef USHER_CONTROL_INTAKE_H
#define USHER_CONTROL_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fd.h"

struct intake_fd {
	int fd;
	uint64_t at;		/* how many bytes had come by then */
};

struct intake {
	char *buf;
	size_t len, cap;
	size_t most;		/* longer messages are refused */
	size_t looked;		/* bytes of buf without an end */
	uint64_t base;		/* bytes before buf[0] since the beginning */
	struct intake_fd fds[FD_MESSAGE_MAX];
	int nfds;
};

struct message {
	bool line;
	char *text;		/* ends with NUL; until intake_done */
	size_t len;
	size_t size;		/* with its end */
};

/* Appends. -EMSGSIZE: more than MOST without an end. -EBADMSG: more
 * descriptors than a message has; FDS are closed. They are taken. */
int intake_add(struct intake *f, const void *data, size_t len, const int *fds,
	      int nfds);

/* The next whole message: 1, or 0: there is none yet. */
int intake_next(struct intake *f, struct message *m);

/* Gives M's descriptors (FDS has room for FD_MESSAGE_MAX). How many. */
int intake_fds(struct intake *f, const struct message *m, int *fds);
/* Drops M's bytes; M's text is gone. */
void intake_done(struct intake *f, const struct message *m);
/* How many bytes more may be added. */
static inline size_t intake_room(const struct intake *f)
{
	return f->most > f->len ? f->most - f->len : 0;
}

/* Is the beginning of a message there? */
bool intake_half(const struct intake *f);
/* Frees the buffer, closes what nobody took. */
void intake_end(struct intake *f);

#endif
