/*
 * What base/stats promises: rates that follow, histograms that add up.
 */
#include "base/stats.h"

#include <check.h>
#include <stdlib.h>

#include "base/mem.h"

/* 100 a second for SECONDS from START, looked at every STEP ms. */
static uint64_t run(struct stats_rate *r, uint64_t start, uint64_t seconds,
		    uint64_t step, uint64_t per_second)
{
	uint64_t now = start, end = start + seconds * 1000;

	for (; now < end; now += step) {
		stats_count(r, per_second * step / 1000);
		stats_tick(r, now + step);
	}
	return now;
}

START_TEST(rate_follows)
{
	struct stats_rate r = { 0 };
	uint64_t now;

	stats_tick(&r, 1000);
	ck_assert_float_eq(r.per_s[0], 0);
	now = run(&r, 1000, 10, 250, 100);
	ck_assert_float_eq_tol(r.per_s[0], 100, 0.1);
	/* 1 - 1/e of the way after one span, and slower the longer it is. */
	ck_assert_float_eq_tol(r.per_s[1], 63.2, 0.5);
	ck_assert_float_eq_tol(r.per_s[2], 15.4, 0.5);
	ck_assert_uint_eq(r.count, 1000);
	now = run(&r, now, 600, 250, 100);
	for (int i = 0; i < 3; i++)
		ck_assert_float_eq_tol(r.per_s[i], 100, 0.1);
	run(&r, now, 600, 250, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_float_lt(r.per_s[i], 0.1);
}
END_TEST

static const uint64_t steps[] = { 250, 500, 1000, 5000 };

/* How often somebody looks makes no difference at an even load. */
START_TEST(rate_steps)
{
	struct stats_rate r = { 0 };

	stats_tick(&r, 1);
	run(&r, 1, 10, steps[_i], 100);
	ck_assert_float_eq_tol(r.per_s[1], 63.2, 0.5);
}
END_TEST

START_TEST(rate_edges)
{
	struct stats_rate r = { 0 };

	stats_tick(&r, 5000);
	stats_count(&r, 10);
	stats_tick(&r, 5249);		/* no whole tick yet */
	ck_assert_float_eq(r.per_s[0], 0);
	ck_assert_uint_eq(r.seen, 0);
	stats_tick(&r, 5251);
	ck_assert_float_gt(r.per_s[0], 8);
	ck_assert_uint_eq(r.last_ms, 5250);
	stats_tick(&r, 100);		/* a clock that began anew */
	ck_assert_uint_eq(r.last_ms, 100);
	stats_tick(&r, UINT64_MAX);	/* very long after */
	for (int i = 0; i < 3; i++)
		ck_assert_float_lt(r.per_s[i], 0.001);
}
END_TEST

static const struct {
	uint64_t us;
	int bucket;
} times[] = {
	{ 0, 0 },  { 1, 0 },	{ 7, 0 },	{ 8, 1 },
	{ 15, 1 }, { 16, 2 },	{ 1000, 7 },	{ 1000000, 17 },
	{ (1 << 21) - 1, 18 },	{ 1 << 21, 19 }, { UINT64_MAX, 19 },
};

START_TEST(histogram)
{
	struct stats_hist h = { .sum_us = 0 };

	stats_add(&h, times[_i].us);
	ck_assert_uint_eq(h.bucket[times[_i].bucket], 1);
	ck_assert_uint_eq(h.sum_us, times[_i].us);
	ck_assert(times[_i].us < stats_bound(times[_i].bucket) ||
		  times[_i].us == UINT64_MAX);
	if (times[_i].bucket > 0)
		ck_assert_uint_ge(times[_i].us,
				  stats_bound(times[_i].bucket - 1));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stats");
	TCase *tc = tcase_create("stats");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, rate_follows);
	tcase_add_loop_test(tc, rate_steps, 0, ARRAY_SIZE(steps));
	tcase_add_test(tc, rate_edges);
	tcase_add_loop_test(tc, histogram, 0, ARRAY_SIZE(times));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
