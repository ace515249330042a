/*
 * server - the control socket's clients: accepted, read, answered, dropped.
 *
 * A client is bounded in memory and time whatever it does, and stops nobody
 * else. What it says is a message for control/dispatch; what goes back is
 * queued here.
 */
#ifndef USHER_CONTROL_SERVER_H
#define USHER_CONTROL_SERVER_H

#include "control/call.h"
#include "control/control.h"
#include "control/intake.h"
#include "control/queues.h"

struct out {
	STAILQ_ENTRY(out) entry;
	size_t len, sent;
	int *fds;		/* ours until sent: duplicates */
	int nfds;
	char data[];
};

struct client {
	TAILQ_ENTRY(client) entry;
	struct control *control;
	int record;		/* RECORD_CLIENT: fd 0 */
	struct peer peer;
	enum conf_level level;
	struct intake in;
	STAILQ_HEAD(outs, out) out;
	size_t unread;		/* bytes in out */
	struct call *call;	/* the one that is being answered */
	bool eof;		/* it will say no more */
	bool more;		/* whole messages may wait in `in` */
	bool serving;		/* in dispatch_message, on the stack */
	bool due;		/* in control's line */
	TAILQ_ENTRY(client) due_entry;
	bool leaving;		/* goes once out is empty */
	bool dead;		/* goes with the next task, and not before:
				 * whoever is at work with it may go on */
	uint32_t events;	/* watched for */
	int waits;		/* what the deadline is for */
	struct timer deadline;
};

struct control {
	struct usher *u;
	int door;		/* RECORD_DOOR */
	struct addr addr;
	TAILQ_HEAD(clients, client) clients;
	unsigned nclients;
	TAILQ_HEAD(due, client) due;	/* whose turn comes */
	TAILQ_HEAD(calls, call) calls;
	int reserve;		/* RECORD_WATCH: spare descriptors */
	struct timer rest;	/* out of descriptors: looks away */
	struct timer more;	/* the rest of the line */
	struct task work;	/* the line, after the doors */
	struct queues queues;
	struct store *store;
	struct monitor *monitor;
	uint64_t accepted, refused;
	int64_t talk_ms;	/* when refusals were logged last */
	unsigned talked;	/* how many in that second */
};

static inline int client_fd(const struct client *cl)
{
	return record_at(cl->record)->fd[0];
}

/* ---- client.c ---- */

/* FD is a client's: taken, or -errno and it is still the caller's. P is
 * taken. */
int client_open(struct control *c, int fd, struct peer *p,
		enum conf_level level);
/* Drops all of them, with what they would take at once. */
void client_end_all(struct control *c);

/*
 * Queues LEN bytes (and duplicates of N descriptors with them); sends at once
 * what goes, unless LATER (from the log's tap, where nothing may log). 0, or
 * -errno: the descriptors can't be duplicated, nothing is queued.
 */
int client_say(struct client *cl, const char *data, size_t len,
	       const int *fds, int n, bool later);

/* Something of CL's is due: its next message, its end. By a task. */
void client_poke(struct client *cl);

/* N more calls (or, below 0, fewer) of CL wait for their end. What asked can't
 * be answered by the next usher: such a client is let go by a take-over, sees
 * the end of its connection and asks again. */
void client_pending(struct client *cl, int n);
/* CL's only call waits for a trigger of the service in SLOT, asked by LINE or
 * not: the next usher can answer that one. Returns where its number lies. */
uint64_t *client_waits(struct client *cl, uint32_t slot, bool line);

/* services.c: CL's call that waits for a trigger of S goes on, by the number
 * at KEPT. -ENOENT: that has ended. */
int trigger_call_again(struct client *cl, struct service *s, uint64_t *kept,
		       bool line);

/* After a take-over: a RECORD_CLIENT. 0 or -errno, and it is closed. */
int client_adopt(struct control *c, int record);

/* ---- server.c ---- */

/* Descriptors are free again: those kept back for the administrator. */
void server_refill(struct control *c);
/* Watches c->door (a new one, too). 0 or -errno. */
int server_watch(struct control *c);
/* After a take-over: epoll watches c->door already. */
int server_attach(struct control *c);
/* Drops all clients; the door's record is the caller's. */
void server_end(struct control *c);

/* ---- dispatch.c: from messages to calls ---- */

/* A whole message of CL; FDS are taken. */
void dispatch_message(struct client *cl, const struct message *m,
		      int *fds, int nfds);
/* The words of an error for FD, whose client nobody reads. */
void dispatch_refuse(int fd, const char *error, const char *level,
		     const char *text);
/* Answers a message that can't be read any further. */
void dispatch_broken(struct client *cl, const char *text);
/* Its client has gone. */
void dispatch_orphan(struct call *c);
void dispatch_free(struct call *c);
/* Checks level and parameters of CALL (FDS are its own), runs it. */
void dispatch_run(struct call *c, const struct command *cmd);
/* A call of CL that waits for a trigger's end, as an earlier usher had it. */
struct call *dispatch_again(struct client *cl, bool line);
/* Answers as RESULT says and frees it. */
void dispatch_answer(struct call *c, enum call_result result);

/* ---- varlink.c, line.c: what a message says ---- */

/* JSON of a Varlink call. Sets the call up and runs it. */
void varlink_message(struct call *c, const char *text, size_t len);
/* A line for people. */
void line_message(struct call *c, const char *text);

#endif
