/*
 * output - what workers write to stdout and stderr reaches the log, a line
 * for a line, with the service's name and the worker's pid.
 *
 * Bounded and rate-limited: a worker that writes without end costs a counted
 * drop, not memory and not the loop. A line torn by the worker's death is
 * told as it is. In the journal too lines come from here: a stream of each
 * worker's own would have no USHER_SERVICE, connecting it waits for journald,
 * and what a failing worker said last would be known to the journal only.
 */
#ifndef USHER_WORK_OUTPUT_H
#define USHER_WORK_OUTPUT_H

#include "model/model.h"

/* A longer line is told in pieces. */
#define OUTPUT_LINE  2048
/* Lines that may come at once, and each second after that. */
#define OUTPUT_BURST 1000
#define OUTPUT_RATE  200

/* Makes the worker's end in *CHILD_FD (the caller closes it after the start;
 * -1 for output = null or inherit: *INHERIT says which) and watches ours.
 * Returns the record, -1 when there is nothing to watch, or -errno. */
int output_open(struct service *s, const struct conf_service *conf,
		int *child_fd, bool *inherit);
/* The pid, known after the start. */
void output_pid(int record, pid_t pid);
/* Whose it will be, by the record of a process that is about to start. */
void output_before(int record, int worker);
/* Is it of that process, known or about to start? */
bool output_is_of(int record, int worker);
/* The worker has ended: read what is left (bounded), close when nobody else
 * holds the other end, else at its end. FAILED: its last line becomes
 * s->last_line. A record below 0 is ignored. */
void output_ended(struct service *s, int record, bool failed);
/* After a take-over. 0, or -EINVAL: it is closed. */
int output_adopt(struct service *s, int record);
/* Closes at once. */
void output_close(struct service *s, int record);
/* At the very end, no worker left: closes what their children still hold. */
void output_close_all(struct usher *u);

#endif
