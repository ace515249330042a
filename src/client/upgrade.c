/*
 * upgrade - usher upgrade: asked, and waited for until it is settled.
 *
 * A rehearsal that fails is the daemon's answer. When it went well the
 * connection ends with the old image; what became of it is asked of whoever
 * answers then.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "client/words.h"

#define LOOK_MS    100
#define PATIENCE_S 120

/* Status's `upgrade`, or NULL: nobody answers just now. */
static json_t *ask_state(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	json_t *state = NULL;

	if (talk_again(&a->talk, a->control, true))
		return NULL;
	if (talk_call(&a->talk, "Status", json_object(), &reply) == 0)
		state = json_incref(json_object_get(reply, "upgrade"));
	return state;
}

static int settle(struct ask *a)
{
	for (int i = 0; i < PATIENCE_S * 1000 / LOOK_MS; i++) {
		CLEANUP(json_decrefp) json_t *state = ask_state(a);
		const char *text;

		if (!state || json_get_int(state, "phase", 0)) {
			poll(NULL, 0, LOOK_MS);
			continue;
		}
		text = json_string_value(json_object_get(state, "text"));
		if (!ask_json(a, state))
			printf("upgrade: %s\n", text ? text : "?");
		return json_is_true(json_object_get(state, "ok"))
			? EXIT_DONE : EXIT_FAILED;
	}
	talk_complain(&a->talk, "not settled after %d s; see usher status",
		      PATIENCE_S);
	return EXIT_FAILED;
}

int run_upgrade(struct ask *a)
{
	CLEANUP(json_decrefp) json_t *reply = NULL;
	CLEANUP(freep) char *path = NULL;
	const char *to = ask_option(a, "to");
	json_t *p = json_object();
	int r;

	if (to) {
		path = realpath(to, NULL);
		json_put_text(p, "to", path ? path : to);
	}
	r = ask_connect(a);
	if (r) {
		json_decref(p);
		return r;
	}
	a->talk.quiet = true;
	r = talk_call(&a->talk, "Upgrade", p, &reply);
	if (a->talk.error) {
		const char *why = json_string_value(
			json_object_get(reply, "message"));

		talk_complain(&a->talk, "%s; the running one serves on",
			      why ? why : a->talk.error);
		ask_json(a, reply);
		return r;
	}
	a->talk.quiet = false;
	return settle(a);
}
