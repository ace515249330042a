/*
 * commands - the table of what can be asked, and its arguments checked.
 *
 * A new command is a line here, its handler, its method in
 * doc/org.usher.varlink and its subcommand in client/; tests hold them
 * against each other.
 */
#include "control/commands.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

static const struct command commands[] = {
	{ "Status", "status", "?service", LEVEL_READ, 0, do_status,
	  "services, endpoints, workers, counters" },
	{ "Show", "show", "service", LEVEL_READ, 0, do_show,
	  "every setting in force, and where it comes from" },
	{ "Connections", "conns", "?service, ?from", LEVEL_READ, 0,
	  do_connections, "live connections that usher knows of" },
	{ "Explain", "explain", "service, from", LEVEL_READ, 0, do_explain,
	  "which listener, rule, limit and worker would take a client" },
	{ "ListStore", "list-store", "", LEVEL_READ, 0, do_list_store,
	  "names and owners of the descriptors held" },
	{ "GetMetrics", "metrics", "", LEVEL_READ, 0, do_metrics,
	  "counters as OpenMetrics text" },
	{ "Monitor", "events", "?service", LEVEL_READ, COMMAND_STREAM,
	  do_monitor, "the event stream" },

	{ "Trigger", "trigger", "service, ?message, ?wait:bool",
	  LEVEL_OPERATE, COMMAND_TRIGGER, do_trigger,
	  "have a run start after now" },
	{ "Pause", "pause", "service", LEVEL_OPERATE, COMMAND_CHANGES,
	  do_pause, "arrivals wait in the kernel" },
	{ "Resume", "resume", "service", LEVEL_OPERATE, COMMAND_CHANGES,
	  do_resume, "undo pause and drain" },
	{ "Drain", "drain", "service, ?after:duration, ?wait:bool",
	  LEVEL_OPERATE, COMMAND_CHANGES, do_drain,
	  "take no more, finish what is in flight" },
	{ "Roll", "roll", "service, ?wait:bool", LEVEL_OPERATE,
	  COMMAND_CHANGES, do_roll, "new workers take over from the old" },
	{ "Scale", "scale", "service, workers", LEVEL_OPERATE,
	  COMMAND_CHANGES, do_scale, "workers: N or MIN-MAX" },
	{ "Inject", "inject", "service, ?fd:int", LEVEL_OPERATE,
	  COMMAND_CHANGES | COMMAND_INJECT, do_inject,
	  "give a connection, as if it had been accepted" },

	{ "Reload", "reload", "?wait:bool", LEVEL_ADMIN, COMMAND_CHANGES,
	  do_reload, "read the configuration anew" },
	{ "Plan", "plan", "?file", LEVEL_ADMIN, 0, do_plan,
	  "what a reload would change" },
	{ "Upgrade", "upgrade", "?to", LEVEL_ADMIN, COMMAND_CHANGES,
	  do_upgrade, "another binary goes on, with everything" },
	{ "Adopt", "adopt", "service, ?fd:int", LEVEL_ADMIN,
	  COMMAND_CHANGES | COMMAND_NEW, do_adopt,
	  "give a listening socket to a service" },
	{ "Store", "store", "name, ?expire:duration", LEVEL_ADMIN,
	  COMMAND_CHANGES, do_store, "hold descriptors under a name" },
	{ "Fetch", "fetch", "name, ?lease:bool", LEVEL_ADMIN, COMMAND_CHANGES,
	  do_fetch, "a name's descriptors, or a service's doors" },
	{ "Forget", "forget", "name", LEVEL_ADMIN, COMMAND_CHANGES,
	  do_forget, "close what is held under a name" },
	{ "Kill", "kill", "what", LEVEL_ADMIN, COMMAND_CHANGES, do_kill,
	  "end conn:COOKIE, worker:PID or from:CIDR" },
	{ "SetLogLevel", "loglevel", "level", LEVEL_ADMIN, COMMAND_CHANGES,
	  do_log_level, "error, warning, notice, info or debug" },
	{ "Shutdown", "shutdown", "?now:bool", LEVEL_ADMIN, COMMAND_CHANGES,
	  do_shutdown, "close the doors, finish, end" },
};

const struct command *command_at(size_t i)
{
	return i < ARRAY_SIZE(commands) ? &commands[i] : NULL;
}

const struct command *command_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

const struct command *command_by_word(const char *word)
{
	/* What people also say. */
	if (strcmp(word, "restart") == 0)
		word = "roll";
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].word, word) == 0)
			return &commands[i];
	return NULL;
}

/* ---- arguments ---- */

static enum argument_type type_of(const char *s, size_t len)
{
	static const struct {
		const char *name;
		enum argument_type type;
	} types[] = {
		{ "bool", ARG_BOOL },
		{ "int", ARG_INT },
		{ "duration", ARG_DURATION },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strlen(types[i].name) == len &&
		    strncmp(types[i].name, s, len) == 0)
			return types[i].type;
	return ARG_TEXT;
}

bool command_argument(const char **args, struct argument *out)
{
	const char *s = *args + strspn(*args, ", ");
	size_t n;

	*out = (struct argument){ 0 };
	if (*s == '\0')
		return false;
	if (*s == '?') {
		out->optional = true;
		s++;
	}
	n = strcspn(s, ":,");
	memcpy(out->name, s, n < sizeof(out->name) ? n : sizeof(out->name) - 1);
	s += n;
	if (*s == ':') {
		n = strcspn(++s, ",");
		out->type = type_of(s, n);
		s += n;
	}
	*args = s;
	return true;
}

static bool find_argument(const struct command *cmd, const char *name,
			  struct argument *out)
{
	const char *args = cmd->args;

	while (command_argument(&args, out))
		if (strcmp(out->name, name) == 0)
			return true;
	return false;
}

/* NULL: it will do; else what would. */
static const char *wanted(const struct argument *a, const json_t *value)
{
	int64_t ms;

	switch (a->type) {
	case ARG_BOOL:
		return json_is_boolean(value) ? NULL : "true or false";
	case ARG_INT:
		return json_is_integer(value) ? NULL : "a number";
	case ARG_DURATION:
		if (json_is_string(value) &&
		    text_duration(json_string_value(value), &ms) == 0)
			return NULL;
		return "a duration such as 30s or 5min";
	case ARG_TEXT:
		return json_is_string(value) ? NULL : "a string";
	}
	return "something else";
}

int command_check(const struct command *cmd, const json_t *parameters,
		  char which[24], const char **why)
{
	const char *args = cmd->args, *key;
	struct argument a;
	json_t *value;

	json_object_foreach((json_t *)parameters, key, value) {
		if (find_argument(cmd, key, &a))
			continue;
		snprintf(which, 24, "%s", key);
		*why = "there is no such parameter";
		return -EINVAL;
	}
	while (command_argument(&args, &a)) {
		value = json_object_get(parameters, a.name);
		if (!value || json_is_null(value)) {
			if (a.optional)
				continue;
			*why = "it is missing";
		} else {
			*why = wanted(&a, value);
			if (!*why)
				continue;
		}
		snprintf(which, 24, "%s", a.name);
		return -EINVAL;
	}
	return 0;
}

/* ---- a line's words ---- */

static json_t *word_value(const struct argument *a, const char *word)
{
	int64_t number;
	bool flag;

	if (a->type == ARG_BOOL && text_bool(word, &flag) == 0)
		return json_boolean(flag);
	if (a->type == ARG_INT &&
	    text_number(word, INT32_MIN, INT32_MAX, &number) == 0)
		return json_integer(number);
	return json_safe_text(word);
}

/* "name=value", or the bare name of a yes-or-no. */
static bool by_name(const struct command *cmd, const char *word, json_t *out)
{
	size_t n = strcspn(word, "=");
	struct argument a;
	char name[24];

	if (n >= sizeof(name))
		return false;
	memcpy(name, word, n);
	name[n] = '\0';
	if (!find_argument(cmd, name, &a))
		return false;
	if (word[n] == '=')
		json_put(out, name, word_value(&a, word + n + 1));
	else if (a.type == ARG_BOOL)
		json_put_bool(out, name, true);
	else
		return false;
	return true;
}

/* The first argument that is not there yet. */
static bool by_place(const struct command *cmd, const char *word, json_t *out)
{
	const char *args = cmd->args;
	struct argument a;

	while (command_argument(&args, &a)) {
		if (a.type == ARG_BOOL || json_object_get(out, a.name))
			continue;
		json_put(out, a.name, word_value(&a, word));
		return true;
	}
	return false;
}

json_t *command_line(const struct command *cmd, char *const *words, size_t n,
		     char **why)
{
	CLEANUP(json_decrefp) json_t *out = json_object();

	for (size_t i = 0; i < n; i++) {
		const char *word = words[i];

		/* --wait is as good as wait. */
		if (strncmp(word, "--", 2) == 0 && by_name(cmd, word + 2, out))
			continue;
		if (by_name(cmd, word, out) || by_place(cmd, word, out))
			continue;
		*why = xasprintf("'%s' is one word too many: %s %s; in this "
				 "order or as NAME=VALUE, ? may be left out",
				 word, cmd->word, cmd->args);
		return NULL;
	}
	return TAKE(out);
}
