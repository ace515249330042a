/*
 * What work/roll promises, with real workers (cat, which ends when its queue
 * does): the new ones first, old ones told when the new live; a new version
 * that dies changes nothing; a newer roll drops an older one.
 */
#include "work/roll.h"

#include <errno.h>

#include "house.h"

static struct house h;
static struct service *s;
static struct conf owner;
static struct conf_service conf;
static char *cat[] = { (char *)"sh", (char *)"-c", (char *)"exec cat <&3",
		       NULL };
static char *dies[] = { (char *)"sh", (char *)"-c", (char *)"exit 7", NULL };
static int results[8];
static int nresults;
static char said[256];
static bool gone;

static void on_room(struct service *sv)
{
	(void)sv;
}

static void on_gone(struct service *sv)
{
	(void)sv;
	gone = true;
}

static struct pool *pool(void)
{
	return s->work;
}

static void begin(char **argv, uint32_t workers)
{
	house_open(&h);
	h.u.on_room = on_room;
	h.u.on_gone = on_gone;
	s = house_service(&h, "roll");
	owner = (struct conf){ .refs = 1 };
	conf = (struct conf_service){
		.name = (char *)"roll",
		.program = (char *)"/bin/sh",
		.argv = { argv, 3 },
		.workers = { workers, workers },
		.queue_limit = 10,
		.handoff = HANDOFF_PASS,
		.output = OUTPUT_NULL,
		.umask = -1,
		.oom_score_adjust = CHILD_OOM_KEEP,
		.stop_signal = 15,
		.stop_timeout = 5000,
		.drain_timeout = 5000,
		.start_timeout = 5000,
		.respawn_delay = 100,
		.respawn_max = 60000,
		.roll = 1,
		.max_generations = 3,
		.enabled = true,
	};
	s->conf = &conf;
	s->owner = &owner;
	s->handler = &handler_pass;
	nresults = 0;
	gone = false;
	ck_assert_int_eq(handler_pass.start(s), 0);
}

static void until(bool (*what)(void))
{
	for (int i = 0; i < 500 && !what(); i++)
		house_run(&h, 10);
	ck_assert(what());
}

static bool is_gone(void)
{
	return gone;
}

static void finish(void)
{
	handler_pass.stop(s, false);
	until(is_gone);
	handler_pass.end(s);
	free(s->degraded);
	house_service_end(s);
	house_close(&h);
}

static void on_done(void *arg, int result, const char *why)
{
	(void)arg;
	results[nresults++] = result;
	snprintf(said, sizeof(said), "%s", why);
}

static bool one_result(void)
{
	return nresults > 0;
}

static bool one_generation(void)
{
	return TAILQ_NEXT(TAILQ_FIRST(&pool()->generations), entry) == NULL;
}

START_TEST(takes_over)
{
	struct generation *old;

	begin(cat, 3);
	old = pool()->current;
	ck_assert_uint_eq(old->nworkers, 3);
	ck_assert_int_eq(handler_pass.roll(s, on_done, NULL), 0);
	ck_assert_ptr_eq(pool()->current, old);
	until(one_result);
	ck_assert_int_eq(results[0], 0);
	ck_assert_uint_eq(s->data->generation, 2);
	ck_assert_uint_eq(pool()->current->number, 2);
	ck_assert_uint_eq(pool()->current->nready, 3);
	until(one_generation);
	ck_assert_int_eq(nresults, 1);
	finish();
}
END_TEST

START_TEST(fails)
{
	struct generation *old;
	struct conf_service bad;

	begin(cat, 2);
	old = pool()->current;
	conf.settle = 300;
	bad = conf;
	bad.argv.v = dies;
	s->conf = &bad;
	ck_assert_int_eq(handler_pass.roll(s, on_done, NULL), 0);
	until(one_result);
	ck_assert_int_eq(results[0], -EIO);
	ck_assert_ptr_nonnull(strstr(said, "exited with status 7"));
	ck_assert_ptr_eq(pool()->current, old);
	ck_assert_uint_eq(old->nready, 2);
	ck_assert_uint_eq(old->nleaving, 0);
	ck_assert(!s->rolling && !s->degraded);
	until(one_generation);
	finish();
}
END_TEST

START_TEST(overtaken)
{
	begin(cat, 1);
	conf.settle = 200;
	ck_assert_int_eq(handler_pass.roll(s, on_done, NULL), 0);
	house_run(&h, 50);
	conf.settle = 0;
	ck_assert_int_eq(handler_pass.roll(s, on_done, NULL), 0);
	ck_assert_int_eq(nresults, 1);
	ck_assert_int_eq(results[0], -ECANCELED);
	while (nresults < 2)
		house_run(&h, 10);
	ck_assert_int_eq(results[1], 0);
	ck_assert_uint_eq(pool()->current->number, 3);
	until(one_generation);
	finish();
}
END_TEST

/* The first must live so long before an old one is told. */
START_TEST(settles)
{
	begin(cat, 2);
	conf.settle = 400;
	ck_assert_int_eq(handler_pass.roll(s, on_done, NULL), 0);
	house_run(&h, 200);
	ck_assert_int_eq(nresults, 0);
	ck_assert_uint_eq(pool()->current->number, 1);
	ck_assert_uint_eq(pool()->current->nleaving, 0);
	ck_assert_uint_eq(pool()->next->nready, 1);
	/* Both take their share meanwhile. */
	ck_assert(roll_share(pool()) != NULL);
	until(one_result);
	ck_assert_int_eq(results[0], 0);
	finish();
}
END_TEST

START_TEST(old_first)
{
	begin(cat, 2);
	conf.roll = 0;
	ck_assert_int_eq(handler_pass.roll(s, on_done, NULL), 0);
	ck_assert(pool()->held);
	ck_assert(!handler_pass.room(s));
	until(one_result);
	ck_assert_int_eq(results[0], 0);
	ck_assert(!pool()->held);
	ck_assert_uint_eq(pool()->current->number, 2);
	ck_assert(one_generation());
	finish();
}
END_TEST

/* Nobody is wanted: the next worker is the new version's. */
START_TEST(none_at_all)
{
	begin(cat, 0);
	ck_assert_int_eq(handler_pass.roll(s, on_done, NULL), 0);
	ck_assert_int_eq(nresults, 1);
	ck_assert_int_eq(results[0], 0);
	until(one_generation);
	ck_assert_uint_eq(pool()->current->nworkers, 0);
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("roll");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	house_begin();
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, takes_over);
	tcase_add_test(tc, fails);
	tcase_add_test(tc, overtaken);
	tcase_add_test(tc, settles);
	tcase_add_test(tc, old_first);
	tcase_add_test(tc, none_at_all);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
