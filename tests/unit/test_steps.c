/*
 * What is done to the state in several stores is killed after each single
 * instruction of it: at every one of them a take-over makes it whole.
 */
#include "base/record_private.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inlet/request_private.h"

/* Where tracing is not allowed. */
#define CANT 77

/* Does FN in a child, and LOOKs before each instruction of it; how many there
 * were. The state is shared memory, where the child says that it is done. FN
 * was called before, so that no symbol is looked up. */
static int each_step(void (*fn)(void), void (*look)(void))
{
	struct record_globals *g = record_globals();
	pid_t pid = fork();
	int status, steps = 0;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(CANT);
		raise(SIGSTOP);
		fn();
		g->phase = 1;
		pause();
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
	       !g->phase) {
		look();
		steps++;
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANT)
		return -1;
	ck_assert(WIFSTOPPED(status) && g->phase == 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	g->phase = 0;
	return steps;
}

static void can_be_loaded(void)
{
	const char *why = record_check(record_st.base, record_st.h->size);

	ck_assert_msg(!why, "%s", why);
}

/* ---- a door that goes to another service ---- */

static int door;

static void move_door(void)
{
	record_move(door, 2);
}

START_TEST(moved)
{
	ck_assert_int_eq(record_open(64, 8), 0);
	door = record_new(RECORD_DOOR, 1, 0);
	record_commit(door);
	move_door();
	can_be_loaded();
	ck_assert_uint_eq(record_at(door)->service, 2);
	record_move(door, 1);
	ck_assert_int_ne(each_step(move_door, can_be_loaded), 0);
	record_shutdown();
}
END_TEST

/* ---- bytes that go to the front ---- */

static const struct {
	uint32_t at, len;
} ranges[] = {
	{ 100, 130 },	/* beside each other */
	{ 20, 120 },	/* over each other, in five steps */
	{ 33, 120 },
	{ 1, 12 },
	{ 50, 50 },	/* nothing is left */
	{ 0, 40 },
};

static struct request request;
static char text[RECORD_BUFFER], blank[RECORD_BUFFER];
static uint32_t want_at, want_len;

static void compact(void)
{
	request_compact(&request);
}

static void use_up(void)
{
	struct request_data *d = request_data(&request);

	request_used(&request, d->len - d->at);
}

/* As a take-over would find it. Where all is used up it was yet to be. */
static bool is_whole(bool used)
{
	struct request_data d = *request_data(&request);
	char buf[RECORD_BUFFER];

	memcpy(buf, record_buffer(d.buffer), sizeof(buf));
	request_mend(&d, buf);
	ck_assert_uint_le(d.at, d.len);
	ck_assert_uint_le(d.len, want_len);
	ck_assert(memcmp(buf + d.len, blank, RECORD_BUFFER - d.len) == 0);
	if (used && d.len == d.at)
		return true;
	ck_assert_uint_eq(d.len - d.at, want_len - want_at);
	return memcmp(buf + d.at, text + want_at, d.len - d.at) == 0;
}

static void all_is_there(void)
{
	ck_assert(is_whole(false));
}

static void all_or_nothing(void)
{
	ck_assert(is_whole(true));
}

static void fill(uint32_t at, uint32_t len)
{
	struct request_data *d = request_data(&request);
	char *buf = record_buffer(d->buffer);

	memset(buf, REQUEST_BLANK, RECORD_BUFFER);
	memcpy(buf, text, len);
	d->at = want_at = at;
	d->len = want_len = len;
}

START_TEST(bytes)
{
	uint32_t at = ranges[_i].at, len = ranges[_i].len;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i * 7 % 26);
	memset(blank, REQUEST_BLANK, sizeof(blank));
	ck_assert_int_eq(record_open(64, 8), 0);
	request.record = record_new(RECORD_REQUEST, 1, REQUEST_DOOR);
	request_data(&request)->buffer = record_buffer_new();
	fill(at, len);
	compact();
	ck_assert_uint_eq(request_data(&request)->at, 0);
	ck_assert_uint_eq(request_data(&request)->moved, 0);
	all_is_there();
	fill(at, len);
	ck_assert_int_ne(each_step(compact, all_is_there), 0);
	fill(at, len);
	use_up();
	ck_assert_uint_eq(request_data(&request)->len, 0);
	ck_assert_uint_eq(request_data(&request)->moved, 0);
	fill(at, len);
	ck_assert_int_ne(each_step(use_up, all_or_nothing), 0);
	record_shutdown();
}
END_TEST

/* As test_slots.c has it. */
static void keep_roles_free(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < RECORD_LOW - 1);
}

int main(void)
{
	Suite *s = suite_create("steps");
	TCase *tc = tcase_create("steps");
	SRunner *sr = srunner_create(s);
	int failed;

	keep_roles_free();
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, moved);
	tcase_add_loop_test(tc, bytes, 0, ARRAY_SIZE(ranges));
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
