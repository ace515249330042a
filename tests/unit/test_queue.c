/*
 * What work/queue promises: its limit by the kernel's own count, room told
 * once it is there, the rest read back whole from the dead, reports with
 * their sender, farewells and the end.
 */
#include "work/queue.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "house.h"

static struct house h;
static struct service *s;
static struct queue *q;
static unsigned rooms;
static char heard[1024];
static char back[1024];

static void on_room(void *arg)
{
	ck_assert_ptr_eq(arg, &heard);
	rooms++;
}

static void on_said(void *arg, pid_t pid, const struct queue_report *r)
{
	static const char *const names[] = { "avail", "taken", "done",
					     "refused", "?" };
	size_t len = strlen(heard);

	(void)arg;
	snprintf(heard + len, sizeof(heard) - len, "%s%s:%llu ",
		 pid == getpid() ? "" : "other-", names[r->word],
		 (unsigned long long)r->id);
	len = strlen(heard);
	if (r->word == QUEUE_DONE && r->up >= 0)
		snprintf(heard + len, sizeof(heard) - len, "%lld,%lld ",
			 (long long)r->up, (long long)r->down);
}

static const struct queue_events events = { on_room, on_said };

static void begin(uint32_t limit, uint32_t pid, bool reports)
{
	struct queue_options o = { .generation = 1, .limit = limit,
				   .pid = pid, .reports = reports };

	house_open(&h);
	s = house_service(&h, "q");
	ck_assert_int_eq(queue_open(s, &o, &events, heard, &q), 0);
	rooms = 0;
	heard[0] = back[0] = 0;
}

static void finish(void)
{
	queue_close(&q);
	house_service_end(s);
	house_close(&h);
}

static int receive(char *buf, size_t size, int *fd)
{
	struct fd_message m = { .buf = buf, .size = size, .fds = fd,
				.max = 1 };
	int r = fd_receive(queue_worker_end(q), &m, MSG_DONTWAIT);

	if (r >= 0)
		buf[m.len] = 0;
	return r;
}

static void take(unsigned n)
{
	char buf[256];
	int fd;

	while (n--) {
		ck_assert_int_eq(receive(buf, sizeof(buf) - 1, &fd), 1);
		close(fd);
	}
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int send_one(const char *text)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int r = queue_send(q, text, strlen(text), &fd, 1);

	close(fd);
	return r;
}

static const uint32_t limits[] = { 1, 2, 3, 10, 64 };

/* Its only worker's own queue: the limit is kept to the message. */
START_TEST(limit)
{
	uint32_t n = limits[_i];

	begin(n, 1, false);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert(queue_room(q));
		ck_assert_int_eq(send_one("connection"), 0);
	}
	ck_assert_uint_eq(queue_count(q), n);
	ck_assert(!queue_room(q));
	house_run(&h, 20);
	ck_assert_uint_eq(rooms, 0);
	take(n - n / 2);
	house_run(&h, 50);
	ck_assert_uint_eq(rooms, 1);
	ck_assert(queue_room(q));
	ck_assert_uint_eq(queue_count(q), n / 2);
	take(n / 2);
	ck_assert_uint_eq(queue_count(q), 0);
	finish();
}
END_TEST

/* Taken in part while nobody looked: the count follows. */
START_TEST(counts)
{
	begin(50, 0, false);
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(send_one(i % 3 ? "connection" : "a word"), 0);
	take(12);
	ck_assert_uint_eq(queue_count(q), 18);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(send_one("connection"), 0);
	ck_assert_uint_eq(queue_count(q), 23);
	take(23);
	ck_assert_uint_eq(queue_count(q), 0);
	ck_assert_uint_eq(queue_about(q), 0);
	finish();
}
END_TEST

/* However fast it is emptied, no more than the limit wait; a message counts
 * as often as it has arrivals. */
START_TEST(bursts)
{
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	begin(4, 0, false);
	for (int round = 0; round < 50; round++) {
		char buf[64];
		struct fd_message m = { .buf = buf, .size = sizeof(buf) };

		ck_assert_uint_eq(queue_left(q, 4), 4);
		ck_assert_int_eq(queue_send(q, "x", 1, fds, 3), 0);
		ck_assert_uint_eq(queue_left(q, 4), 1);
		ck_assert_int_eq(send_one("x"), 0);
		ck_assert_uint_eq(queue_count(q), 4);
		ck_assert(!queue_room(q));
		ck_assert_int_eq(fd_receive(queue_worker_end(q), &m,
					    MSG_DONTWAIT), 1);
		ck_assert_uint_eq(queue_count(q), 1);
		take(1);
		house_run(&h, 5);
		ck_assert(queue_room(q));
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	finish();
}
END_TEST

/* The kernel's own end: never blocks, says so, and tells of room. */
START_TEST(kernel_full)
{
	int r = 0, n = 0;

	begin(1000000, 0, false);
	while ((r = send_one("connection")) == 0 && n < 1000000)
		n++;
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert(!queue_room(q));
	while (queue_count(q) > 0)
		take(1);
	house_run(&h, 50);
	ck_assert_uint_eq(rooms, 1);
	finish();
}
END_TEST

static void take_back(void *arg, const char *buf, size_t len, const int *fds,
		      int n)
{
	size_t at = strlen(back);

	ck_assert_ptr_eq(arg, back);
	snprintf(back + at, sizeof(back) - at, "%.*s/%d ", (int)len, buf, n);
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

/* A worker takes one and is killed: the rest is there. */
START_TEST(dead_worker)
{
	char go;
	int pipes[2];
	pid_t pid;

	begin(10, 0, false);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(send_one("first"), 0);
	ck_assert_int_eq(send_one("second"), 0);
	ck_assert_int_eq(queue_farewell(q), 0);
	ck_assert_int_eq(send_one("third"), 0);
	pid = fork();
	if (pid == 0) {
		char buf[64];

		(void)!recv(queue_worker_end(q), buf, sizeof(buf), 0);
		(void)!write(pipes[1], "x", 1);
		pause();
		_exit(0);
	}
	ck_assert_int_eq(read(pipes[0], &go, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pipes[0]);
	close(pipes[1]);
	ck_assert_int_eq(queue_take_back(q, take_back, back), 2);
	ck_assert_str_eq(back, "second/1 third/1 ");
	ck_assert_uint_eq(queue_count(q), 0);
	finish();
}
END_TEST

START_TEST(shut)
{
	char buf[64];
	int fd = -1;

	begin(10, 0, false);
	ck_assert_int_eq(send_one("last"), 0);
	queue_shut(q);
	ck_assert(queue_is_shut(q));
	ck_assert(!queue_room(q));
	ck_assert_int_eq(receive(buf, sizeof(buf) - 1, &fd), 1);
	close(fd);
	/* And then the end, for each who asks. */
	ck_assert_int_eq(receive(buf, sizeof(buf) - 1, &fd), 0);
	ck_assert_int_eq(receive(buf, sizeof(buf) - 1, &fd), 0);
	/* What waits behind the end is read back too. */
	ck_assert_int_eq(queue_take_back(q, take_back, back), 0);
	finish();
}
END_TEST

/* What waits at a shut queue, a farewell before it. */
START_TEST(back_from_shut)
{
	begin(10, 0, false);
	ck_assert_int_eq(queue_farewell(q), 0);
	ck_assert_int_eq(send_one("late"), 0);
	queue_shut(q);
	ck_assert_int_eq(queue_take_back(q, take_back, back), 1);
	ck_assert_str_eq(back, "late/1 ");
	finish();
}
END_TEST

static const struct {
	const char *text;
	size_t len;
	const char *heard;
} reports[] = {
	{ "avail", 5, "avail:0 " },
	{ "avail\n", 6, "avail:0 " },
	{ "avail", 6, "avail:0 " },	/* with its NUL */
	{ "taken 7", 7, "taken:7 " },
	{ "done 18446744073709551615", 25, "done:18446744073709551615 " },
	{ "done 18446744073709551616", 25, "?:0 " },
	{ "taken", 5, "?:0 " },
	{ "taken x", 7, "?:0 " },
	{ "taken -1", 8, "?:0 " },
	{ "taken 7 8", 9, "?:0 " },
	{ "done 7 10 0", 11, "done:7 10,0 " },
	{ "done 7 10", 9, "?:0 " },
	{ "done 7 10 -1", 12, "?:0 " },
	{ "done 7 10 11 12", 15, "?:0 " },
	{ "done 7 ", 7, "?:0 " },
	{ "done 7 9223372036854775808 0", 28, "?:0 " },
	{ "refused 7", 9, "refused:7 " },
	{ "refused", 7, "?:0 " },
	{ "taken 7\0more", 12, "?:0 " },
	{ "lost 7", 6, "?:0 " },
	{ "", 0, "?:0 " },
};

START_TEST(report)
{
	begin(10, 0, true);
	ck_assert_int_ge(send(queue_worker_end(q), reports[_i].text,
			      reports[_i].len, 0), 0);
	house_run(&h, 20);
	ck_assert_str_eq(heard, reports[_i].heard);
	finish();
}
END_TEST

/* Long ones, descriptors that nobody wants, a flood of them. */
START_TEST(odd_reports)
{
	char big[4000];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned before;

	memset(big, 'x', sizeof(big));
	begin(10, 0, true);
	before = descriptors();
	ck_assert_int_gt(fd_send(queue_worker_end(q), "done 1", 6, &fd, 1, 0),
			 0);
	ck_assert_int_gt(send(queue_worker_end(q), big, sizeof(big), 0), 0);
	house_run(&h, 20);
	ck_assert_str_eq(heard, "?:0 ?:0 ");
	ck_assert_uint_eq(descriptors(), before);
	heard[0] = 0;
	for (int i = 0; i < 150; i++)
		ck_assert_int_gt(send(queue_worker_end(q), "avail", 5, 0), 0);
	heard[sizeof(heard) - 1] = 0;
	house_run(&h, 30);
	ck_assert_int_eq(fd_outq(queue_worker_end(q)), 0);
	close(fd);
	finish();
}
END_TEST

/* Another usher goes on with the same record. */
START_TEST(taken_over)
{
	struct queue_options o = { .generation = 1, .limit = 2 };
	struct queue *again;
	int record;

	begin(2, 0, false);
	record = queue_record(q);
	ck_assert_int_eq(fd_send(record_at(record)->fd[0], "waits", 5, NULL, 0,
				 0), 5);
	ck_assert_int_eq(queue_hang(s, record, &o, &events, heard, &again),
			 0);
	ck_assert_uint_eq(queue_count(again), 1);
	ck_assert_int_eq(queue_take_back(again, take_back, back), 1);
	ck_assert_str_eq(back, "waits/0 ");
	queue_shut(q);
	free(q);	/* as a process that was killed leaves it */
	q = again;
	ck_assert(!queue_is_shut(q));
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	house_begin();
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, limit, 0, ARRAY_SIZE(limits));
	tcase_add_test(tc, counts);
	tcase_add_test(tc, bursts);
	tcase_add_test(tc, kernel_full);
	tcase_add_test(tc, dead_worker);
	tcase_add_test(tc, shut);
	tcase_add_test(tc, back_from_shut);
	tcase_add_loop_test(tc, report, 0, ARRAY_SIZE(reports));
	tcase_add_test(tc, odd_reports);
	tcase_add_test(tc, taken_over);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
