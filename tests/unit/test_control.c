/*
 * What the control socket promises before a handler runs: bytes to messages
 * at every split, descriptors to the right one, words to parameters, who has
 * which level, and one table for all.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "control/commands.h"
#include "control/intake.h"
#include "control/peer.h"

/* ---- intake ---- */

static const char stream[] =
	"{\"method\":\"a\"}\0\n\nstatus web\r\n{\"b\":\"\\n\"}\0 last\n";

static const struct {
	bool line;
	const char *text;
} messages[] = {
	{ false, "{\"method\":\"a\"}" },
	{ true, "status web" },
	{ false, "{\"b\":\"\\n\"}" },	/* a newline in JSON ends nothing */
	{ true, "last" },
};

static size_t take(struct intake *in, size_t n)
{
	struct message m;

	while (intake_next(in, &m)) {
		ck_assert_uint_lt(n, ARRAY_SIZE(messages));
		ck_assert_int_eq(m.line, messages[n].line);
		ck_assert_str_eq(m.text, messages[n].text);
		ck_assert_uint_eq(m.len, strlen(messages[n].text));
		intake_done(in, &m);
		n++;
	}
	return n;
}

/* The same messages, wherever the bytes are torn. */
START_TEST(split)
{
	struct intake in = { .most = 1000 };
	size_t n, at = (size_t)_i;

	ck_assert_int_eq(intake_add(&in, stream, at, NULL, 0), 0);
	n = take(&in, 0);
	ck_assert_int_eq(intake_add(&in, stream + at, sizeof(stream) - 1 - at,
				    NULL, 0), 0);
	n = take(&in, n);
	ck_assert_uint_eq(n, ARRAY_SIZE(messages));
	ck_assert(!intake_half(&in));
	intake_end(&in);
}
END_TEST

START_TEST(byte_by_byte)
{
	struct intake in = { .most = 1000 };
	size_t n = 0;

	for (size_t i = 0; i < sizeof(stream) - 1; i++) {
		ck_assert_int_eq(intake_add(&in, stream + i, 1, NULL, 0), 0);
		n = take(&in, n);
	}
	ck_assert_uint_eq(n, ARRAY_SIZE(messages));
	intake_end(&in);
}
END_TEST

START_TEST(limits)
{
	struct intake in = { .most = 8 };

	ck_assert_int_eq(intake_add(&in, "{\"12345", 7, NULL, 0), 0);
	ck_assert_uint_eq(intake_room(&in), 1);
	ck_assert_int_eq(intake_add(&in, "67", 2, NULL, 0), -EMSGSIZE);
	ck_assert(intake_half(&in));
	intake_end(&in);
	ck_assert(!intake_half(&in));
}
END_TEST

static int new_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* They belong to the message that ends what they came with, or begins
 * there; what nobody takes is closed. */
START_TEST(descriptors)
{
	struct intake in = { .most = 100 };
	int fds[FD_MESSAGE_MAX], a = new_fd(), b = new_fd(), c = new_fd();
	struct message m;

	intake_add(&in, "one\ntwo\n", 8, &a, 1);
	ck_assert_int_eq(intake_next(&in, &m), 1);
	ck_assert_int_eq(intake_fds(&in, &m, fds), 0);
	intake_done(&in, &m);
	ck_assert_int_eq(intake_next(&in, &m), 1);
	ck_assert_int_eq(intake_fds(&in, &m, fds), 1);
	ck_assert_int_eq(fds[0], a);
	intake_done(&in, &m);

	intake_add(&in, "thr", 3, &b, 1);	/* with its first part */
	intake_add(&in, "ee\nfour\n", 8, NULL, 0);
	ck_assert_int_eq(intake_next(&in, &m), 1);
	ck_assert_int_eq(intake_fds(&in, &m, fds), 1);
	ck_assert_int_eq(fds[0], b);
	intake_done(&in, &m);

	intake_add(&in, "half", 4, &c, 1);
	intake_end(&in);
	ck_assert(is_open(a));
	ck_assert(is_open(b));
	ck_assert(!is_open(c));
	close(a);
	close(b);
}
END_TEST

START_TEST(too_many_descriptors)
{
	struct intake in = { .most = 100 };
	int fds[FD_MESSAGE_MAX], more = new_fd();

	for (int i = 0; i < FD_MESSAGE_MAX; i++)
		fds[i] = new_fd();
	ck_assert_int_eq(intake_add(&in, "x", 1, fds, FD_MESSAGE_MAX), 0);
	ck_assert_int_eq(intake_add(&in, "y", 1, &more, 1), -EBADMSG);
	ck_assert(!is_open(more));
	intake_end(&in);
	for (int i = 0; i < FD_MESSAGE_MAX; i++)
		ck_assert(!is_open(fds[i]));
}
END_TEST

/* ---- the table ---- */

/* Every method is in the interface's text, with the same parameters. */
START_TEST(interface)
{
	const struct command *cmd;
	char *text = NULL;
	size_t cap = 0;
	FILE *f = fopen(USHER_SRCDIR "/doc/org.usher.varlink", "r");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_gt(getdelim(&text, &cap, '\0', f), 0);
	fclose(f);
	for (size_t i = 0; (cmd = command_at(i)); i++) {
		static const char *const types[] = {
			[ARG_TEXT] = "string", [ARG_BOOL] = "bool",
			[ARG_INT] = "int", [ARG_DURATION] = "string",
		};
		const char *args = cmd->args;
		struct argument a;
		char want[256];
		int n = snprintf(want, sizeof(want), "\nmethod %s(",
				 cmd->name);
		bool first = true;

		while (command_argument(&args, &a)) {
			n += snprintf(want + n, sizeof(want) - (size_t)n,
				      "%s%s: %s%s", first ? "" : ", ", a.name,
				      a.optional ? "?" : "", types[a.type]);
			first = false;
		}
		snprintf(want + n, sizeof(want) - (size_t)n, ") -> (");
		ck_assert_msg(strstr(text, want), "not in the interface: %s",
			      want + 1);
	}
	free(text);
}
END_TEST

START_TEST(names_and_words)
{
	const struct command *cmd;

	for (size_t i = 0; (cmd = command_at(i)); i++) {
		ck_assert_ptr_eq(command_by_name(cmd->name), cmd);
		ck_assert_ptr_eq(command_by_word(cmd->word), cmd);
		ck_assert_int_ne(cmd->level, LEVEL_NONE);
		ck_assert_ptr_nonnull(cmd->handler);
		ck_assert_str_ne(cmd->help, "");
	}
	ck_assert_ptr_null(command_by_name("status"));
	ck_assert_ptr_null(command_by_word("Status"));
	ck_assert_ptr_eq(command_by_word("restart"), command_by_word("roll"));
}
END_TEST

static const struct {
	const char *word, *line, *expect;	/* NULL: one word too many */
} lines[] = {
	{ "status", "", "{}" },
	{ "status", "web", "{\"service\":\"web\"}" },
	{ "status", "web more", NULL },
	{ "drain", "web", "{\"service\":\"web\"}" },
	{ "drain", "web 5s wait",
	  "{\"service\":\"web\",\"after\":\"5s\",\"wait\":true}" },
	{ "drain", "wait web",		/* a bare yes has no place */
	  "{\"wait\":true,\"service\":\"web\"}" },
	{ "drain", "--wait web --after=5s",
	  "{\"wait\":true,\"service\":\"web\",\"after\":\"5s\"}" },
	{ "drain", "service=wait", "{\"service\":\"wait\"}" },
	{ "drain", "web wait=no", "{\"service\":\"web\",\"wait\":false}" },
	{ "inject", "web 2", "{\"service\":\"web\",\"fd\":2}" },
	{ "inject", "web fd=2", "{\"service\":\"web\",\"fd\":2}" },
	{ "trigger", "web a=b", "{\"service\":\"web\",\"message\":\"a=b\"}" },
	{ "reload", "x", NULL },
};

START_TEST(line)
{
	const struct command *cmd = command_by_word(lines[_i].word);
	CLEANUP(strv_free) struct strv words = { 0 };
	CLEANUP(freep) char *why = NULL;
	CLEANUP(freep) char *got = NULL;
	CLEANUP(json_decrefp) json_t *p = NULL;

	ck_assert_int_eq(text_split(lines[_i].line, &words), 0);
	p = command_line(cmd, words.v, words.n, &why);
	if (!lines[_i].expect) {
		ck_assert_ptr_null(p);
		ck_assert_ptr_nonnull(why);
		return;
	}
	ck_assert_ptr_nonnull(p);
	got = json_line(p, NULL);
	ck_assert_str_eq(got, lines[_i].expect);
}
END_TEST

static const struct {
	const char *word, *parameters, *which;	/* NULL: right */
} checks[] = {
	{ "status", "{}", NULL },
	{ "status", "{\"service\":null}", NULL },
	{ "status", "{\"service\":1}", "service" },
	{ "status", "{\"other\":1}", "other" },
	{ "pause", "{}", "service" },
	{ "drain", "{\"service\":\"a\",\"after\":\"5s\"}", NULL },
	{ "drain", "{\"service\":\"a\",\"after\":\"5\"}", "after" },
	{ "drain", "{\"service\":\"a\",\"after\":5}", "after" },
	{ "drain", "{\"service\":\"a\",\"wait\":1}", "wait" },
	{ "inject", "{\"service\":\"a\",\"fd\":\"1\"}", "fd" },
	{ "inject", "{\"service\":\"a\",\"fd\":1}", NULL },
	{ "status", "{\"a-name-that-is-longer-than-any\":1}",
	  "a-name-that-is-longer-t" },
};

START_TEST(check_parameters)
{
	CLEANUP(json_decrefp) json_t *p = json_parse(
		checks[_i].parameters, strlen(checks[_i].parameters), NULL);
	char which[24] = "";
	const char *why = NULL;
	int r = command_check(command_by_word(checks[_i].word), p, which,
			      &why);

	ck_assert_int_eq(r, checks[_i].which ? -EINVAL : 0);
	if (checks[_i].which) {
		ck_assert_str_eq(which, checks[_i].which);
		ck_assert_ptr_nonnull(why);
	}
}
END_TEST

/* ---- levels ---- */

#define USER(i, l)  { .kind = GRANT_USER, .id = i, .level = LEVEL_##l }
#define GROUP(i, l) { .kind = GRANT_GROUP, .id = i, .level = LEVEL_##l }
#define ANYONE(l)   { .kind = GRANT_ANYONE, .level = LEVEL_##l }
#define GRANTS 4

/* Somebody with uid 1000, gid 1000 and the groups 27 and 50. */
static const struct {
	struct conf_grant v[GRANTS];
	size_t n;
	enum conf_level level;
	bool named;
} levels[] = {
	{ {}, 0, LEVEL_READ, false },
	{ { ANYONE(NONE) }, 1, LEVEL_NONE, true },
	{ { USER(1000, OPERATE) }, 1, LEVEL_OPERATE, true },
	{ { USER(1001, OPERATE) }, 1, LEVEL_READ, false },
	{ { GROUP(50, ADMIN) }, 1, LEVEL_ADMIN, true },
	{ { GROUP(1000, ADMIN) }, 1, LEVEL_ADMIN, true },
	{ { GROUP(51, ADMIN) }, 1, LEVEL_READ, false },
	/* of groups the highest holds, in any order */
	{ { GROUP(27, OPERATE), GROUP(50, READ) }, 2, LEVEL_OPERATE, true },
	{ { GROUP(50, READ), GROUP(27, OPERATE) }, 2, LEVEL_OPERATE, true },
	{ { GROUP(27, NONE) }, 1, LEVEL_NONE, true },
	/* a user's line goes before groups', a group's before everyone's */
	{ { GROUP(27, ADMIN), USER(1000, READ) }, 2, LEVEL_READ, true },
	{ { USER(1000, NONE), ANYONE(ADMIN) }, 2, LEVEL_NONE, true },
	{ { ANYONE(ADMIN), GROUP(27, READ) }, 2, LEVEL_READ, true },
	{ { ANYONE(OPERATE), USER(5, ADMIN) }, 2, LEVEL_OPERATE, true },
};

START_TEST(level)
{
	gid_t groups[] = { 27, 50 };
	const struct peer p = { .uid = 1000, .gid = 1000, .groups = groups,
				.ngroups = 2 };
	const struct conf_grants grants = {
		.v = (struct conf_grant *)levels[_i].v,
		.n = levels[_i].n,
	};

	ck_assert_int_eq(peer_level(&p, &grants), levels[_i].level);
	ck_assert_int_eq(peer_granted(&p, &grants), levels[_i].named);
}
END_TEST

/* Nobody is locked out of their own daemon. */
START_TEST(own_level)
{
	struct conf_grant v[] = { USER(0, NONE), USER(geteuid(), NONE) };
	const struct conf_grants grants = { v, 2 };

	ck_assert_int_eq(peer_level(&(struct peer){ .uid = 0 }, &grants),
			 LEVEL_ADMIN);
	ck_assert_int_eq(peer_level(&(struct peer){ .uid = geteuid() },
				    &grants), LEVEL_ADMIN);
}
END_TEST

/* ---- json ---- */

static const struct {
	const char *in, *out;
	size_t len;
} safe[] = {
	{ "plain", "\"plain\"", 5 },
	{ "\xc3\xa4", "\"\xc3\xa4\"", 2 },
	{ "a\xff" "b", "\"a\xef\xbf\xbd" "b\"", 3 },
	{ "\xc3", "\"\xef\xbf\xbd\"", 1 },		/* cut */
	{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
	  3 },						/* a surrogate */
	{ "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"", 2 }, /* overlong */
	{ "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	  "\xef\xbf\xbd\"", 4 },			/* too high */
	{ "a\0b", "\"a\xef\xbf\xbd" "b\"", 3 },
};

START_TEST(safe_text)
{
	CLEANUP(json_decrefp) json_t *j = json_safe(safe[_i].in, safe[_i].len);
	CLEANUP(freep) char *got = json_line(j, NULL);

	ck_assert_str_eq(got, safe[_i].out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("control");
	TCase *tc = tcase_create("control");
	SRunner *sr;
	int failed;

	json_setup();
	tcase_add_loop_test(tc, split, 0, (int)sizeof(stream));
	tcase_add_test(tc, byte_by_byte);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, descriptors);
	tcase_add_test(tc, too_many_descriptors);
	tcase_add_test(tc, interface);
	tcase_add_test(tc, names_and_words);
	tcase_add_loop_test(tc, line, 0, ARRAY_SIZE(lines));
	tcase_add_loop_test(tc, check_parameters, 0, ARRAY_SIZE(checks));
	tcase_add_loop_test(tc, level, 0, ARRAY_SIZE(levels));
	tcase_add_test(tc, own_level);
	tcase_add_loop_test(tc, safe_text, 0, ARRAY_SIZE(safe));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
