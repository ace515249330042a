/*
 * What conf/reader promises: nothing that inih would do silently stays
 * unsaid, each with its file and line.
 */
#include "conf/conf.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define X200 X50 X50 X50 X50

#define GOOD "[service a]\nlisten = unix:/tmp/a\nexec = /bin/sh\n"

/* Texts that are wrong, with the whole report. */
static const struct {
	const char *text;
	const char *report;
} wrong[] = {
	/* Cut at 198 bytes, and its rest read as further lines. */
	{ GOOD "refuse_message = " X200 "\n",
	  "t:4: [service a] a line of 217 bytes; 198 is the most: go on in "
	  "the next line, indented" },
	{ GOOD "# " X200 "\n",
	  "t:4: [service a] a line of 202 bytes; 198 is the most: go on in "
	  "the next line, after another '#'" },
	/* A section's name is cut at 49. */
	{ "[service " X50 "]\nlisten = unix:/tmp/a\nexec = /bin/sh\n",
	  "t:1: [service " X50 "] a service's name is of letters, digits, "
	  "'.', '_' and '-', at most 40\n"
	  "t:1: [service " X50 "] a section's name of more than 49 bytes "
	  "would be cut" },
	/* " ;" cuts anywhere. */
	{ GOOD "refuse_message = a ; b\n",
	  "t:4: [service a] refuse_message: ' ;' would begin a comment and "
	  "cut the line; a comment stands on a line of its own, and a ';' "
	  "that is meant has no blank before it" },
	{ GOOD "refuse_message = ;b\n",
	  "t:4: [service a] refuse_message: ' ;' would begin a comment and "
	  "cut the line; a comment stands on a line of its own, and a ';' "
	  "that is meant has no blank before it" },
	{ GOOD "environment = A=a\n\tB=b ; c\n",
	  "t:5: [service a] ' ;' would begin a comment and cut the line; a "
	  "comment stands on a line of its own, and a ';' that is meant has "
	  "no blank before it" },
	/* " #" does not: it would stay in the value. */
	{ GOOD "refuse_message = a # b\n",
	  "t:4: [service a] refuse_message: ' #' begins no comment here; a "
	  "comment stands on a line of its own, and a '#' that is meant has "
	  "no blank before it or stands in quotes" },
	/* A repeated key and a continuation look the same to the handler. */
	{ GOOD "output = log\noutput = null\n",
	  "t:5: [service a] output: given twice; the first is in line 4" },
	{ GOOD "  output = null\n",
	  "t:4: [service a] output: an indented line continues the value "
	  "above; begin the key at the line's start" },
	{ "[service a]\n  listen = unix:/tmp/a\nexec = /bin/sh\n",
	  "t:2: [service a] listen: an indented line continues the value "
	  "above; begin the key at the line's start" },
	{ "[service a]\n\tunix:/tmp/a\nlisten = unix:/tmp/a\n"
	  "exec = /bin/sh\n",
	  "t:2: [service a] an indented line, and no value above that it "
	  "could continue" },
	{ GOOD "  [service b]\n",
	  "t:4: [service a] an indented section header would continue the "
	  "value above; begin it at the line's start" },
	/* ':' separates too; a forgotten = is shown where it belongs. */
	{ GOOD "listen tcp:*:79\n",
	  "t:4: [service a] listen: there is no '=' in this line; write "
	  "'listen = tcp:*:79'" },
	{ "[service a]\nlisten tcp:*:79\nexec = /bin/sh\n",
	  "t:2: [service a] listen: there is no '=' in this line; write "
	  "'listen = tcp:*:79'" },
	{ GOOD "handoff pass\nqueue_limit = 3\n",
	  "t:4: [service a] handoff: there is no '=' in this line; write "
	  "'handoff = pass'" },
	{ GOOD "max_per_source 10\nqueue_limit = 3\nnice = x\n",
	  "t:4: [service a] max_per_source: there is no '=' in this line; "
	  "write 'max_per_source = 10'\n"
	  "t:5: [service a] queue_limit: cannot act here: under handoff = "
	  "spawn; it acts in: pass\n"
	  "t:6: [service a] nice: 'x' is no number from -20 to 19; added to "
	  "the program's niceness" },
	{ GOOD "listen: tcp:*:79\n",
	  "t:4: [service a] listen: there is no '=' in this line; write "
	  "'listen = tcp:*:79'" },
	{ GOOD "listen tcp:*:79 name=x\n",
	  "t:4: [service a] listen: there is no '=' after the key; write "
	  "'listen = tcp:*:79 name=x'" },
	{ GOOD "exec /bin/sh --a=b\n",
	  "t:4: [service a] exec: there is no '=' after the key; write "
	  "'exec = /bin/sh --a=b'" },
	{ GOOD "nonsense\n",
	  "t:4: [service a] there is no '=' in this line; write 'KEY = "
	  "VALUE', or '[SECTION]'" },
	{ GOOD "= x\n", "t:4: [service a] no key before the '='" },
	{ GOOD "output =\n",
	  "t:4: [service a] output: no value; where the program's words go" },
	/* Junk after the ], blanks inside, no ]. */
	{ "[service a] junk\nlisten = unix:/tmp/a\nexec = /bin/sh\n",
	  "t:1: [service a] something after the ']' would be ignored; "
	  "nothing may follow it" },
	{ "[ service a ]\nlisten = unix:/tmp/a\nexec = /bin/sh\n",
	  "t:1: [service a] blanks inside the brackets would become part of "
	  "the name; write it without" },
	{ GOOD "[service b\n", "t:4: a section without its ']'" },
	{ GOOD "[]\n", "t:4: a section without a name" },
	{ GOOD "output = n\001ll\n",
	  "t:4: [service a] a control character in the line (byte 11 is "
	  "0x01)" },
	/* Of other encodings. */
	{ GOOD "# caf\xe9\n",
	  "t:4: [service a] byte 6 of the line (0xe9) is no UTF-8 text; write "
	  "the file in UTF-8" },
	{ "\xff\xfe[\0u\0]\0", "t:1: the file is in UTF-16; write it in "
				  "UTF-8" },
	/* What the loader adds. */
	{ "output = log\n" GOOD,
	  "t:1: output: stands before the first section" },
	{ GOOD "[service]\n",
	  "t:4: [service] a service has a name: [service NAME]" },
	{ GOOD "[serivce web]\n",
	  "t:4: [serivce web] unknown section; did you mean [service web]?" },
	{ GOOD "[default]\n",
	  "t:4: [default] unknown section; did you mean [defaults]?" },
	{ GOOD "[http]\n",
	  "t:4: [http] unknown section; there are [usher], [defaults] and "
	  "[service NAME]" },
	{ GOOD "[service a]\n",
	  "t:4: [service a] the same section twice; the first is at t:1" },
	{ "[usher]\n[usher]\n",
	  "t:2: [usher] the same section twice; the first is at t:1" },
	{ "[defaults]\n[defaults]\n",
	  "t:2: [defaults] the same section twice; the first is at t:1" },
	{ GOOD "[service b c]\n",
	  "t:4: [service b c] a service's name is of letters, digits, '.', "
	  "'_' and '-', at most 40" },
	{ GOOD "lisen = unix:/tmp/b\n",
	  "t:4: [service a] lisen: unknown key; did you mean listen?" },
	{ GOOD "banana = 1\n",
	  "t:4: [service a] banana: unknown key; usher.ini(5) lists them" },
	{ GOOD "keeper = no\n",
	  "t:4: [service a] keeper: not a key of this section; it belongs to "
	  "[usher]" },
	{ "[usher]\noutput = log\n",
	  "t:2: [usher] output: not a key of this section; it belongs to "
	  "[service NAME] or [defaults]" },
	{ "[usher]\ncontrol_alow = user:root admin\n",
	  "t:2: [usher] control_alow: unknown key; did you mean "
	  "control_allow?" },
};

static int load(const char *text, size_t len, struct conf **c,
		struct conf_report *report)
{
	struct conf_source source = { .path = "t", .text = text, .len = len };

	return conf_load(&source, c, report);
}

static char *join(const struct strv *sv)
{
	char *s = xstrdup("");

	for (size_t i = 0; i < sv->n; i++) {
		CLEANUP(freep) char *before = s;

		s = xasprintf("%s%s%s", before, i ? "\n" : "", sv->v[i]);
	}
	return s;
}

/* "[service a] output: x" and "[service a] x": the section's colon. */
START_TEST(silent)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *got = NULL;

	ck_assert_int_eq(load(wrong[_i].text, strlen(wrong[_i].text), &c,
			      &report), -EINVAL);
	ck_assert_ptr_null(c);
	got = join(&report.errors);
	ck_assert_str_eq(got, wrong[_i].report);
	conf_report_free(&report);
}
END_TEST

/* Texts that are right, and what a key's value then is. */
static const struct {
	const char *text, *key, *value;
} right[] = {
	{ GOOD "refuse_message = a;b\non_full = refuse\n", "refuse_message",
	  "a;b" },
	{ GOOD "refuse_message = a#b\non_full = refuse\n", "refuse_message",
	  "a#b" },
	{ "[service a]\nlisten = unix:/tmp/a\nexec = /bin/sh -c '# x'\n",
	  "exec", "/bin/sh -c '# x'" },
	{ "[service a]\nlisten = unix:/tmp/a\nexec = /bin/sh\n\t-c\n  exit\n",
	  "exec", "/bin/sh -c exit" },
	{ GOOD "environment =\n\tA=1\n\tB=2\n", "environment", "A=1\nB=2" },
	/* A comment and an empty line do not end a value. */
	{ GOOD "environment = A=1\n# c\n\n\t; d\n\tB=2\n", "environment",
	  "A=1\nB=2" },
	{ "\xef\xbb\xbf[service a]\r\nlisten = unix:/tmp/a\r\n"
	  "exec = /bin/sh\r\n", "exec", "/bin/sh" },
	{ "[service a]\nlisten=unix:/tmp/a\nexec   =   /bin/sh   ", "exec",
	  "/bin/sh" },
	{ "# c\n; d\n\n[service a]   \nlisten = unix:/tmp/a\nexec = /bin/sh",
	  "listen", "unix:/tmp/a" },
};

START_TEST(plain)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *got = NULL;
	CLEANUP(freep) char *errors = NULL;

	load(right[_i].text, strlen(right[_i].text), &c, &report);
	errors = join(&report.errors);
	ck_assert_str_eq(errors, "");
	got = conf_value(conf_find(c, "a"), right[_i].key);
	ck_assert_str_eq(got, right[_i].value);
	conf_unref(&c);
	conf_report_free(&report);
}
END_TEST

/* The longest line that passes, to the byte: 198, and nothing is lost. */
START_TEST(longest)
{
	char text[600];
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *got = NULL;
	size_t n = 198 - strlen("refuse_message = ");

	snprintf(text, sizeof(text),
		 GOOD "on_full = refuse\nrefuse_message = %.*s\n", (int)n,
		 X200);
	ck_assert_int_eq(load(text, strlen(text), &c, &report), 0);
	got = conf_value(conf_find(c, "a"), "refuse_message");
	ck_assert_uint_eq(strlen(got), n);
	conf_unref(&c);
	conf_report_free(&report);
}
END_TEST

/* A byte that ends a string for C ends nothing here. */
START_TEST(nul)
{
	static const char text[] = GOOD "output = nu\0ll\n";
	struct conf_report report = { 0 };
	struct conf *c = NULL;

	ck_assert_int_eq(load(text, sizeof(text) - 1, &c, &report), -EINVAL);
	ck_assert_str_eq(report.errors.v[0],
			 "t:4: [service a] a control character in the line (byte "
			 "12 is 0x00)");
	conf_report_free(&report);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conf_reader");
	TCase *tc = tcase_create("conf_reader");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, silent, 0, ARRAY_SIZE(wrong));
	tcase_add_loop_test(tc, plain, 0, ARRAY_SIZE(right));
	tcase_add_test(tc, longest);
	tcase_add_test(tc, nul);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
