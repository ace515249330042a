/*
 * relays - what the files of relay share: connections, directions, upstreams.
 *
 * A relayed connection is a RECORD_RELAY: descriptor 0 the client, 1 the
 * upstream, 2 and 3 a pipe for bytes from the client, 4 and 5 one for bytes to
 * it, both only while used. Each socket is added to epoll once, edge-
 * triggered, and its interest never changes. Bytes that were read and not yet
 * written lie in a buffer of the state (base/record), or in a pipe: so a kill
 * loses none, see recount.c.
 */
#ifndef USHER_RELAY_RELAYS_H
#define USHER_RELAY_RELAYS_H

#include "inlet/packed.h"
#include "model/model.h"
#include "relay/upstream.h"

/* RECORD_RELAY's arg. */
enum relay_kind {
	RELAY_TWO,	/* a client and an upstream */
	RELAY_ECHO,	/* a connection onto itself: one direction, fd 0 */
};

enum flow_flags {
	FLOW_EOF = 1,	/* the source has ended */
	FLOW_SHUT = 2,	/* and its end was passed on: nothing comes any more */
	FLOW_BULK = 4,	/* by splice */
};

/* One direction: 0 from the client, 1 to it. What is RD and not yet WR lies in
 * BUFFER from RD's value START on, or in the pipe. */
struct flow {
	uint64_t rd, wr;	/* bytes taken from one side, given to the
				 * other */
	uint64_t start;
	int32_t buffer;		/* of the state, or -1 */
	uint32_t flags;
};

enum relay_flags {
	RELAY_CONNECTED = 1,	/* both ends are there: bytes may flow */
	RELAY_KNOWN = 2,	/* what the sides are stands in KINDS */
	RELAY_TODO = 4,		/* and 8: direction 0, 1, soon */
	RELAY_ENDING = 16,	/* and 32: side 0, 1 told of its end */
	RELAY_SHARED = 64,	/* another may have the client's descriptor */
	RELAY_KINDS = 15 << 16,
	RELAY_KINDS_SHIFT = 16,
};

/* RECORD_RELAY's data; its id is the client's SO_COOKIE. */
struct relay_data {
	struct flow flow[2];
	int64_t accepted_us;
	/* What went through the client's socket before: its count of
	 * received bytes is flow[0].rd and IN, of sent ones flow[1].wr and
	 * OUT. */
	int64_t in, out;
	uint32_t flags;
	uint32_t source;	/* of a worker's own; counted anew elsewhere */
	uint32_t upstream;	/* upstream_id */
	uint32_t added;		/* bytes of flow[0] that are ours: a PROXY
				 * header */
	struct packed peer;
};

enum relay_state {
	RELAY_HELD,	/* its backend is not ready */
	RELAY_RETRY,	/* for a while nothing can be begun: by timer */
	RELAY_CONNECTING,
	RELAY_OPEN,
};

/* A connection's private part: what can be made again from its record. */
struct relay {
	TAILQ_ENTRY(relay) entry;
	TAILQ_ENTRY(relay) soon;	/* while todo */
	struct relays *home;
	struct upstream *up;		/* counted there, or NULL */
	struct timer timer;		/* connect_timeout, then idle */
	int64_t until;			/* ms: this address's patience */
	int64_t moved;			/* ms: bytes moved last */
	uint32_t *tried;		/* ids of upstreams that failed */
	int record;
	uint16_t ntried;
	uint16_t name;			/* index of the upstream's names */
	uint8_t state;			/* enum relay_state */
	uint8_t ending;			/* bit: this side told of its end */
	uint8_t seen;			/* bit: this side has bytes, unread */
	uint8_t kinds;			/* relay_side_kinds of both sides; in
					 * the record too */
	uint8_t todo;			/* bit: this direction, soon */
	uint8_t kept;			/* bit: TCP keeps this direction's last
					 * bytes for those that follow */
	uint8_t little[2];		/* turns of bulk that moved little */
};

enum relay_side_kinds {
	SIDE_TCP = 1,		/* bytes, and TCP_INFO counts them */
	SIDE_PACKETS = 2,	/* seqpacket: messages */
	SIDE_BITS = 2,		/* a side's bits; the upstream's come next */
};

TAILQ_HEAD(relay_list, relay);

/* Those of a service: the first part of s->work of relay, echo, backend. */
struct relays {
	struct service *service;
	struct relay_list conns;
	struct relay_list soon;	/* more to do in the next round */
	struct timer soon_timer;
	struct upstreams *ups;	/* NULL: echo */
	uint32_t n;
	bool stopping;
	bool said_no;		/* room() did, service_room() is owed */
	bool patient;		/* who refuses may be about to listen */
	struct task empty;
	int pipes[32];		/* records of pipes for the next use */
	int npipes;
	void (*idle)(struct relays *h);	/* the last one has ended; NULL:
					 * service_gone when stopping */
};

/* ---- relays.c ---- */

/* Zeroed before; again when doors were opened. */
void relays_open(struct relays *h, struct service *s);
/* Frees what it holds; connections that are left are reset. */
void relays_close(struct relays *h);
bool relays_room(struct relays *h);
/* What is left finishes, or with NOW is reset; then service_gone. */
void relays_stop(struct relays *h, bool now);
void relays_conns(const struct relays *h, conn_info_fn *fn, void *arg);
int relays_kill(struct relays *h, uint64_t cookie);
void relays_changed(struct relays *h);

/* A relay of C's descriptor, taken; not committed, not connected. NULL: none
 * is free. */
struct relay *relay_new(struct relays *h, struct conn *c,
			enum relay_kind kind);
/* A record of ours found by a take-over: hung in, its bytes counted again.
 * NULL: it can't go on and was reset. */
struct relay *relay_hang(struct relays *h, int record);
/* Ends it in order, or by a reset to both sides. */
void relay_end(struct relay *r);
void relay_reset(struct relay *r);
/* No upstream: the client is refused (counted, told), R ends. */
void relay_refuse(struct relay *r);
/* What SIDE is (relay_side_kinds). */
void relay_kind_is(struct relay *r, int side, unsigned kind);

static inline struct relay_data *relay_data(const struct relay *r)
{
	return RECORD_AS(r->record, struct relay_data);
}

/* The client as a conn, for those who want one; without a descriptor. */
void relay_conn(const struct relay *r, struct conn *c);

/* ---- serve.c ---- */

/* What it begins with (relay_announce) is there: from here on a crash keeps
 * it. The client's side is watched. 0 or -errno. */
int relay_begin(struct relay *r);
/* Descriptor SIDE is watched, once and for good. 0 or -errno. */
int relay_watch(struct relay *r, int side);
/* The loop_fn of each relay's record, with the relay as its argument. */
void relay_on_event(void *arg, uint32_t events);
/* relay_idle_timeout begins anew, or ends if there is none. */
void relay_watch_idle(struct relay *r);
/* Both ends are there: what came meanwhile goes on. May end R. */
void relay_opened(struct relay *r);
/* One that was open before a take-over goes on. */
void relay_go_on(struct relay *r);

/* ---- dial.c: to an upstream, in the loop ---- */

/* Chooses an upstream and connects; ends in relay_opened or relay_refuse. */
void relay_dial(struct relay *r);
/* Who it was connecting to has gone: as before relay_dial. */
void relay_undial(struct relay *r);
/* An event of R, which is not open yet, at SIDE. */
void relay_dialing(struct relay *r, int side, uint32_t events);
/* R ends: what dialing holds is given back. */
void relay_dial_end(struct relay *r);
/* What the file says of send_proxy stands before the client's bytes: C's
 * addresses. 0 or -errno (no buffer is free). */
int relay_announce(struct relay *r, const struct conn *c);

/* ---- flow.c: bytes ---- */

enum flow_end {
	FLOW_WAITS,	/* for an event */
	FLOW_MORE,	/* its turn is over, there is more */
	FLOW_STARVED,	/* no buffer or pipe is free */
	FLOW_DONE,
	FLOW_BROKEN,
};

/* Moves bytes of direction K until it must wait or its turn is over. */
enum flow_end flow_pump(struct relay *r, int k);
/* So many turns of each direction, by turns, are one of R's. */
int flow_turns(const struct relay *r);
/* Gives buffer and pipe back. */
void flow_end(struct relay *r, int k);
/* What the sides are decides how their bytes may go. */
void flow_begin(struct relay *r);

/* ---- pipes.c ---- */

/* A pipe for direction K of R, from the pool or new. 0 or -errno. */
int pipe_take(struct relay *r, int k);
/* An empty one goes back to the pool, one with bytes is closed. */
void pipe_give(struct relay *r, int k, bool empty);
void pipes_close(struct relays *h);

/* ---- recount.c ---- */

/* Where the counts of a socket begin, of a client that spoke before. */
void relay_count_from(struct relay *r);
/* After a take-over: what was in flight. 0, or -EIO: bytes may be missing. */
int relay_recount(struct relay *r);

#endif
