/*
 * fire - usher trigger: a service through the control socket; an address is
 * client/trigger's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/text.h"
#include "client/trigger.h"
#include "client/words.h"

/* As timeout(1) and env(1) end: own failures are told from the run's. */
#define EXIT_TIMED_OUT 124
#define EXIT_OWN       125
#define AGAIN_TIMES    50
/* Who waits for a run outlives usher, and waits so long for the next one. */
#define RESTART_MS     60000

static bool is_address(const char *word)
{
	return strchr(word, ':') != NULL;
}

static int by_address(struct ask *a)
{
	/* The options before the words, as getopt has sorted them. */
	int argc = a->argc, n = 0;
	char *argv[16];

	if (ask_option(a, "wait"))
		return ask_usage(a, "--wait needs a service: at an address "
				 "nobody tells of a run's end");
	argv[n++] = (char *)"trigger";
	if (ask_option(a, "ack"))
		argv[n++] = (char *)"--ack";
	if (a->verbose)
		argv[n++] = (char *)"-v";
	if (a->json)
		argv[n++] = (char *)"--json";
	if (ask_option(a, "timeout")) {
		argv[n++] = (char *)"--timeout";
		argv[n++] = (char *)ask_option(a, "timeout");
	}
	argv[n++] = (char *)"--";
	for (int i = 0; i < argc; i++)
		argv[n++] = a->argv[i];
	argv[n] = NULL;
	return cmd_trigger(n, argv);
}

/* With --wait everything but the run's own status is out of its way. */
static int own_status(bool wait, int r)
{
	return wait && r ? EXIT_OWN : r;
}

static int report(struct ask *a, bool wait, json_t *reply)
{
	int64_t status;

	if (!ask_json(a, reply))
		printf("%s\n", json_get_text(reply, "result", "done"));
	if (!wait)
		return 0;
	status = json_get_int(reply, "status", -1);
	return status < 0 ? EXIT_OWN : (int)status;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Asks, and waits for the answer for MS (-1: no limit). */
static int ask_once(struct ask *a, bool wait, int64_t ms, json_t **reply)
{
	json_t *p = json_pack("{s:s, s:b}", "service", a->argv[0], "wait",
			      wait);
	int r;

	if (a->argc > 1)
		json_put_text(p, "message", a->argv[1]);
	r = talk_send(&a->talk, "Trigger", p, NULL, 0, false);
	return r ? r : talk_receive(&a->talk, reply, NULL, ms);
}

/* Another usher goes on, and answers who waits; that it did not know us can
 * only be by a kill in the very moment of the answer. So it is asked again. */
static int fire_and_wait(struct ask *a, int64_t patience, json_t **reply)
{
	int64_t until = now_ms() + patience;
	int r;

	a->talk.patience = RESTART_MS;
	for (int tries = 0;; tries++) {
		int64_t left = patience < 0 ? -1 : until - now_ms();

		a->talk.quiet = tries < AGAIN_TIMES;
		r = ask_once(a, true, left == -1 || left > 0 ? left : 0,
			     reply);
		if (r != EXIT_NOT_REACHED || tries == AGAIN_TIMES ||
		    a->talk.silent)
			break;
		r = ask_again(a);
		if (r)
			break;
	}
	if (r > 0 && a->talk.quiet && a->talk.error)
		talk_complain(&a->talk, "%s", json_get_text(*reply, "message",
							    a->talk.error));
	return r;
}

int run_trigger(struct ask *a)
{
	bool wait = ask_option(a, "wait");
	const char *patience = ask_option(a, "timeout");
	CLEANUP(json_decrefp) json_t *reply = NULL;
	int64_t ms = -1;
	int r;

	if (is_address(a->argv[0]))
		return by_address(a);
	if (ask_option(a, "ack"))
		return ask_usage(a, "--ack is for an address; for a service "
				 "there is --wait");
	if (patience && text_duration(patience, &ms) < 0)
		return ask_usage(a, "--timeout: not '%s'; 30s, 5min ...",
				 patience);
	ms = ms > 0 ? ms : -1;
	r = ask_connect(a);
	if (r)
		return own_status(wait, r);
	r = wait ? fire_and_wait(a, ms, &reply)
		 : ask_once(a, false, ms, &reply);
	if (r == -ETIMEDOUT) {
		talk_complain(&a->talk, "%s: answer: no end of the run within "
			      "--timeout; it goes on", a->argv[0]);
		return EXIT_TIMED_OUT;
	}
	if (r && reply)
		ask_json(a, reply);
	return r ? own_status(wait, r) : report(a, wait, reply);
}
