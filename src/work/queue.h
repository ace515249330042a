/*
 * queue - one hand-off socketpair (SOCK_SEQPACKET) of `pass`.
 *
 * Usher keeps both ends open: what a dead worker had not received stays in
 * the queue, for the next to take or for usher to read back. Both descriptors
 * lie in a RECORD_QUEUE (fd 0 ours, fd 1 the workers'). The workers' end
 * blocks, for their sake; all calls here use MSG_DONTWAIT.
 *
 * The write side is looked at only while the queue is full, edge-triggered:
 * each message taken gives one event.
 */
#ifndef USHER_WORK_QUEUE_H
#define USHER_WORK_QUEUE_H

#include "model/model.h"

struct queue;

/* A hand-off in a message of at most so many bytes (PROTOCOLS: 64 KiB). */
#define QUEUE_MESSAGE 65536

/* REFUSED is `done` of a connection that a relay's process had to refuse. */
enum queue_word {
	QUEUE_AVAIL,
	QUEUE_TAKEN,
	QUEUE_DONE,
	QUEUE_REFUSED,
	QUEUE_GOSSIP,
};

struct queue_report {
	enum queue_word word;
	uint64_t id;		/* of all but AVAIL and GOSSIP */
	int64_t up, down;	/* DONE: bytes carried; -1: not told */
};

struct queue_events {
	/* There is room again after queue_room said no. */
	void (*room)(void *arg);
	/* A worker wrote: PID by SCM_CREDENTIALS. GOSSIP: not understood. */
	void (*said)(void *arg, pid_t pid, const struct queue_report *r);
};

struct queue_options {
	uint32_t generation;
	uint32_t pid;		/* its only worker's; 0: shared */
	uint32_t limit;		/* arrivals that may wait */
	uint32_t largest;	/* bytes of the largest message expected */
	bool reports;
};

/* 0 and *OUT, or -errno. */
int queue_open(struct service *s, const struct queue_options *o,
	       const struct queue_events *events, void *arg,
	       struct queue **out);
/* Around RECORD, which a take-over found. */
int queue_hang(struct service *s, int record, const struct queue_options *o,
		const struct queue_events *events, void *arg,
		struct queue **out);
/* Closes both ends: what waits is lost, unless it was moved. */
void queue_close(struct queue **q);

int queue_record(const struct queue *q);
/* The worker's end, for its start. */
int queue_worker_end(const struct queue *q);
/* Its only worker, known after the start. */
void queue_set_pid(struct queue *q, pid_t pid);
void queue_set_limit(struct queue *q, uint32_t limit);

/* May another be sent? Asks the kernel only when it can't be known. When it
 * says no, the event `room` follows. */
bool queue_room(struct queue *q);
/* How many more may be sent now: right, or too few where more than N are said
 * to be left. Promises no event. */
uint32_t queue_left(struct queue *q, uint32_t n);
/* How many arrivals wait, as the kernel knows now. */
uint32_t queue_count(struct queue *q);
/* The same, at most once in a round of the loop. */
uint32_t queue_about(struct queue *q);

/* Sends one message with N descriptors, which stay the caller's. 0, or
 * -EAGAIN: full, and `room` will follow. */
int queue_send(struct queue *q, const void *buf, size_t len, const int *fds,
	       int n);
/* An empty message: whoever is idle takes it and goes. */
int queue_farewell(struct queue *q);
/* The end: workers read 0 bytes after what waits. Nothing can be sent. */
void queue_shut(struct queue *q);
bool queue_is_shut(const struct queue *q);
/* Reads every report that is there (a worker's last words). */
void queue_listen(struct queue *q);

/*
 * Reads back what no worker has taken; gives each message to FN, which takes
 * its descriptors over. Farewells are dropped. Returns how many.
 */
int queue_take_back(struct queue *q,
		    void (*fn)(void *arg, const char *buf, size_t len,
			       const int *fds, int n),
		    void *arg);

#endif
