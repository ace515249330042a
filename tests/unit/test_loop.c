/*
 * Tasks: each runs once in the round in which it is set, also from another
 * one; those that are to be last run when no other is left.
 */
#include "base/loop.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/record.h"

static struct loop *loop;
static struct task first, second, third, last;
static struct timer end;
static char order[16];

static void note(char c)
{
	order[strlen(order)] = c;
}

static void on_third(void *arg)
{
	(void)arg;
	note('3');
}

static void on_second(void *arg)
{
	(void)arg;
	note('2');
	task_set(loop, &third, on_third, NULL);
}

static void on_last(void *arg)
{
	(void)arg;
	note('l');
}

static void on_first(void *arg)
{
	(void)arg;
	note('1');
	task_set_last(loop, &last, on_last, NULL);
	task_set_last(loop, &last, on_last, NULL);
	task_set(loop, &second, on_second, NULL);
}

static void on_end(void *arg)
{
	(void)arg;
	note('e');
	loop_stop(loop);
}

START_TEST(tasks)
{
	ck_assert_int_eq(record_open(64, 8), 0);
	ck_assert_int_eq(loop_open(&loop, false), 0);
	task_set_last(loop, &third, on_third, NULL);
	task_cancel(loop, &third);
	task_set(loop, &first, on_first, NULL);
	timer_set(loop, &end, 0, on_end, NULL);
	loop_run(loop);
	ck_assert_str_eq(order, "123le");
	ck_assert(!last.set && !first.set);
	loop_close(&loop);
	record_shutdown();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop");
	TCase *tc = tcase_create("loop");
	SRunner *sr = srunner_create(s);
	int failed, fd;

	/* Numbers below are roles. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < RECORD_LOW - 1);
	tcase_add_test(tc, tasks);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
