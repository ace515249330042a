/*
 * What base/json_out promises: the bytes that a tree would be printed to (but
 * that exponents have a sign).
 */
#include "base/json_out.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const int64_t ints[] = { 0, 1, -1, 9, 10, -10, 1234567890123,
				INT64_MAX, INT64_MIN };
static const double reals[] = { 0, 1, -1, 0.1, 1.5, 12345678, 0.001, 100,
				1e15, 0.333f };
static const char *const texts[] = {
	NULL, "", "plain", "with \"quotes\"", "back\\slash", "line\nbreak",
	"\x7f", "\x01", "umlaut \xc3\xa4", "torn \xc3", "odd \xff bytes",
};

static char *out_end(FILE *f, char **text)
{
	fclose(f);
	return *text;
}

/* `{"k":VALUE,"l":[VALUE]}` both ways; VALUE is taken. */
static void same(void (*put)(struct json_out *o, const char *key, int i),
		 int i, json_t *value)
{
	CLEANUP(json_decrefp) json_t *tree = json_object();
	CLEANUP(freep) char *text = NULL;
	CLEANUP(freep) char *line = NULL;
	size_t len = 0;
	struct json_out o = { .f = open_memstream(&text, &len) };

	json_put(tree, "k", json_incref(value));
	json_put(tree, "l", json_pack("[O, o]", value, value));
	line = json_line(tree, NULL);
	json_out_open(&o, NULL, '{');
	put(&o, "k", i);
	json_out_open(&o, "l", '[');
	put(&o, NULL, i);
	put(&o, NULL, i);
	json_out_close(&o, ']');
	json_out_close(&o, '}');
	ck_assert_str_eq(out_end(o.f, &text), line);
}

static void put_int(struct json_out *o, const char *key, int i)
{
	json_out_int(o, key, ints[i]);
}

START_TEST(integer)
{
	same(put_int, _i, json_integer(ints[_i]));
}
END_TEST

static void put_real(struct json_out *o, const char *key, int i)
{
	json_out_real(o, key, reals[i]);
}

START_TEST(real)
{
	same(put_real, _i, json_real(reals[_i]));
}
END_TEST

static void put_text(struct json_out *o, const char *key, int i)
{
	json_out_text(o, key, texts[i]);
}

START_TEST(text)
{
	same(put_text, _i, json_safe_text(texts[_i]));
}
END_TEST

/* JSON has no word for them. */
START_TEST(no_number)
{
	CLEANUP(freep) char *text = NULL;
	size_t len = 0;
	struct json_out o = { .f = open_memstream(&text, &len) };

	json_out_open(&o, NULL, '[');
	json_out_real(&o, NULL, (double)INFINITY);
	json_out_real(&o, NULL, (double)NAN);
	json_out_bool(&o, NULL, true);
	json_out_open(&o, NULL, '{');
	json_out_close(&o, '}');
	json_out_bool(&o, NULL, false);
	json_out_close(&o, ']');
	ck_assert_str_eq(out_end(o.f, &text), "[0.0,0.0,true,{},false]");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("json_out");
	TCase *tc = tcase_create("json_out");
	SRunner *sr;
	int failed;

	json_setup();
	tcase_add_loop_test(tc, integer, 0, ARRAY_SIZE(ints));
	tcase_add_loop_test(tc, real, 0, ARRAY_SIZE(reals));
	tcase_add_loop_test(tc, text, 0, ARRAY_SIZE(texts));
	tcase_add_test(tc, no_number);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
