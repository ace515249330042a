/*
 * What work/output promises: lines in the log with service and pid, bounded
 * in length, number and memory, and nothing lost at the end.
 */
#include "work/output.h"

#include <errno.h>
#include <fcntl.h>

#include "house.h"

static struct house h;
static struct service *s;
static int end_fd, record;

static void setup(void)
{
	bool inherit = true;

	house_open(&h);
	s = house_service(&h, "web");
	record = output_open(s, &h.conf, &end_fd, &inherit);
	ck_assert_int_ge(record, 0);
	ck_assert_int_ge(end_fd, RECORD_LOW);
	ck_assert(!inherit);
	output_pid(record, 77);
}

static void teardown(void)
{
	house_service_end(s);
	house_close(&h);
}

static void say(const char *text)
{
	ck_assert_int_eq(write(end_fd, text, strlen(text)), strlen(text));
}

static void worker_ends(bool failed)
{
	close(end_fd);
	output_ended(s, record, failed);
}

static const struct {
	const char *said, *told;
} rows[] = {
	{ "one\n", "web[77] one\n" },
	{ "one\r\ntwo\n\n\nthree\n", "web[77] one\nweb[77] two\n"
				     "web[77] three\n" },
	{ "torn by its death", "web[77] torn by its death\n" },
	{ "a\nhalf", "web[77] a\nweb[77] half\n" },
	{ "bell\a and \033[1mcolour\n", "web[77] bell? and ?[1mcolour\n" },
	{ "<3>bad\n<8>odd\n", "web[77] bad\nweb[77] <8>odd\n" },
	{ "percent %s %n\n", "web[77] percent %s %n\n" },
	{ "", "" },
};

START_TEST(lines)
{
	say(rows[_i].said);
	house_run(&h, 5);
	worker_ends(false);
	ck_assert_str_eq(h.told, rows[_i].told);
	ck_assert_ptr_null(s->last_line);
}
END_TEST

/* However it comes, a line is a line. */
START_TEST(pieces)
{
	for (const char *p = "first line\nsecond line\n"; *p; p++) {
		ck_assert_int_eq(write(end_fd, p, 1), 1);
		house_run(&h, 0);
	}
	ck_assert_str_eq(h.told, "web[77] first line\nweb[77] second line\n");
	worker_ends(false);
}
END_TEST

START_TEST(nul)
{
	ck_assert_int_eq(write(end_fd, "a\0b\n", 4), 4);
	house_run(&h, 5);
	ck_assert_str_eq(h.told, "web[77] a?b\n");
	worker_ends(false);
}
END_TEST

START_TEST(last_line)
{
	say("fine\nModuleNotFoundError: no app\n");
	house_run(&h, 5);
	worker_ends(true);
	ck_assert_str_eq(s->last_line, "ModuleNotFoundError: no app");
}
END_TEST

START_TEST(last_line_torn)
{
	say("fine\nSegmentation");
	worker_ends(true);
	ck_assert_str_eq(s->last_line, "Segmentation");
}
END_TEST

/* A line without end is told in pieces of OUTPUT_LINE. */
START_TEST(long_line)
{
	static char text[3 * OUTPUT_LINE + 11];

	memset(text, 'x', sizeof(text) - 1);
	say(text);
	house_run(&h, 20);
	ck_assert_uint_eq(h.lines, 3);
	worker_ends(false);
	ck_assert_uint_eq(h.lines, 4);
	ck_assert_uint_eq(strlen(h.told),
			  sizeof(text) - 1 + 4 * strlen("web[77] \n"));
}
END_TEST

/* A flood costs a counted drop, and the count is told. */
/* A machine that is busy elsewhere lets a line through now and then, and each
 * time tells what went before. */
static uint64_t told_dropped(const char *text)
{
	static const char begin[] = "web[77] wrote too much: ";
	uint64_t sum = 0;

	while ((text = strstr(text, begin)))
		sum += strtoull(text += sizeof(begin) - 1, NULL, 10);
	return sum;
}

static unsigned count_told(const char *text)
{
	unsigned n = 0;

	while ((text = strstr(text, " wrote too much: "))) {
		text++;
		n++;
	}
	return n;
}

START_TEST(flood)
{
	static char text[32768];
	uint64_t dropped;

	for (size_t i = 0; i < sizeof(text); i += 4)
		memcpy(text + i, "abc\n", 4);
	ck_assert_int_eq(write(end_fd, text, sizeof(text)), sizeof(text));
	house_run(&h, 20);
	ck_assert_uint_ge(h.lines, OUTPUT_BURST);
	ck_assert_uint_le(h.lines, OUTPUT_BURST + OUTPUT_RATE);
	dropped = s->data->output_dropped;
	ck_assert_uint_ge(dropped, sizeof(text) -
			  4 * (OUTPUT_BURST + OUTPUT_RATE));
	worker_ends(false);
	ck_assert_ptr_nonnull(strstr(h.told, " bytes were dropped\n"));
	ck_assert_uint_eq(told_dropped(h.told), dropped);
	/* Once at first, then once a minute, and at the end. */
	ck_assert_uint_le(count_told(h.told), 2);
}
END_TEST

/* The worker closes its streams and lives on: its record stays its own. */
START_TEST(closed_early)
{
	say("bye\n");
	close(end_fd);
	house_run(&h, 20);
	ck_assert_uint_eq(record_count(), 1);
	ck_assert_str_eq(h.told, "web[77] bye\n");
	output_ended(s, record, true);
	ck_assert_str_eq(s->last_line, "bye");
	ck_assert_uint_eq(record_count(), 0);
}
END_TEST

/* Somebody else has the other end, and the service goes before them. */
START_TEST(grandchild)
{
	int theirs = dup(end_fd);

	say("from the worker");
	worker_ends(false);
	ck_assert_str_eq(h.told, "web[77] from the worker\n");
	ck_assert_uint_eq(record_count(), 1);
	house_service_end(s);
	ck_assert_int_eq(write(theirs, "late\n", 5), 5);
	house_run(&h, 5);
	ck_assert_ptr_nonnull(strstr(h.told, "web[77] late\n"));
	close(theirs);
	house_run(&h, 20);
	ck_assert_uint_eq(record_count(), 0);
	s = house_service(&h, "web");
}
END_TEST

/* A record whose buffer is somebody else's is not taken over. */
START_TEST(damaged)
{
	say("half of ");
	house_run(&h, 5);
	free(loop_arg(h.u.loop, record));
	ck_assert_int_eq(output_adopt(s, record), -EINVAL);
	close(end_fd);
}
END_TEST

START_TEST(null_and_inherit)
{
	bool inherit = false;
	int fd = 0;

	worker_ends(false);
	h.conf.output = OUTPUT_INHERIT;
	ck_assert_int_eq(output_open(s, &h.conf, &fd, &inherit), -1);
	ck_assert(inherit);
	ck_assert_int_eq(fd, -1);
	h.conf.output = OUTPUT_NULL;
	ck_assert_int_eq(output_open(s, &h.conf, &fd, &inherit), -1);
	ck_assert(!inherit);
	ck_assert_int_eq(fd, -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("output");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	house_begin();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, lines, 0, ARRAY_SIZE(rows));
	tcase_add_test(tc, pieces);
	tcase_add_test(tc, nul);
	tcase_add_test(tc, last_line);
	tcase_add_test(tc, last_line_torn);
	tcase_add_test(tc, long_line);
	tcase_add_test(tc, flood);
	tcase_add_test(tc, closed_early);
	tcase_add_test(tc, grandchild);
	tcase_add_test(tc, damaged);
	tcase_add_test(tc, null_and_inherit);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
