/*
 * message - the words that go to a worker of `pass` with an arrival.
 *
 * `connection` or `trigger`, then NAME=VALUE words, each ended by NUL, and an
 * empty word at the end of each arrival.
 */
#ifndef USHER_WORK_MESSAGE_H
#define USHER_WORK_MESSAGE_H

#include "model/model.h"
#include "model/run.h"

struct message {
	char *buf;
	size_t room, len;
	bool over;		/* something did not fit */
};

/* Words of load: how many wait; IDLE below 0: not known. */
struct message_load {
	uint32_t queued;
	int64_t idle;
};

/* Appends an arrival. false: it does not fit, and LEN is as it was. */
bool message_connection(struct message *m, const struct service *s,
			uint32_t generation, const struct conn *c,
			const struct message_load *load);
bool message_trigger(struct message *m, const struct service *s,
		     uint32_t generation, const struct run *r,
		     const struct message_load *load);

/* An arrival as such a message tells it. Texts lie in the message. */
struct message_arrival {
	bool trigger;
	uint64_t id;		/* TRIGGER, SO_COOKIE */
	const char *text;	/* MESSAGE, or NULL */
	const char *hex;	/* MESSAGE_HEX, or NULL */
	/* TCPREMOTEIP and so on; NULL where there are none. */
	const char *remote_ip, *remote_port, *local_ip, *local_port;
};

/* The next of a message of LEN bytes from *AT on. false: there is none. */
bool message_next(const char *buf, size_t len, size_t *at,
		  struct message_arrival *out);

#endif
