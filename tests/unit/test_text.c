/*
 * What base/text promises: each value, its text, and what is refused.
 */
#include "base/text.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *text;
	int result;
	int64_t ms;
	const char *back;	/* printed again, NULL: the same */
} durations[] = {
	{ "0", 0, 0, NULL },
	{ "250ms", 0, 250, NULL },
	{ "1500ms", 0, 1500, NULL },
	{ "1000ms", 0, 1000, "1s" },
	{ "30s", 0, 30000, NULL },
	{ "90s", 0, 90000, NULL },
	{ "5min", 0, 300000, NULL },
	{ "60min", 0, 3600000, "1h" },
	{ "2h", 0, 7200000, NULL },
	{ "1d", 0, 86400000, NULL },
	{ "0s", 0, 0, "0" },
	{ "-1s", -EINVAL, 0, NULL },
	{ "+1s", -EINVAL, 0, NULL },
	{ "30", -EINVAL, 0, NULL },	/* no unit: we do not guess */
	{ "", -EINVAL, 0, NULL },
	{ "s", -EINVAL, 0, NULL },
	{ "1.5s", -EINVAL, 0, NULL },
	{ "1 s", -EINVAL, 0, NULL },
	{ "1S", -EINVAL, 0, NULL },
	{ "5m", -EINVAL, 0, NULL },	/* minutes or months? */
	{ "9999999999999h", -ERANGE, 0, NULL },
	{ "99999999999999999999999h", -ERANGE, 0, NULL },
	{ "99999999999999999999999", -EINVAL, 0, NULL },
};

START_TEST(duration)
{
	int64_t ms = 0;
	char buf[32];

	ck_assert_int_eq(text_duration(durations[_i].text, &ms),
			 durations[_i].result);
	ck_assert_int_eq(ms, durations[_i].ms);
	if (durations[_i].result == 0)
		ck_assert_str_eq(text_duration_print(ms, buf, sizeof(buf)),
				 durations[_i].back ? durations[_i].back :
						      durations[_i].text);
}
END_TEST

static const struct {
	const char *text;
	int result;
	uint64_t bytes;
	const char *back;
} sizes[] = {
	{ "0", 0, 0, NULL },
	{ "100", 0, 100, NULL },
	{ "64K", 0, 65536, NULL },
	{ "65536", 0, 65536, "64K" },
	{ "1M", 0, 1 << 20, NULL },
	{ "2G", 0, UINT64_C(2) << 30, NULL },
	{ "3T", 0, UINT64_C(3) << 40, NULL },
	{ "1025", 0, 1025, NULL },
	{ "18446744073709551615", 0, UINT64_MAX, NULL },
	{ "18446744073709551616", -ERANGE, 0, NULL },
	{ "18446744073709551615K", -ERANGE, 0, NULL },
	{ "K", -EINVAL, 0, NULL },
	{ "1k", -EINVAL, 0, NULL },
	{ "1KB", -EINVAL, 0, NULL },
	{ "-1", -EINVAL, 0, NULL },
};

START_TEST(size)
{
	uint64_t bytes = 0;
	char buf[32];

	ck_assert_int_eq(text_size(sizes[_i].text, &bytes), sizes[_i].result);
	ck_assert_uint_eq(bytes, sizes[_i].bytes);
	if (sizes[_i].result == 0)
		ck_assert_str_eq(text_size_print(bytes, buf, sizeof(buf)),
				 sizes[_i].back ? sizes[_i].back :
						  sizes[_i].text);
}
END_TEST

static const struct {
	const char *text;
	int result;
	bool value;
} bools[] = {
	{ "yes", 0, true },    { "no", 0, false },   { "true", 0, true },
	{ "false", 0, false }, { "on", 0, true },    { "off", 0, false },
	{ "1", 0, true },      { "0", 0, false },    { "YES", 0, true },
	{ "", -EINVAL, true }, { "2", -EINVAL, true },
	{ "y", -EINVAL, true }, { "yes ", -EINVAL, true },
};

START_TEST(boolean)
{
	bool b = true;

	ck_assert_int_eq(text_bool(bools[_i].text, &b), bools[_i].result);
	ck_assert_int_eq(b, bools[_i].value);
}
END_TEST

static const struct {
	const char *text;
	int64_t min, max;
	int result;
	int64_t value;
} numbers[] = {
	{ "7", 0, 10, 0, 7 },
	{ "-7", -10, 10, 0, -7 },
	{ "007", 0, 10, 0, 7 },
	{ "9223372036854775807", 0, INT64_MAX, 0, INT64_MAX },
	{ "9223372036854775808", 0, INT64_MAX, -ERANGE, 99 },
	{ "11", 0, 10, -ERANGE, 99 },
	{ "-1", 0, 10, -ERANGE, 99 },
	{ "7x", 0, 10, -EINVAL, 99 },
	{ " 7", 0, 10, -EINVAL, 99 },
	{ "0x7", 0, 10, -EINVAL, 99 },
	{ "-", 0, 10, -EINVAL, 99 },
	{ "", 0, 10, -EINVAL, 99 },
};

START_TEST(number)
{
	int64_t n = 99;

	ck_assert_int_eq(text_number(numbers[_i].text, numbers[_i].min,
				     numbers[_i].max, &n),
			 numbers[_i].result);
	ck_assert_int_eq(n, numbers[_i].value);
}
END_TEST

static const struct {
	const char *text;
	int result;
	uint32_t min, max;
} ranges[] = {
	{ "4", 0, 4, 4 },
	{ "2-8", 0, 2, 8 },
	{ "0-1", 0, 0, 1 },
	{ "0", 0, 0, 0 },
	{ "3-3", 0, 3, 3 },
	{ "8-2", -EINVAL, 9, 9 },
	{ "2-", -EINVAL, 9, 9 },
	{ "-2", -EINVAL, 9, 9 },
	{ "2 - 8", -EINVAL, 9, 9 },
	{ "1-2-3", -EINVAL, 9, 9 },
	{ "4294967296", -ERANGE, 9, 9 },
	{ "1-99999999999999999999", -ERANGE, 9, 9 },
};

START_TEST(range)
{
	struct text_range v = { 9, 9 };

	ck_assert_int_eq(text_range(ranges[_i].text, &v), ranges[_i].result);
	ck_assert_uint_eq(v.min, ranges[_i].min);
	ck_assert_uint_eq(v.max, ranges[_i].max);
}
END_TEST

static const struct {
	const char *text;
	int result;
	double per_second, burst;
	const char *back;
} rates[] = {
	{ "100/s", 0, 100, 100, NULL },
	{ "60/min", 0, 1, 1, "1/s" },
	{ "90/min", 0, 1.5, 1.5, NULL },
	{ "10/min", 0, 10.0 / 60, 1, NULL },	/* one at least */
	{ "7/h", 0, 7.0 / 3600, 1, NULL },
	{ "5/d", 0, 5.0 / 86400, 1, NULL },
	{ "100/s burst=500", 0, 100, 500, NULL },
	{ "10/min  burst=3", 0, 10.0 / 60, 3, "10/min burst=3" },
	{ "none", 0, 0, 0, NULL },
	{ "100", -EINVAL, 9, 9, NULL },
	{ "100/", -EINVAL, 9, 9, NULL },
	{ "100/week", -EINVAL, 9, 9, NULL },
	{ "100/sburst=3", -EINVAL, 9, 9, NULL },
	{ "100/s burst", -EINVAL, 9, 9, NULL },
	{ "100/s burst=3 x", -EINVAL, 9, 9, NULL },
	{ "100/s burst=0", -ERANGE, 9, 9, NULL },
	{ "0/s", -ERANGE, 9, 9, NULL },	/* nothing would ever pass */
	{ "99999999999999999999/s", -ERANGE, 9, 9, NULL },
};

START_TEST(rate)
{
	struct text_rate v = { 9, 9 };
	char buf[64];

	ck_assert_int_eq(text_rate(rates[_i].text, &v), rates[_i].result);
	ck_assert_double_eq_tol(v.per_second, rates[_i].per_second, 1e-9);
	ck_assert_double_eq_tol(v.burst, rates[_i].burst, 1e-9);
	if (rates[_i].result == 0)
		ck_assert_str_eq(text_rate_print(&v, buf, sizeof(buf)),
				 rates[_i].back ? rates[_i].back :
						  rates[_i].text);
}
END_TEST

static const struct {
	const char *text;
	int result, signo;
} signal_rows[] = {
	{ "TERM", 0, SIGTERM },	     { "SIGTERM", 0, SIGTERM },
	{ "sigterm", 0, SIGTERM },   { "15", 0, SIGTERM },
	{ "USR2", 0, SIGUSR2 },	     { "WINCH", 0, SIGWINCH },
	{ "0", -ERANGE, -1 },	     { "65", -ERANGE, -1 },
	{ "SIG", -EINVAL, -1 },	     { "", -EINVAL, -1 },
	{ "NOPE", -EINVAL, -1 },     { "15x", -EINVAL, -1 },
	{ "nown signal", -EINVAL, -1 }, /* a nameless number's text */
	{ "unknown signal", -EINVAL, -1 },
	{ "32", -EINVAL, -1 },	/* the C library's own */
	{ "33", -EINVAL, -1 },
};

START_TEST(signal_word)
{
	int signo = -1;

	ck_assert_int_eq(text_signal(signal_rows[_i].text, &signo),
			 signal_rows[_i].result);
	ck_assert_int_eq(signo, signal_rows[_i].signo);
}
END_TEST

START_TEST(signal_names)
{
	int back;

	for (int i = 1; i <= SIGRTMAX; i++) {
		if (i > 31 && i < SIGRTMIN)
			continue;
		ck_assert_int_eq(text_signal(text_signal_name(i), &back), 0);
		ck_assert_int_eq(back, i);
	}
	ck_assert_str_eq(text_signal_name(SIGKILL), "SIGKILL");
	ck_assert_str_eq(text_signal_name(SIGRTMIN + 3), "SIGRTMIN+3");
	ck_assert_str_eq(text_signal_name(0), "unknown signal");
	ck_assert_str_eq(text_signal_name(-1), "unknown signal");
	ck_assert_str_eq(text_signal_name(INT_MAX), "unknown signal");
}
END_TEST

static const struct {
	const char *line;
	const char *words[5];
} lines[] = {
	{ "", { NULL } },
	{ " \t ", { NULL } },
	{ "/bin/cat", { "/bin/cat" } },
	{ "  a  b\tc ", { "a", "b", "c" } },
	{ "a 'b c' \"d e\"", { "a", "b c", "d e" } },
	{ "'' \"\"", { "", "" } },
	{ "a'b'c", { "abc" } },
	{ "\"it's\" 'a \"b\"'", { "it's", "a \"b\"" } },
	{ "\"a\\\"b\"", { "a\"b" } },
	{ "'a\\'b'", { "a'b" } },
	{ "a\\sb \\\\ \\t", { "a b", "\\", "\t" } },
	{ "\\x41\\102 \\u00e4\\U0001f600", { "AB", "\xc3\xa4\xf0\x9f\x98\x80" } },
	{ "%n $HOME ~ * ; #", { "%n", "$HOME", "~", "*", ";" } },
	{ "\\d+\\xZZ", { "\\d+\\xZZ" } },	/* unknown: stays */
};

START_TEST(split)
{
	struct strv sv = { 0 };
	size_t n = 0;

	ck_assert_int_eq(text_split(lines[_i].line, &sv), 0);
	for (; n < 5 && lines[_i].words[n]; n++) {
		ck_assert_uint_gt(sv.n, n);
		ck_assert_str_eq(sv.v[n], lines[_i].words[n]);
	}
	ck_assert_uint_eq(sv.n, n == 5 ? 6 : n);
	strv_free(&sv);
}
END_TEST

static const struct {
	const char *line;
	int result;
} torn[] = {
	{ "'a", -EINVAL },	{ "\"a", -EINVAL },
	{ "a 'b\" c", -EINVAL }, { "a\\", -EILSEQ },
	{ "'a\\", -EILSEQ },	{ "\\x00", -EILSEQ },
	{ "\\U00110000", -EILSEQ }, { "\\ud800", -EILSEQ },
};

START_TEST(split_refused)
{
	struct strv sv = { 0 };

	ck_assert_int_eq(text_split(torn[_i].line, &sv), torn[_i].result);
	ck_assert_ptr_null(sv.v);
	ck_assert_ptr_nonnull(strstr(text_split_why(torn[_i].result),
				     torn[_i].result == -EINVAL ? "quote"
								: "escape"));
}
END_TEST

static const char *const joined[] = {
	"", "plain", "two words", "'", "\"", "\\", "a\\sb", "\n\x01\x7f",
	"\xc3\xa4", "--x=\"y z\"", "100%", ";", "#", "a ; b # c", "a;b",
};

/* Whatever the words are, their line splits into them again. */
START_TEST(join)
{
	struct strv sv = { 0 }, back = { 0 };
	char *line;

	for (size_t i = 0; i < ARRAY_SIZE(joined); i++)
		strv_push(&sv, xstrdup(joined[i]));
	line = text_join(&sv);
	ck_assert_int_eq(text_split(line, &back), 0);
	ck_assert_uint_eq(back.n, sv.n);
	for (size_t i = 0; i < sv.n; i++)
		ck_assert_str_eq(back.v[i], sv.v[i]);
	/* Nothing that would begin a comment in an INI file. */
	ck_assert_ptr_null(strstr(line, " ;"));
	ck_assert_ptr_null(strstr(line, " #"));
	free(line);
	strv_free(&sv);
	strv_free(&back);
	line = text_join(&sv);
	ck_assert_str_eq(line, "");
	free(line);
}
END_TEST

/* Quoted, a word grows as little as can be: an INI line has its most. */
static const struct {
	const char *word, *line;
} short_rows[] = {
	{ "a b", "\"a b\"" },	       { "{\"a\":\"b\"}", "'{\"a\":\"b\"}'" },
	{ "it's", "\"it's\"" },	       { "a b;c#d", "\"a b;c#d\"" },
	{ "a ;b #c", "\"a \\x3bb \\x23c\"" }, { ";", "\";\"" },
	{ "caf\xe9", "\"caf\\xe9\"" }, /* no UTF-8 */
	{ "\xc3\xa9 \xc3", "\"\xc3\xa9 \\xc3\"" },
	{ "\t\n\x01", "\"\\t\\n\\x01\"" },  { "'\"", "\"'\\\"\"" },
};

START_TEST(join_short)
{
	char *word = xstrdup(short_rows[_i].word);
	CLEANUP(freep) char *line =
		text_join(&(struct strv){ .v = &word, .n = 1 });

	ck_assert_str_eq(line, short_rows[_i].line);
	free(word);
}
END_TEST

static const struct {
	const char *s, *found;
} nearest_rows[] = {
	{ "lsten", "listen" },	   { "listne", "listen" },
	{ "Listen", "listen" },	   { "worker", "workers" },
	{ "idle_time", "idle_timeout" }, /* three letters off */
	{ "idle_tim", NULL },	   /* four */
	{ "idle-timeout", "idle_timeout" },
	{ "trigger", "trigger" },  { "x", NULL },
	{ "", NULL },		   { "quite_another", NULL },
	{ "exce", "exec" },	   { "ab", NULL },
};

START_TEST(nearest)
{
	static const char *const words[] = { "listen", "exec", "workers",
					     "idle_timeout", "trigger" };
	const char *found = text_nearest(nearest_rows[_i].s, words,
					 ARRAY_SIZE(words));

	if (nearest_rows[_i].found)
		ck_assert_str_eq(found, nearest_rows[_i].found);
	else
		ck_assert_ptr_null(found);
}
END_TEST

START_TEST(nearest_long)
{
	char s[300];
	const char *const words[] = { s, "exec" };

	memset(s, 'x', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	ck_assert_ptr_null(text_nearest(s, words, 2));
	ck_assert_str_eq(text_nearest("exe", words, 2), "exec");
}
END_TEST

static const struct {
	const char *s;
	size_t len;
	bool printable;
} texts[] = {
	{ "", 0, true },	  { "go on\t1", 7, true },
	{ "a\nb", 3, false },	  { "a\0b", 3, false },
	{ "\x7f", 1, false },	  { "\x1b[1m", 4, false },
	{ "\xc3\xa4", 2, true },  { "\xc3", 1, false },
	{ "\xa4", 1, false },	  { "\xc0\xaf", 2, false },
	{ "\xc2\x85", 2, false }, /* a control of the upper half */
	{ "\xe2\x82\xac", 3, true }, { "\xed\xa0\x80", 3, false },
	{ "\xf0\x9f\x98\x80", 4, true }, { "\xf4\x90\x80\x80", 4, false },
	{ "\xff", 1, false },
};

START_TEST(printable)
{
	ck_assert_int_eq(text_printable(texts[_i].s, texts[_i].len),
			 texts[_i].printable);
}
END_TEST

START_TEST(hex)
{
	char *s = text_hex("\x00\xff\x1a", 3);

	ck_assert_str_eq(s, "00ff1a");
	free(s);
	s = text_hex("", 0);
	ck_assert_str_eq(s, "");
	free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("text");
	TCase *tc = tcase_create("text");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, duration, 0, ARRAY_SIZE(durations));
	tcase_add_loop_test(tc, size, 0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(tc, boolean, 0, ARRAY_SIZE(bools));
	tcase_add_loop_test(tc, number, 0, ARRAY_SIZE(numbers));
	tcase_add_loop_test(tc, range, 0, ARRAY_SIZE(ranges));
	tcase_add_loop_test(tc, rate, 0, ARRAY_SIZE(rates));
	tcase_add_loop_test(tc, signal_word, 0, ARRAY_SIZE(signal_rows));
	tcase_add_test(tc, signal_names);
	tcase_add_loop_test(tc, split, 0, ARRAY_SIZE(lines));
	tcase_add_loop_test(tc, split_refused, 0, ARRAY_SIZE(torn));
	tcase_add_test(tc, join);
	tcase_add_loop_test(tc, join_short, 0, ARRAY_SIZE(short_rows));
	tcase_add_loop_test(tc, nearest, 0, ARRAY_SIZE(nearest_rows));
	tcase_add_test(tc, nearest_long);
	tcase_add_loop_test(tc, printable, 0, ARRAY_SIZE(texts));
	tcase_add_test(tc, hex);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
