/*
 * talk - a client command's conversation with the daemon, by Varlink.
 *
 * Blocking, for one command at a time. What goes wrong is told here, in one
 * line on standard error; the exit status is what the command ends with.
 */
#ifndef USHER_CLIENT_TALK_H
#define USHER_CLIENT_TALK_H

#include "base/json.h"

/* What client commands end with; the table in usher(8). */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_REACHED = 3,
	EXIT_REFUSED = 4,
};

#define TALK_FDS 253

struct talk {
	int fd;
	const char *command;	/* for messages: "usher COMMAND: ..." */
	char *address;
	bool verbose, quiet;
	int64_t patience;	/* ms: see talk_receive; 0: some seconds */
	bool silent;		/* nobody answered for so long */
	char *buf;
	size_t len, cap;
	int fds[TALK_FDS];	/* that came and nobody took */
	int nfds;
	char *error;		/* of the last reply, or NULL */
};

/*
 * Connects to CONTROL (a path or an address; NULL: USHER_CONTROL, else the
 * own user's daemon, else the system's). 0 or an exit status, told.
 */
int talk_open(struct talk *t, const char *command, const char *control,
	      bool verbose);
void talk_close(struct talk *t);
/* Another conversation in place of T's. QUIET: that nobody is there is not
 * told. */
int talk_again(struct talk *t, const char *control, bool quiet);

/* Sends a call; PARAMETERS is taken; N descriptors go along. */
int talk_send(struct talk *t, const char *method, json_t *parameters,
	      const int *fds, int n, bool more);
/* The next reply's parameters in *OUT (the caller's), within MS (-1: no
 * limit; -ETIMEDOUT is returned then and nothing told). CONTINUES may be
 * NULL. An error reply is told, unless quiet, and is an exit status. Without
 * a limit it is waited for as long as usher lives: one that was killed has
 * left its sockets to a keeper, which takes connections and says nothing. So
 * what stays silent is asked beside, and left after t->patience. */
int talk_receive(struct talk *t, json_t **out, bool *continues, int64_t ms);
/* Both. */
int talk_call(struct talk *t, const char *method, json_t *parameters,
	      json_t **out);

/* "usher COMMAND: ..." on standard error. */
void talk_complain(const struct talk *t, const char *fmt, ...) PRINTF(2, 3);

#endif
