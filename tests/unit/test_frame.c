/*
 * What inlet/frame promises: the same requests, wherever a read cuts them.
 */
#include "inlet/frame.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define B(s) s, sizeof(s) - 1

/* WANT: each request in [], a too long one as !, a torn one as ?. */
static const struct {
	size_t max, size;
	const char *bytes;
	size_t len;
	const char *want;
} rows[] = {
	{ 20, 0, B(""), "" },
	{ 20, 0, B("go"), "[go]" },		/* the end is an end */
	{ 20, 0, B("go\n"), "[go]" },
	{ 20, 0, B("go\0"), "[go]" },
	{ 20, 0, B("go\r\n"), "[go]" },
	{ 20, 0, B("go\n\0"), "[go]" },		/* one, not two */
	{ 20, 0, B("go\r\n\0"), "[go]" },
	{ 20, 0, B("go\n\n"), "[go][]" },	/* an empty line is one */
	{ 20, 0, B("go\0\0"), "[go][]" },
	{ 20, 0, B("go\0\n"), "[go][]" },
	{ 20, 0, B("go\n\0\0"), "[go][]" },
	{ 20, 0, B("\n"), "[]" },
	{ 20, 0, B("\0"), "[]" },
	{ 20, 0, B("\r\n"), "[]" },
	{ 20, 0, B("a\nb\0c\r\nd"), "[a][b][c][d]" },
	{ 20, 0, B("a\rb\n"), "[a\rb]" },	/* a CR inside is no end */
	{ 20, 0, B("a b\tc\n"), "[a b\tc]" },
	{ 4, 0, B("1234\n"), "[1234]" },
	{ 4, 0, B("1234\r\n"), "[1234]" },
	{ 4, 0, B("1234"), "[1234]" },
	{ 4, 0, B("12345"), "!" },
	{ 4, 0, B("12345\nab\n"), "![ab]" },
	{ 4, 0, B("123456789\0ab\n"), "![ab]" },
	{ 4, 0, B("123456789\n\0ab\n"), "![ab]" },
	{ 4, 0, B("123456789"), "!" },
	{ 4, 0, B("123456\n123456\nx\n"), "!![x]" },
	{ 20, 4, B("abcd"), "[abcd]" },
	{ 20, 4, B("ab\n\0" "\r\n\0\0"), "[ab\n#][\r\n##]" },
	{ 20, 4, B("abcde"), "[abcd]?" },
	{ 20, 4, B("abc"), "?" },
	{ 20, 4, B(""), "" },
};

struct stream {
	struct frame f;
	uint8_t state;
	char buf[64];
	size_t len;
	char got[256];
};

static void say(struct stream *s, enum frame_result r,
		const struct frame_cut *cut)
{
	size_t n = strlen(s->got);

	if (r == FRAME_LONG)
		strcpy(s->got + n, "!");
	if (r == FRAME_TORN)
		strcpy(s->got + n, "?");
	if (r != FRAME_REQUEST)
		return;
	s->got[n++] = '[';
	for (size_t i = 0; i < cut->len; i++) {
		char c = s->buf[cut->at + i];

		s->got[n++] = c ? c : '#';
	}
	strcpy(s->got + n, "]");
}

static void feed(struct stream *s, const char *bytes, size_t len)
{
	enum frame_result r;
	struct frame_cut cut;

	memcpy(s->buf + s->len, bytes, len);
	s->len += len;
	do {
		r = frame_next(&s->f, &s->state, s->buf, s->len, &cut);
		say(s, r, &cut);
		ck_assert_uint_le(cut.used, s->len);
		s->len -= cut.used;
		memmove(s->buf, s->buf + cut.used, s->len);
	} while (r != FRAME_MORE);
}

static void finish(struct stream *s)
{
	struct frame_cut cut;
	enum frame_result r = frame_finish(&s->f, &s->state, s->len, &cut);

	say(s, r, &cut);
}

START_TEST(splits)
{
	const char *bytes = rows[_i].bytes;
	size_t len = rows[_i].len;

	for (size_t a = 0; a <= len; a++) {
		for (size_t b = a; b <= len; b++) {
			struct stream s = { .f = { rows[_i].max,
						   rows[_i].size } };

			feed(&s, bytes, a);
			feed(&s, bytes + a, b - a);
			feed(&s, bytes + b, len - b);
			finish(&s);
			ck_assert_str_eq(s.got, rows[_i].want);
		}
	}
}
END_TEST

START_TEST(bytes_one_by_one)
{
	struct stream s = { .f = { rows[_i].max, rows[_i].size } };

	for (size_t i = 0; i < rows[_i].len; i++)
		feed(&s, rows[_i].bytes + i, 1);
	finish(&s);
	ck_assert_str_eq(s.got, rows[_i].want);
}
END_TEST

#define SHORT 8

/* Where each request of BYTES begins, and its length: equal ones at a time if
 * ROW. Returns how many numbers that are. */
static size_t cut_short(const char *bytes, size_t size, bool row, size_t *at)
{
	const struct frame f = { 20, size };
	uint8_t state = 0;
	size_t n = 0;

	for (size_t used = 0; used < SHORT;) {
		struct frame_cut cut;
		enum frame_result r = frame_next(&f, &state, bytes + used,
						 SHORT - used, &cut);
		size_t times = 1;

		if (r == FRAME_MORE)
			break;
		if (row && cut.at == 0 && state == 0)
			times = frame_repeats(bytes + used, SHORT - used,
					      cut.used);
		for (; times; times--) {
			at[n++] = used + cut.at;
			at[n++] = cut.len;
			used += cut.used;
		}
	}
	return n;
}

START_TEST(rows_of_equal_ones)
{
	size_t one[2 * SHORT], all[2 * SHORT];

	for (unsigned k = 0; k < 1u << 2 * SHORT; k++) {
		char bytes[SHORT];
		size_t n;

		for (int i = 0; i < SHORT; i++)
			bytes[i] = "a\r\n"[k >> 2 * i & 3];
		n = cut_short(bytes, (size_t)_i, false, one);
		ck_assert_uint_eq(cut_short(bytes, (size_t)_i, true, all), n);
		ck_assert_mem_eq(all, one, n * sizeof(*one));
	}
	ck_assert_uint_eq(frame_repeats("go\ngo\ngo\nx", 10, 3), 3);
}
END_TEST

static const struct {
	size_t size;
	const char *bytes;
	size_t len;
	const char *want;
	const char *ack;
	size_t ack_len;
} whole[] = {
	{ 0, B("go"), "[go]", B("ACK") },
	{ 0, B(""), "[]", B("ACK") },
	{ 0, B("go\0"), "[go]", B("ACK\0") },
	{ 0, B("go\n"), "[go]", B("ACK\n") },
	{ 0, B("go\n\0"), "[go]", B("ACK\n") },
	{ 0, B("go\r\n"), "[go]", B("ACK\r\n") },
	{ 0, B("a\nb"), "[a\nb]", B("ACK") },	/* one request, as it is */
	{ 0, B("12345678901234567890"), "[12345678901234567890]", B("ACK") },
	{ 0, B("123456789012345678901"), "!", NULL, 0 },
	{ 3, B("abc"), "[abc]", B("ACK") },
	{ 3, B("ab\0"), "[ab#]", B("ACK") },
	{ 3, B("ab"), "?", NULL, 0 },
	{ 3, B("abcd"), "!", NULL, 0 },
};

START_TEST(datagram)
{
	struct stream s = { .f = { 20, whole[_i].size } };
	struct frame_cut cut;
	enum frame_result r;
	char ack[8];

	memcpy(s.buf, whole[_i].bytes, whole[_i].len);
	r = frame_whole(&s.f, s.buf, whole[_i].len, &cut);
	say(&s, r, &cut);
	ck_assert_str_eq(s.got, whole[_i].want);
	if (!whole[_i].ack)
		return;
	ck_assert_uint_eq(frame_ack(cut.end, ack), whole[_i].ack_len);
	ck_assert_mem_eq(ack, whole[_i].ack, whole[_i].ack_len);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("frame");
	TCase *tc = tcase_create("frame");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, splits, 0, ARRAY_SIZE(rows));
	tcase_add_loop_test(tc, bytes_one_by_one, 0, ARRAY_SIZE(rows));
	tcase_add_loop_test(tc, rows_of_equal_ones, 0, 3);
	tcase_add_loop_test(tc, datagram, 0, ARRAY_SIZE(whole));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
