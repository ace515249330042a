/*
 * line - a command as people type it: words, split as in a file of settings.
 *
 * What a line does and what its answer holds is what the Varlink method of
 * the same name does; see control/commands.
 */
#include <string.h>

#include "base/text.h"
#include "control/commands.h"
#include "control/server.h"

static void no_such(struct call *c, const char *word)
{
	const char *names[64], *near;
	size_t n = 0;

	for (const struct command *cmd; n < ARRAY_SIZE(names) &&
	     (cmd = command_at(n)); n++)
		names[n] = cmd->word;
	near = text_nearest(word, names, n);
	if (near)
		call_fail(c, ERROR_FAILED,
			  "there is no command '%s', did you mean %s?", word,
			  near);
	else
		call_fail(c, ERROR_FAILED,
			  "there is no command '%s'; 'help' tells them", word);
	dispatch_answer(c, CALL_FAILED);
}

static void help(struct call *c)
{
	json_t *list = json_array();
	const struct command *cmd;

	for (size_t i = 0; (cmd = command_at(i)); i++) {
		CLEANUP(freep) char *text = xasprintf("%s %s: %s", cmd->word,
						      cmd->args, cmd->help);

		json_array_append_new(list, json_safe_text(text));
	}
	json_put_text(c->reply, "arguments",
		      "in this order, or as NAME=VALUE (NAME alone for a "
		      "bool); ? may be left out");
	json_put(c->reply, "commands", list);
	dispatch_answer(c, CALL_DONE);
}

static void run(struct call *c, const struct command *cmd,
		const struct strv *words)
{
	CLEANUP(freep) char *why = NULL;

	c->parameters = command_line(cmd, words->v + 1, words->n - 1, &why);
	if (!c->parameters) {
		call_fail(c, ERROR_PARAMETER, "%s", why);
		dispatch_answer(c, CALL_FAILED);
		return;
	}
	dispatch_run(c, cmd);
}

void line_message(struct call *c, const char *text)
{
	CLEANUP(strv_free) struct strv words = { 0 };
	const struct command *cmd;
	int r = text_split(text, &words);

	if (r < 0 || words.n == 0) {
		call_fail(c, ERROR_FAILED, "%s",
			  r < 0 ? text_split_why(r)
				: "no command; help lists them");
		dispatch_answer(c, CALL_FAILED);
		return;
	}
	cmd = command_by_word(words.v[0]);
	if (cmd)
		run(c, cmd, &words);
	else if (strcmp(words.v[0], "help") == 0)
		help(c);
	else
		no_such(c, words.v[0]);
}
