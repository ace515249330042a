/*
 * wait - --wait of roll, drain and reload, over whatever becomes of usher.
 *
 * What was asked for goes on in the next usher after an upgrade or a kill;
 * only its answer does not, since that process's conversation ended with it.
 * So a command that waits comes again, and asks for what is still to be told.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "client/words.h"

/* The next usher is there in so long. */
#define AGAIN_MS    100
#define AGAIN_TIMES 50

int ask_again(struct ask *a)
{
	int r = EXIT_NOT_REACHED;

	for (int i = 0; i < AGAIN_TIMES && r == EXIT_NOT_REACHED; i++) {
		poll(NULL, 0, AGAIN_MS);
		r = talk_again(&a->talk, a->control, i + 1 < AGAIN_TIMES);
	}
	return r;
}

/* METHOD, by whoever serves then. A conversation that ends is begun anew, and
 * *AGAIN says so: nothing was answered. */
static int call(struct ask *a, const char *method, const json_t *parameters,
		json_t **reply, bool *again)
{
	int r;

	*again = false;
	a->talk.quiet = true;
	r = talk_call(&a->talk, method, json_deep_copy(parameters), reply);
	a->talk.quiet = false;
	if (r != EXIT_NOT_REACHED)
		return r;
	*again = true;
	return ask_again(a);
}

static int tell(struct ask *a, int r, json_t *reply)
{
	const json_t *e;
	size_t i;

	if (!reply)
		return r;
	json_array_foreach(json_object_get(reply, "errors"), i, e)
		fprintf(stderr, "%s\n", json_string_value(e));
	if (a->talk.error)
		talk_complain(&a->talk, "%s", json_get_text(reply, "message",
							    a->talk.error));
	if (!ask_json(a, reply) && !a->talk.error)
		puts(json_get_text(reply, "result", "done"));
	return r;
}

/* ---- roll ---- */

struct look {
	int64_t generation;
	bool rolling;	/* any of the services asked for */
	bool serves;	/* the service's workers, if any, are of it */
};

static void look_at(const json_t *s, struct look *l)
{
	const json_t *workers = json_object_get(s, "workers"), *w;
	size_t i;

	l->generation = json_get_int(s, "generation", 0);
	if (strcmp(json_get_text(s, "state", ""), "rolling") == 0)
		l->rolling = true;
	l->serves = json_array_size(workers) == 0;
	json_array_foreach((json_t *)(uintptr_t)workers, i, w)
		if (json_get_int(w, "generation", 0) == l->generation)
			l->serves = true;
}

static int look(struct ask *a, const json_t *which, struct look *l,
		bool *again)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	int r = call(a, "Status", which, &reply, again);
	const json_t *s;
	size_t i;

	*l = (struct look){ 0 };
	if (r == 0 && !*again)
		json_array_foreach(json_object_get(reply, "services"), i, s)
			look_at(s, l);
	return r ? tell(a, r, reply) : 0;
}

/* Until nothing rolls. */
static int settle(struct ask *a, const json_t *which, struct look *l)
{
	bool again = true;
	int r;

	do {
		r = look(a, which, l, &again);
		if (r == 0 && l->rolling)
			poll(NULL, 0, AGAIN_MS);
	} while (r == 0 && (again || l->rolling));
	return r;
}

static int tell_rolled(struct ask *a, const char *service,
		       const struct look *l)
{
	CLEANUP(json_decrefp) json_t *reply = json_object();

	json_put(reply, "result", json_sprintf(
		"%s: generation %lld %s; usher was replaced meanwhile",
		service, (long long)l->generation,
		l->serves ? "is ready" : "failed, see the log"));
	return tell(a, l->serves ? EXIT_DONE : EXIT_FAILED, reply);
}

/* Another Roll would be another generation, so one that has begun is looked
 * at until it is over. */
static int roll(struct ask *a, const json_t *parameters)
{
	CLEANUP(json_decrefp) json_t *which =
		json_pack("{s:s}", "service", a->argv[0]);
	struct look before, now;
	bool again = true;
	int r = 0;

	while (again && r == 0)
		r = look(a, which, &before, &again);
	while (r == 0) {
		CLEANUP(json_decrefp) json_t *reply = NULL;

		r = call(a, a->word->method, parameters, &reply, &again);
		if (!again)
			return tell(a, r, reply);
		if (r == 0)
			r = settle(a, which, &now);
		if (r == 0 && now.generation != before.generation)
			return tell_rolled(a, a->argv[0], &now);
	}
	return r;
}

/* ---- what may be asked for twice ---- */

static int repeat(struct ask *a, const json_t *parameters)
{
	CLEANUP(json_decrefp) json_t *all = json_object();
	bool again = true, ever = false;
	struct look l;

	for (;;) {
		CLEANUP(json_decrefp) json_t *reply = NULL;
		int r = call(a, a->word->method, parameters, &reply, &again);

		if (again && r == 0) {
			ever = true;
			continue;
		}
		/* Rolls of the first time are not the last one's. */
		if (r == 0 && ever && strcmp(a->word->method, "Reload") == 0)
			r = settle(a, all, &l);
		return again ? r : tell(a, r, reply);
	}
}

int ask_waiting(struct ask *a, json_t *parameters)
{
	int r = ask_connect(a);

	if (r == 0)
		r = strcmp(a->word->method, "Roll") == 0
			? roll(a, parameters) : repeat(a, parameters);
	json_decref(parameters);
	return r;
}
