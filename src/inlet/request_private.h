/*
 * request_private - what the files of request share among themselves.
 */
#ifndef USHER_INLET_REQUEST_PRIVATE_H
#define USHER_INLET_REQUEST_PRIVATE_H

#include "base/fd.h"
#include "inlet/frame.h"
#include "inlet/request.h"

/* RECORD_REQUEST's arg. */
enum request_kind { REQUEST_CONN, REQUEST_DOOR };

/* RECORD_REQUEST's data. A connection's has its socket as fd 0; a door's
 * holds what was read from a FIFO or a datagram socket. */
struct request_data {
	int32_t buffer;		/* number of its record_buffer, -1: none */
	uint32_t at, len;	/* bytes there, from AT on not yet taken */
	uint8_t state;		/* frame_state */
	uint8_t end;		/* frame_end, when whole */
	uint8_t whole;		/* a connection's request is complete */
	uint8_t closed;		/* a FIFO's last writer left meanwhile */
	int64_t deadline;	/* ms, CLOCK_MONOTONIC; 0: none */
	uint32_t door;		/* the RECORD_DOOR's index */
	uint32_t packets;	/* a connection of seqpacket */
	uint64_t moved;		/* see request_compact; from level 3 on */
};

/* In MOVED: so many bytes are at the front, and nothing else holds. */
#define REQUEST_MOVED (1ull << 32)
#define MOVED_LEVEL   3

struct request {
	TAILQ_ENTRY(request) entry;
	struct requests *set;
	struct endpoint *ep;	/* a door's; a connection's may have gone */
	enum addr_kind kind;	/* a door's: FIFO, datagram or stream */
	int record;
	struct timer timer;
	struct timer lull;	/* a FIFO's */
};

struct requests {
	struct service *service;
	request_fn *fn;
	TAILQ_HEAD(, request) conns;	/* being read */
	TAILQ_HEAD(, request) kept;	/* whole, offered again */
	uint32_t nconns, nkept;
	bool full;
};

/* A buffer's byte that nobody has read into: after a crash what differs was
 * read, whatever the record says. No text in UTF-8 has it. */
#define REQUEST_BLANK 0xC1

static inline struct request_data *request_data(const struct request *q)
{
	return RECORD_AS(q->record, struct request_data);
}

struct frame request_frame(const struct service *s);

/* A new, committed record for Q with a socket (or -1). 0 or -errno. */
int request_record(struct request *q, enum request_kind kind, int fd);
/* Its buffer, made when it has none; NULL: there is none left. */
char *request_buffer(struct request *q);
/* How many bytes may be read behind what is there. */
size_t request_space(const struct request *q);
/* USED bytes from AT on are taken. */
void request_used(struct request *q, size_t used);
/* Moves what is left to the front of the buffer. */
void request_compact(struct request *q);
/* Ends buffer and record, cancels the timer, closes the socket. */
void request_end(struct request *q);
/* Makes what the record says of its buffer true after a take-over. */
int request_recover(struct request *q);
/* Of that: what was moving in D's buffer BUF at a kill is moved. */
void request_mend(struct request_data *d, char *buf);

/* Says to the set that there is no room: endpoints are not read. */
void requests_full(struct requests *r);

/* Judges a peer: may its trigger be taken? Counts when not. */
bool request_admitted(struct service *s, const struct conn *c);

/* request_conn.c */
void request_accept(struct endpoint *ep);
void request_offer_kept(struct requests *r);
int request_conn_adopt(struct requests *r, int record);

/* request_door.c */
void request_door_read(struct endpoint *ep);
void request_door_go_on(struct endpoint *ep);
int request_door_new(struct requests *r, struct endpoint *ep, int record);

#endif
