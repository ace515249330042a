/*
 * frame - bytes to requests: where one ends and the next begins.
 *
 * Knows no descriptors. A text request ends with NUL, newline (with or
 * without CR; a NUL right behind a newline belongs to it) or the end of its
 * stream; a binary one has a fixed size. One that is too long is skipped up
 * to the next end, so that what follows it is understood again.
 */
#ifndef USHER_INLET_FRAME_H
#define USHER_INLET_FRAME_H

#include <stddef.h>
#include <stdint.h>

struct frame {
	size_t max;	/* text: the longest message (trigger_max) */
	size_t size;	/* binary: bytes of each; 0: text */
};

/* How a request ended: an ACK ends likewise. */
enum frame_end { FRAME_EOF, FRAME_NUL, FRAME_LF, FRAME_CRLF, FRAME_SIZE };

/* What is remembered between two pieces of a stream: bits. */
enum frame_state {
	FRAME_NEWLINE = 1,	/* a newline was last: a NUL belongs to it */
	FRAME_SKIPPING = 2,	/* inside one that is too long */
};

enum frame_result {
	FRAME_MORE,	/* no whole request in there */
	FRAME_REQUEST,	/* one: AT, LEN, END say which */
	FRAME_LONG,	/* one that is too long was met; count it */
	FRAME_TORN,	/* a binary one is cut off (frame_finish) */
};

struct frame_cut {
	size_t used;	/* bytes of BUF that are done with */
	size_t at, len;	/* the message */
	enum frame_end end;
};

/* Cuts the next request from the LEN bytes at BUF. */
enum frame_result frame_next(const struct frame *f, uint8_t *state,
			     const char *buf, size_t len,
			     struct frame_cut *cut);

/* How often the request that takes the first USED of LEN bytes stands there in
 * a row: 1 or more. What follows the last is there, and is no NUL, which may
 * belong to its end. */
size_t frame_repeats(const char *buf, size_t len, size_t used);

/* The stream has ended behind these bytes, in which frame_next found no
 * more. FRAME_MORE: nothing is in there. STATE is as at the beginning. */
enum frame_result frame_finish(const struct frame *f, uint8_t *state,
			       size_t len, struct frame_cut *cut);

/* A datagram or packet is one request: the message without its end. */
enum frame_result frame_whole(const struct frame *f, const char *buf,
			      size_t len, struct frame_cut *cut);

/* "ACK" ended as END says, into BUF of 8; its length. */
size_t frame_ack(enum frame_end end, char *buf);

#endif
