/*
 * call - one call of a command: who asked, with what, and its answer.
 *
 * A handler reads parameters, fills reply, and returns CALL_DONE; or it sets
 * an error by one of the functions below and returns what they return; or it
 * returns CALL_LATER and ends the call by call_finish, once, when it knows
 * more. Who asked may be gone by then: the answer goes nowhere.
 */
#ifndef USHER_CONTROL_CALL_H
#define USHER_CONTROL_CALL_H

#include "base/json.h"
#include "control/peer.h"
#include "model/model.h"
#include "trigger/trigger.h"

struct control;
struct client;
struct command;

enum call_result { CALL_DONE, CALL_LATER, CALL_FAILED };

struct call {
	TAILQ_ENTRY(call) entry;
	struct control *control;
	struct usher *u;
	struct client *client;	/* NULL: has gone */
	const struct command *command;
	bool line, more, oneway;
	json_t *parameters;
	/* Of the parameter `service`, before the first CALL_LATER only: a
	 * reload may end it. */
	struct service *service;

	json_t *reply;		/* an object, filled by the handler */
	char *text;		/* or parts of its JSON, by call_part */
	size_t len;
	bool begun;		/* some of them are out */
	const char *error;	/* full name, or NULL */

	int *fds;		/* that came; -1: taken */
	int nfds;
	int *send_fds;		/* go with the reply, stay open here */
	int nsend;

	uid_t uid;
	pid_t pid;

	/* For handlers that answer later. */
	struct trigger_wait wait;
	int64_t began;		/* loop_now */
	void *data;		/* allocated: freed at the very end */
	/* Who asked has gone: let go of what would come back, and the call is
	 * freed. NULL: it waits for its end without them. */
	void (*drop)(struct call *c);
	/* All that was said so far is out. NULL: no matter. */
	void (*room)(struct call *c);
};

/* Answers a call that was CALL_LATER, and frees it. */
void call_finish(struct call *c, enum call_result result);
/* One reply of several (more). Returns bytes that the client has not read
 * yet, 0 when it has gone. */
size_t call_continue(struct call *c, json_t *parameters);
size_t call_unread(const struct call *c);
/* An answer in parts: the next LEN bytes of its parameters' JSON, in place of
 * reply. They are kept until the end of the call, or until call_flush, which
 * returns what the client has not read of them. */
void call_part(struct call *c, const char *text, size_t len);
size_t call_flush(struct call *c);

/* Parameters, already checked against the table. */
const char *call_text(const struct call *c, const char *key);
bool call_flag(const struct call *c, const char *key);
/* A duration; OTHER when it is not given. */
int64_t call_duration(const struct call *c, const char *key, int64_t other);

/* The descriptor that the parameter `fd` (default 0) chooses, still the
 * call's; -1 and an error set when it is not there. */
int call_fd(struct call *c, int *index);
/* Takes it out: the caller's now. */
int call_take_fd(struct call *c, int index);

/* Errors. All return CALL_FAILED. */
enum call_result call_fail(struct call *c, const char *name,
			   const char *fmt, ...) PRINTF(3, 4);
/* A parameter that is wrong, and what would do. */
enum call_result call_invalid(struct call *c, const char *parameter,
			      const char *fmt, ...) PRINTF(3, 4);
/* From -errno of an action and its text. */
enum call_result call_errno(struct call *c, int error, const char *text);

#define ERROR_NO_SERVICE "org.usher.NoSuchService"
#define ERROR_NO_NAME    "org.usher.NoSuchName"
#define ERROR_PERMISSION "org.usher.PermissionDenied"
#define ERROR_CONFIG     "org.usher.InvalidConfig"
#define ERROR_DESCRIPTOR "org.usher.WrongDescriptor"
#define ERROR_BUSY       "org.usher.Busy"
#define ERROR_TIMED_OUT  "org.usher.TimedOut"
#define ERROR_FAILED     "org.usher.Failed"
#define ERROR_PARAMETER  "org.varlink.service.InvalidParameter"

#endif
