/*
 * commands - the table of what can be asked: name, arguments, level, handler,
 * help. Varlink calls and lines are both looked up and checked by it.
 */
#ifndef USHER_CONTROL_COMMANDS_H
#define USHER_CONTROL_COMMANDS_H

#include "control/call.h"

enum command_flag {
	COMMAND_STREAM = 1,	/* answers with `more` only (a line: as well) */
	COMMAND_TRIGGER = 2,	/* trigger_allow of the service also lets in */
	COMMAND_INJECT = 4,	/* inject_allow does */
	COMMAND_NEW = 16,	/* the service may be one still to come */
	COMMAND_CHANGES = 8,	/* is logged with who asked */
};

struct command {
	const char *name;	/* of the method, after org.usher. */
	const char *word;	/* of the line */
	/* "service, ?after:duration, ?wait:bool": ? may be left out; a type
	 * is string (said or not), bool, int or duration. In this order a
	 * line gives them. `service` is looked up. */
	const char *args;
	enum conf_level level;
	unsigned flags;
	enum call_result (*handler)(struct call *c);
	const char *help;
};

/* By the method's name (after org.usher.) or the line's word; or NULL. */
const struct command *command_by_name(const char *name);
const struct command *command_by_word(const char *word);
/* Each in turn, from 0; NULL after the last. */
const struct command *command_at(size_t i);

enum argument_type { ARG_TEXT, ARG_BOOL, ARG_INT, ARG_DURATION };
struct argument {
	char name[24];
	enum argument_type type;
	bool optional;
};
/* The next argument of the list at *ARGS, which moves on. */
bool command_argument(const char **args, struct argument *out);

/* Are PARAMETERS what CMD takes? 0, or -EINVAL with the parameter's name in
 * *WHICH (owned by PARAMETERS or the table) and half a sentence in *WHY. */
int command_check(const struct command *cmd, const json_t *parameters,
		  char which[24], const char **why);

/* A line's words after the first as an object of parameters, owned by the
 * caller; NULL and a text (allocated) in *WHY. */
json_t *command_line(const struct command *cmd, char *const *words, size_t n,
		     char **why);

/* The handlers, a file for each group. */
enum call_result do_status(struct call *c);	/* status.c */
enum call_result do_show(struct call *c);
enum call_result do_connections(struct call *c);	/* conns.c */
enum call_result do_explain(struct call *c);	/* explain.c */
enum call_result do_metrics(struct call *c);	/* metrics.c */
enum call_result do_monitor(struct call *c);	/* monitor.c */
enum call_result do_pause(struct call *c);	/* services.c */
enum call_result do_resume(struct call *c);
enum call_result do_drain(struct call *c);
enum call_result do_roll(struct call *c);
enum call_result do_scale(struct call *c);
enum call_result do_trigger(struct call *c);
enum call_result do_inject(struct call *c);	/* doors.c */
enum call_result do_adopt(struct call *c);
enum call_result do_store(struct call *c);	/* holdings.c */
enum call_result do_list_store(struct call *c);
enum call_result do_fetch(struct call *c);
enum call_result do_forget(struct call *c);
enum call_result do_reload(struct call *c);
enum call_result do_plan(struct call *c);
enum call_result do_upgrade(struct call *c);	/* system.c */
enum call_result do_shutdown(struct call *c);
enum call_result do_log_level(struct call *c);
enum call_result do_kill(struct call *c);

#endif
