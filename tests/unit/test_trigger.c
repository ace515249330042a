/*
 * What trigger/ promises: a run starts after the last trigger before it, one
 * waits for each message, who waits shares it, and a crash loses none.
 */
#include "trigger/trigger.h"

#include <errno.h>

#include "house.h"

/* A handler that starts what it is told to have room for. */
static struct {
	int room;
	struct run *runs[64];
	char messages[64][32];
	int n;
} h;

static int fake_run(struct service *s, struct run *r)
{
	(void)s;
	if (h.room == 0)
		return -EAGAIN;
	h.room--;
	ck_assert_int_lt(h.n, 64);
	snprintf(h.messages[h.n], sizeof(h.messages[0]), "%.*s", (int)r->len,
		 r->message);
	h.runs[h.n++] = r;
	return 0;
}

static const struct handler fake = { .name = "fake", .run = fake_run };

static struct house house;
static struct service *s;

static void setup(void)
{
	memset(&h, 0, sizeof(h));
	house_open(&house);
	house.conf.trigger_queue = 1000;
	house.conf.trigger_max = 2048;
	s = house_service(&house, "job");
	s->handler = &fake;
	ck_assert_int_eq(trigger_start(s), 0);
}

static void teardown(void)
{
	trigger_free(s);
	house_service_end(s);
	house_close(&house);
}

static int take(const char *message, struct trigger_wait *w)
{
	return trigger_take(s, message, strlen(message), w);
}

static void settle(void)
{
	house_run(&house, 1);
}

static void end(int i, int status)
{
	h.runs[i]->done(h.runs[i], status, "ended");
	settle();
}

START_TEST(one_waits_for_each_message)
{
	h.room = 1;
	take("a", NULL);
	settle();
	ck_assert_int_eq(h.n, 1);
	for (int i = 0; i < 5; i++) {
		take("a", NULL);	/* not merged into the one that runs */
		take("b", NULL);
	}
	settle();
	ck_assert_uint_eq(trigger_pending(s), 2);
	ck_assert_uint_eq(trigger_running(s), 1);
	ck_assert_uint_eq(s->data->coalesced, 8);
	h.room = 10;
	end(0, 0);
	ck_assert_int_eq(h.n, 3);
	ck_assert_str_eq(h.messages[1], "a");
	ck_assert_str_eq(h.messages[2], "b");
	end(1, 0);
	end(2, 0);
	ck_assert_uint_eq(trigger_running(s), 0);
	ck_assert_uint_eq(s->data->triggers.count, 11);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
	char word[16];

	house.conf.trigger_queue = 100;
	for (int i = 0; i < 100; i++) {
		snprintf(word, sizeof(word), "m%d", i);
		ck_assert_int_eq(take(word, NULL), 0);
	}
	ck_assert_int_eq(take("more", NULL), -EAGAIN);
	ck_assert_int_eq(take("m7", NULL), 0);	/* one with its like */
	settle();
	h.room = 1;
	trigger_room(s);
	settle();
	ck_assert_str_eq(h.messages[0], "m0");
	ck_assert_int_eq(take("more", NULL), 0);
	ck_assert_int_eq(take("m0", NULL), -EAGAIN);
	end(0, 0);
}
END_TEST

static int told[4];

static void on_end(void *arg, int status, const char *why)
{
	(void)why;
	told[*(int *)arg] = status;
}

START_TEST(who_waits_shares_the_run)
{
	static int number[] = { 0, 1, 2, 3 };
	struct trigger_wait w[4] = { { .on = NULL } };

	for (int i = 0; i < 4; i++) {
		w[i].fn = on_end;
		w[i].arg = &number[i];
		told[i] = -2;
	}
	h.room = 1;
	take("a", &w[0]);
	settle();
	take("a", &w[1]);
	take("a", &w[2]);
	take("a", &w[3]);
	trigger_forget(&w[3]);
	trigger_forget(&w[3]);		/* twice is nothing */
	end(0, 5);
	ck_assert_int_eq(told[0], 5);
	ck_assert_int_eq(told[1], -2);
	h.room = 1;
	trigger_room(s);
	settle();
	end(1, 0);
	ck_assert_int_eq(told[1], 0);
	ck_assert_int_eq(told[2], 0);
	ck_assert_int_eq(told[3], -2);
}
END_TEST

START_TEST(a_failed_run_is_tried_again)
{
	static int number;
	struct trigger_wait w = { .fn = on_end, .arg = &number };

	house.conf.trigger_retry = 1;
	told[0] = -2;
	h.room = 100;
	take("a", &w);
	settle();
	end(0, 1);
	ck_assert_int_eq(told[0], -2);
	ck_assert_uint_eq(trigger_pending(s), 1);
	/* Who asks anew need not wait for it. */
	take("a", NULL);
	settle();
	ck_assert_int_eq(h.n, 2);
	end(1, 4);
	ck_assert_int_eq(told[0], 4);
	ck_assert_uint_eq(trigger_pending(s), 0);
	ck_assert_ptr_nonnull(strstr(house.told, "for 'a' ended; try 1 of 1"));
}
END_TEST

START_TEST(a_long_message_lies_in_the_state)
{
	char text[2001];

	memset(text, 'x', 2000);
	text[2000] = '\0';
	h.room = 1;
	take(text, NULL);
	take(text, NULL);
	settle();
	ck_assert_int_eq(h.n, 1);
	ck_assert_uint_eq(h.runs[0]->len, 2000);
	ck_assert_mem_eq(h.runs[0]->message, text, 2000);
	end(0, 0);
}
END_TEST

/* What the process before left: its memory has gone, the records have not. */
static void *before __attribute__((used));

START_TEST(a_crash_loses_none)
{
	h.room = 1;
	take("ran", NULL);
	settle();
	take("ran", NULL);
	take("waits", NULL);
	take("coalesces", NULL);
	settle();
	ck_assert_int_eq(h.n, 1);

	before = TAKE(s->triggers);
	for (int i = -1; (i = record_next(RECORD_RUN, i)) >= 0;)
		ck_assert_int_eq(trigger_adopt(s, i), 0);
	ck_assert_int_eq(trigger_start(s), 0);
	/* The one that ran is not known to anybody: it runs again. That the
	 * same waits already is the same run. */
	ck_assert_uint_eq(trigger_pending(s), 3);
	h.room = 10;
	settle();
	ck_assert_int_eq(h.n, 4);
	for (int i = 1; i < 4; i++)
		end(i, 0);
	ck_assert_uint_eq(trigger_running(s) + trigger_pending(s), 0);
}
END_TEST

START_TEST(an_end_that_nobody_saw_is_another_run)
{
	h.room = 2;
	take("a", NULL);
	settle();
	end(0, -1);
	ck_assert_int_eq(h.n, 2);
	end(1, 0);
	ck_assert_uint_eq(trigger_running(s), 0);
}
END_TEST

START_TEST(stopping_runs_what_was_taken)
{
	house.conf.coalesce = 100000;
	take("a", NULL);
	settle();
	ck_assert_int_eq(h.n, 0);
	ck_assert_uint_eq(trigger_stop(s, false), 1);
	ck_assert_int_eq(take("b", NULL), -ESHUTDOWN);
	h.room = 1;
	trigger_room(s);
	settle();
	ck_assert_int_eq(h.n, 1);
	end(0, 0);
	ck_assert_uint_eq(trigger_stop(s, false), 0);
}
END_TEST

START_TEST(every_is_kept_over_a_restart)
{
	house.conf.every = 50;
	h.room = 100;
	ck_assert_int_eq(trigger_start(s), 0);
	house_run(&house, 120);
	ck_assert_int_ge(h.n, 1);
	for (int i = 0; i < h.n; i++)
		end(i, 0);
	house.conf.every = 100000;
	trigger_changed(s);
	before = TAKE(s->triggers);
	for (int i = -1; (i = record_next(RECORD_RUN, i)) >= 0;)
		ck_assert_int_eq(trigger_adopt(s, i), 0);
	ck_assert_int_eq(trigger_start(s), 0);
	ck_assert_uint_eq(record_count(), 1);
	house.conf.every = 0;
	trigger_changed(s);
	ck_assert_uint_eq(record_count(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trigger");
	TCase *tc = tcase_create("trigger");
	SRunner *sr;
	int failed;

	house_begin();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_waits_for_each_message);
	tcase_add_test(tc, the_queue_is_bounded);
	tcase_add_test(tc, who_waits_shares_the_run);
	tcase_add_test(tc, a_failed_run_is_tried_again);
	tcase_add_test(tc, a_long_message_lies_in_the_state);
	tcase_add_test(tc, a_crash_loses_none);
	tcase_add_test(tc, an_end_that_nobody_saw_is_another_run);
	tcase_add_test(tc, stopping_runs_what_was_taken);
	tcase_add_test(tc, every_is_kept_over_a_restart);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
