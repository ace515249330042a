/*
 * words - the table of the program's commands: name, arguments, options,
 * help. main, --help, the completions and the tests all read it.
 */
#ifndef USHER_CLIENT_WORDS_H
#define USHER_CLIENT_WORDS_H

#include <stdbool.h>

#include "client/talk.h"

#define ASK_OPTIONS 12

struct word_option {
	const char *name;	/* long, without -- */
	char letter;		/* 0: none */
	const char *argument;	/* NULL: a yes */
	const char *help;
	bool repeated;
};

/* What the command line said. */
struct ask {
	const struct word *word;
	const char *control;
	bool json, verbose;
	const char *value[ASK_OPTIONS];	/* of each option; "": it stands */
	const char *all[64];	/* values of the repeated option */
	int nall;
	int argc;		/* what is no option, without the command */
	char **argv;
	struct talk talk;
};

struct word {
	const char *name;
	const char *arguments;	/* for the usage line */
	const char *help;	/* one line; NULL: not for people */
	/* A command of its own, which reads its words itself... */
	int (*fn)(int argc, char **argv);
	/* ... or a client command: how many words, and what it does. */
	int (*run)(struct ask *a);
	int least, most;
	/* With run_method: the method, and the parameters that words are. */
	const char *method;
	const char *parameters[3];
	struct word_option options[ASK_OPTIONS];
};

const struct word *word_find(const char *name);
const struct word *word_at(size_t i);

/* What the completions ask: the names of all commands, or NAME's options and
 * what its words are (SERVICE ...), one a line. */
void word_list(const char *name);

/* Runs W; ARGV[0] is its name. Returns the exit status. */
int word_run(const struct word *w, int argc, char **argv);

/* What OPTION of the command was given as, or NULL. */
const char *ask_option(const struct ask *a, const char *option);
/* Connects. 0 or an exit status. */
int ask_connect(struct ask *a);
/* With --json: prints REPLY (an error's has its name, too) as a line and is
 * true. */
bool ask_json(const struct ask *a, json_t *reply);
/* What METHOD answers in *REPLY; it is NULL once printed as JSON, which an
 * error is too. PARAMETERS is taken. */
int ask_reply(struct ask *a, const char *method, json_t *parameters,
	      json_t **reply);
/* Calls METHOD and prints the line of result. */
int ask_simple(struct ask *a, const char *method, json_t *parameters);
/* The daemon has gone: waits for the next one. 0 or an exit status, told. */
int ask_again(struct ask *a);
/* As ask_simple for a method with --wait, over upgrades and kills of usher. */
int ask_waiting(struct ask *a, json_t *parameters);	/* wait.c */
int ask_usage(const struct ask *a, const char *fmt, ...) PRINTF(2, 3);

/* The commands, a file for each that is more than a call. */
int run_method(struct ask *a);		/* words.c */
int run_status(struct ask *a);		/* status.c */
int run_top(struct ask *a);		/* top.c */
int run_conns(struct ask *a);		/* look.c */
int run_explain(struct ask *a);
int run_show(struct ask *a);
int run_events(struct ask *a);
int run_metrics(struct ask *a);
int run_shutdown(struct ask *a);	/* system.c */
int run_upgrade(struct ask *a);		/* upgrade.c */
int run_inject(struct ask *a);		/* descriptors.c */
int run_adopt(struct ask *a);
int run_store(struct ask *a);
int run_fetch(struct ask *a);
int run_trigger(struct ask *a);		/* fire.c */

#endif
