/*
 * What work/notify promises: each word of sd_notify(3) that we know, from
 * those who may speak; descriptors kept or closed, never leaked.
 */
#include "work/notify.h"

#include <dirent.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "house.h"

static struct house h;
static struct service *s;
static struct notify *n;
static char heard[4096];
static bool close_at_ready;

static void add(const char *fmt, ...) PRINTF(1, 2);
static void add(const char *fmt, ...)
{
	size_t len = strlen(heard);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(heard + len, sizeof(heard) - len, fmt, ap);
	va_end(ap);
}

static void on_ready(void *arg)
{
	ck_assert_ptr_eq(arg, &heard);
	add("ready ");
	if (close_at_ready)
		notify_close(&n);
}

static void on_stopping(void *arg)
{
	(void)arg;
	add("stopping ");
}

static void on_watchdog(void *arg)
{
	(void)arg;
	add("watchdog ");
}

static void on_trigger(void *arg)
{
	(void)arg;
	add("trigger ");
}

static void on_extend(void *arg, int64_t us)
{
	(void)arg;
	add("extend:%lld ", (long long)us);
}

static void on_status(void *arg, const char *text)
{
	(void)arg;
	add("status:%s ", text);
}

static void on_store(void *arg, int fd, const char *name, bool poll)
{
	(void)arg;
	add("store:%s:%d ", name, poll);
	close(fd);
}

static void on_unstore(void *arg, const char *name)
{
	(void)arg;
	add("unstore:%s ", name);
}

static const struct notify_events events = {
	on_ready, on_stopping, on_watchdog, on_trigger,
	on_extend, on_status, on_store, on_unstore,
};

static void begin(bool stores, uid_t uid)
{
	heard[0] = 0;
	close_at_ready = false;
	house_open(&h);
	s = house_service(&h, "app");
	ck_assert_int_eq(notify_open(s, uid, stores, &events, heard, &n), 0);
}

static void finish(void)
{
	notify_close(&n);
	house_service_end(s);
	house_close(&h);
}

static int speaker(void)
{
	struct addr a;
	char *why = NULL, text[120];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(text, sizeof(text), "unix-dgram:%s", notify_address(n));
	ck_assert_int_eq(addr_parse(text, &a, &why), 0);
	ck_assert_int_eq(connect(fd, &a.names[0].u.sa, a.names[0].len), 0);
	addr_free(&a);
	return fd;
}

static void say(const char *text, size_t len, const int *fds, int nfds)
{
	int fd = speaker();

	ck_assert_int_eq(fd_send(fd, text, len, fds, nfds, 0), (int)len);
	close(fd);
	house_run(&h, 5);
}

static const struct {
	const char *said, *heard;
	unsigned gossip;
} words[] = {
	{ "READY=1", "ready ", 0 },
	{ "READY=1\n", "ready ", 0 },
	{ "READY=1\nSTATUS=serving\nMAINPID=12", "status:serving ready ", 0 },
	{ "READY=0", "", 0 },
	{ "STOPPING=1", "stopping ", 0 },
	{ "WATCHDOG=1", "watchdog ", 0 },
	{ "WATCHDOG=trigger", "trigger ", 0 },
	{ "WATCHDOG=maybe", "", 1 },
	{ "EXTEND_TIMEOUT_USEC=5000000", "extend:5000000 ", 0 },
	{ "EXTEND_TIMEOUT_USEC=-1", "", 1 },
	{ "EXTEND_TIMEOUT_USEC=soon", "", 1 },
	{ "EXTEND_TIMEOUT_USEC=99999999999999999999999", "", 1 },
	{ "STATUS=", "status: ", 0 },
	{ "STATUS=a\tb\x01", "status:a?b? ", 0 },
	{ "X_OURS=1\nERRNO=2", "", 0 },
	{ "nonsense", "", 1 },
	{ "=\n==\n", "", 0 },
	{ "FDSTOREREMOVE=1\nFDNAME=db", "unstore:db ", 0 },
	{ "FDSTOREREMOVE=1\nFDNAME=a:b", "unstore:stored ", 1 },
};

START_TEST(word)
{
	begin(true, getuid());
	say(words[_i].said, strlen(words[_i].said), NULL, 0);
	ck_assert_str_eq(heard, words[_i].heard);
	ck_assert_uint_eq(s->data->gossip, words[_i].gossip);
	finish();
}
END_TEST

static const struct {
	const char *said;
	int n;
	const char *heard;
	unsigned gossip;
	bool stores;
} stored[] = {
	{ "FDSTORE=1", 1, "store:stored:1 ", 0, true },
	{ "FDSTORE=1\nFDNAME=db", 2, "store:db:1 store:db:1 ", 0, true },
	{ "FDNAME=db\nFDPOLL=0\nFDSTORE=1", 1, "store:db:0 ", 0, true },
	{ "FDSTORE=1\nFDNAME=a:b", 1, "store:stored:1 ", 1, true },
	{ "FDSTORE=1\nFDNAME=", 1, "store:stored:1 ", 1, true },
	{ "FDSTORE=1", 0, "", 0, true },
	{ "FDSTORE=1", 2, "", 2, false },	/* elsewhere refused */
	{ "READY=1", 3, "ready ", 0, true },	/* not asked to keep them */
	{ "FDSTORE=1", 250, NULL, 0, true },
	{ "BARRIER=1", 1, "", 0, true },
};

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

START_TEST(store)
{
	int fds[250], before, sides[2];

	begin(stored[_i].stores, getuid());
	ck_assert_int_eq(pipe2(sides, O_CLOEXEC), 0);
	for (int i = 0; i < stored[_i].n; i++)
		fds[i] = sides[1];
	before = open_fds();
	say(stored[_i].said, strlen(stored[_i].said), fds, stored[_i].n);
	ck_assert_int_eq(open_fds(), before);
	if (stored[_i].heard)
		ck_assert_str_eq(heard, stored[_i].heard);
	ck_assert_uint_eq(s->data->gossip, stored[_i].gossip);
	if (!stored[_i].stores)
		ck_assert_ptr_nonnull(strstr(h.told, "FDSTORE refused"));
	/* A barrier's descriptor is closed: who waits sees the end. */
	close(sides[1]);
	ck_assert_int_eq(read(sides[0], fds, 1), 0);
	close(sides[0]);
	finish();
}
END_TEST

START_TEST(odd_sizes)
{
	static char text[5000];

	begin(true, getuid());
	memset(text, 'x', sizeof(text));
	memcpy(text, "STATUS=", 7);
	say(text, 5000, NULL, 0);		/* longer than any */
	ck_assert_str_eq(heard, "");
	say(text, 0, NULL, 0);			/* an empty one */
	say("READY=1\0STOPPING=1", 18, NULL, 0);	/* NUL within */
	ck_assert_str_eq(heard, "");
	ck_assert_uint_eq(s->data->gossip, 3);
	say(text, 4096, NULL, 0);
	ck_assert_uint_eq(strlen(heard), strlen("status: ") + 1000);
	finish();
}
END_TEST

/* Another uid has no say; root has. */
START_TEST(stranger)
{
	pid_t pid;
	int status;

	begin(true, 65533);
	if (getuid() == 0) {
		say("READY=1", 7, NULL, 0);
		ck_assert_str_eq(heard, "ready ");
		heard[0] = 0;
		pid = fork();
		if (pid == 0) {
			int fd = speaker();

			if (setresuid(65532, 65532, 65532) < 0)
				_exit(1);
			_exit(send(fd, "READY=1", 7, 0) != 7);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
		house_run(&h, 5);
	} else {
		say("READY=1", 7, NULL, 0);
	}
	ck_assert_str_eq(heard, "");
	ck_assert_uint_eq(s->data->gossip, 1);
	finish();
}
END_TEST

/* What a worker said just before it died is heard; its socket then is gone. */
START_TEST(last_words)
{
	char address[64];
	int fd;

	begin(true, getuid());
	fd = speaker();
	ck_assert_int_eq(send(fd, "READY=1", 7, 0), 7);
	snprintf(address, sizeof(address), "%s", notify_address(n));
	ck_assert_int_eq(strncmp(address, "@usher/", 7), 0);
	notify_close(&n);
	ck_assert_str_eq(heard, "ready ");
	ck_assert_ptr_null(n);
	ck_assert_int_eq(send(fd, "READY=1", 7, 0), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(fd);
	finish();
}
END_TEST

/* What it says may end it. */
START_TEST(closed_within)
{
	begin(true, getuid());
	close_at_ready = true;
	say("READY=1\nSTOPPING=1", 18, NULL, 0);
	ck_assert_str_eq(heard, "ready stopping ");
	ck_assert_ptr_null(n);
	ck_assert_uint_eq(record_count(), 0);
	finish();
}
END_TEST

/* The next usher finds address and uid with the record. */
START_TEST(taken_over)
{
	char address[64];
	int record;

	begin(true, getuid());
	snprintf(address, sizeof(address), "%s", notify_address(n));
	record = notify_record(n);
	free(n);
	ck_assert_int_eq(notify_adopt(s, record, true, &events, heard, &n), 0);
	ck_assert_str_eq(notify_address(n), address);
	say("READY=1", 7, NULL, 0);
	ck_assert_str_eq(heard, "ready ");
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	house_begin();
	tcase_add_loop_test(tc, word, 0, ARRAY_SIZE(words));
	tcase_add_loop_test(tc, store, 0, ARRAY_SIZE(stored));
	tcase_add_test(tc, odd_sizes);
	tcase_add_test(tc, stranger);
	tcase_add_test(tc, last_words);
	tcase_add_test(tc, closed_within);
	tcase_add_test(tc, taken_over);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
