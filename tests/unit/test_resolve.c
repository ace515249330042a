/*
 * What base/resolve promises: answers in the loop, and that a look-up which
 * never answers stops nothing.
 *
 * The C library's getaddrinfo is stood in for: a host "stuckN" does not answer
 * before the test lets it, everything else is looked up as ever.
 */
#include "base/resolve.h"

#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/record.h"

static int gate[2];	/* closed at its writing end: open */
static atomic_int stuck;

int getaddrinfo(const char *host, const char *port,
		const struct addrinfo *hints, struct addrinfo **out)
{
	int (*real)(const char *, const char *, const struct addrinfo *,
		    struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
	char c;

	if (host && strncmp(host, "stuck", 5) == 0) {
		atomic_fetch_add(&stuck, 1);
		while (read(gate[0], &c, 1) < 0 && errno == EINTR)
			;
		atomic_fetch_sub(&stuck, 1);
		host = "127.0.0.1";
	}
	return real(host, port, hints, out);
}

static struct loop *loop;
static struct resolver *resolver;
static int answers;

static void setup(void)
{
	ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
	ck_assert_int_eq(record_open(64, 4), 0);
	ck_assert_int_eq(loop_open(&loop, false), 0);
	ck_assert_int_eq(resolve_open(loop, &resolver), 0);
	answers = 0;
}

static void teardown(void)
{
	resolve_close(&resolver);
	ck_assert_ptr_null(resolver);
	ck_assert_int_eq(record_next(RECORD_WATCH, -1), -1);
	loop_close(&loop);
	record_shutdown();
}

static struct addr address(const char *text)
{
	struct addr a;
	char *why;

	ck_assert_int_eq(addr_parse(text, &a, &why), 0);
	return a;
}

/* How one look-up ended. */
struct ended {
	bool called;
	int result, stop_at;	/* the loop stops at this answer */
	char name[ADDR_TEXT];
	bool why;
};

static void on_answer(void *arg, int result, struct addr *a, const char *why)
{
	struct ended *e = arg;

	ck_assert(!e->called);
	e->called = true;
	e->result = result;
	e->why = why != NULL;
	if (result == 0)
		addr_print(&a->names[0], e->name, sizeof(e->name));
	if (++answers == e->stop_at)
		loop_stop(loop);
}

static struct lookup *start(const char *text, int64_t ms, struct ended *e)
{
	struct addr a = address(text);
	struct lookup *l = resolve_start(resolver, &a, false, ms, on_answer, e);

	addr_free(&a);		/* it has a copy */
	ck_assert(!e->called);
	return l;
}

START_TEST(answered)
{
	struct ended a = { .stop_at = 3 }, b = a, c = a;

	start("tcp:127.0.0.1:80", 10000, &a);
	start("tcp4:localhost:81", 10000, &b);
	start("tcp:127.0.0.1:no-such-port", 10000, &c);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(a.result, 0);
	ck_assert_str_eq(a.name, "127.0.0.1:80");
	ck_assert_int_eq(b.result, 0);
	ck_assert_str_eq(b.name, "127.0.0.1:81");
	ck_assert_int_eq(c.result, -ENOENT);
	ck_assert(c.why);
}
END_TEST

/* Stuck ones are told at their deadline, and others answered meanwhile. */
START_TEST(deadline)
{
	struct ended a = { .stop_at = 2 }, b = a;

	start("tcp:stuck1:80", 300, &a);
	start("tcp:127.0.0.1:80", 10000, &b);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(a.result, -ETIMEDOUT);
	ck_assert_int_eq(b.result, 0);
	close(gate[1]);
}
END_TEST

/* More stuck ones than threads: what waits has its deadline too, and is
 * served when a thread is free. */
START_TEST(all_threads_stuck)
{
	struct ended e[RESOLVE_THREADS], late = { .stop_at = 1 };
	struct ended served = { .stop_at = RESOLVE_THREADS + 2 };

	memset(e, 0, sizeof(e));
	for (int i = 0; i < RESOLVE_THREADS; i++) {
		e[i].stop_at = RESOLVE_THREADS + 2;
		start("tcp:stuck2:80", 60000, &e[i]);
	}
	start("tcp:127.0.0.1:80", 100, &late);
	start("tcp:127.0.0.1:81", 60000, &served);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(late.result, -ETIMEDOUT);
	ck_assert(!served.called);
	ck_assert_int_le(atomic_load(&stuck), RESOLVE_THREADS);
	close(gate[1]);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(served.result, 0);
	for (int i = 0; i < RESOLVE_THREADS; i++)
		ck_assert_int_eq(e[i].result, 0);
}
END_TEST

START_TEST(cancelled)
{
	struct ended gone = { .stop_at = 1 }, other = { .stop_at = 1 };
	struct lookup *l = start("tcp:stuck3:80", 10000, &gone), *l2;

	l2 = start("tcp:127.0.0.1:80", 10000, &gone);
	resolve_cancel(&l);
	ck_assert_ptr_null(l);
	resolve_cancel(&l);
	resolve_cancel(&l2);
	close(gate[1]);
	start("tcp:127.0.0.1:80", 10000, &other);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert(other.called);
	ck_assert(!gone.called);
}
END_TEST

static void on_answer_close(void *arg, int result, struct addr *a,
			    const char *why)
{
	(void)why;
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(a->nnames, 1);
	++*(int *)arg;
	resolve_close(&resolver);
	loop_stop(loop);
}

/* A callee may close the resolver with everything else that waits. */
START_TEST(closed_in_callback)
{
	struct addr a = address("tcp:127.0.0.1:80");
	struct ended never = { .stop_at = 1 };
	int calls = 0;

	start("tcp:stuck4:80", 10000, &never);
	for (int i = 0; i < 5; i++)
		resolve_start(resolver, &a, false, 10000, on_answer_close,
			      &calls);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(calls, 1);
	ck_assert(!never.called);
	close(gate[1]);
	addr_free(&a);
}
END_TEST

START_TEST(waiting)
{
	struct addr a = address("tcp:127.0.0.1:80");
	struct addr s = address("tcp:stuck5:80");
	char *why;

	ck_assert_int_eq(resolve_wait(&a, false, 10000, &why), 0);
	ck_assert_uint_eq(a.nnames, 1);
	ck_assert_ptr_null(why);
	ck_assert_int_eq(resolve_wait(&a, false, -1, &why), 0);
	ck_assert_uint_eq(a.nnames, 1);
	ck_assert_int_eq(resolve_wait(&s, false, 100, &why), -ETIMEDOUT);
	ck_assert_uint_eq(s.nnames, 0);
	close(gate[1]);
	ck_assert_int_eq(resolve_wait(&s, false, 10000, &why), 0);
	ck_assert_uint_eq(s.nnames, 1);
	addr_free(&a);
	addr_free(&s);
}
END_TEST

/* The fixed numbers below RECORD_LOW are the state's; Check's own files must
 * not be there. */
static void reserve_roles(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd < RECORD_LOW - 1);
}

int main(void)
{
	Suite *s = suite_create("resolve");
	TCase *tc = tcase_create("resolve");
	SRunner *sr;
	int failed;

	reserve_roles();
	tcase_set_timeout(tc, 90);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, answered);
	tcase_add_test(tc, deadline);
	tcase_add_test(tc, all_threads_stuck);
	tcase_add_test(tc, cancelled);
	tcase_add_test(tc, closed_in_callback);
	tcase_add_test(tc, waiting);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
