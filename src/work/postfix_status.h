/*
 * postfix_status - Postfix's status messages out of a byte stream that any
 * worker, or a grandchild of one, may have torn.
 *
 * A message is 12 bytes in host order without a frame: pid, generation,
 * available. All of it is gossip. Postfix's own master reads 12 by 12 and
 * stays out of step for ever after one torn message; here a message begins
 * where the pid and generation of a living worker stand, so that the next
 * honest one is understood.
 */
#ifndef USHER_WORK_POSTFIX_STATUS_H
#define USHER_WORK_POSTFIX_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POSTFIX_STATUS_LEN 12

/* What is between two reads; lies in the state. Zeroed at first. */
struct postfix_status {
	unsigned char rest[POSTFIX_STATUS_LEN];
	uint32_t have;		/* at most POSTFIX_STATUS_LEN - 1 */
	uint32_t odd;		/* bytes passed over since the last count */
};

struct postfix_status_events {
	/* Is PID a worker of ours that was started as GENERATION? */
	bool (*known)(void *arg, int32_t pid, uint32_t generation);
	/* A message of one that is. */
	void (*said)(void *arg, int32_t pid, uint32_t generation, bool avail);
};

/* Takes N bytes. Returns how many messages' worth of bytes meant nothing. */
unsigned postfix_status_feed(struct postfix_status *st, const void *p,
			     size_t n, const struct postfix_status_events *e,
			     void *arg);

#endif
