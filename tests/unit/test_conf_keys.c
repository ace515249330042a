/*
 * What the table of keys promises: every key with good and bad values, and
 * where it acts, against a list of its own (usher.ini(5), WHERE KEYS ACT).
 */
#include "conf/keys.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/pack.h"

/* The kinds of service, each by the letter that ACTS below uses. */
static const struct kind {
	char letter;
	const char *base;
} kinds[] = {
	{ 'c', "listen = unix:/tmp/k\nexec = /bin/sh\n" },
	{ 't', "every = 1h\nexec = /bin/sh\n" },
	{ 'p', "listen = unix:/tmp/k\nexec = /bin/sh\nhandoff = pass\n" },
	{ 'r', "listen = unix:/tmp/k\nexec = /bin/sh\nhandoff = pass\n"
	       "reports = yes\n" },
	{ 's', "listen = unix:/tmp/k\nexec = /bin/sh\nhandoff = share\n" },
	{ 'S', "listen = unix:/tmp/k\nexec = /bin/sh\n"
	       "protocol = postfix\n" },
	{ 'y', "listen = unix:/tmp/k\nrelay = unix:/tmp/u\n" },
	{ 'x', "listen = unix:/tmp/k\nrelay = unix:/tmp/u\n"
	       "exec = /bin/sh\n" },
	{ 'b', "listen = unix:/tmp/k\nbuiltin = echo\n" },
};

/*
 * ACTS: in which kinds the key acts; r stands for pass with reports alone, p
 * for both. GOOD and BAD: values, parted by '|'; the first good one is what
 * the test of ACTS uses, WITH what it needs beside it.
 */
static const struct row {
	const char *key, *acts, *with, *good, *bad;
} rows[] = {
	{ "listen", "cpsyxb", "",
	  "tcp:127.0.0.1:8080|tcp:*:80 backlog=5|unix:/tmp/x mode=0600|"
	  "unix:@x|tcp6:[::1]:80|fd:web",
	  "tcp:80|http:x|unix:|tcp:*:80 colour=red|udp:*:53|fifo:x|"
	  "tcp:127.0.0.1:1 source=127.0.0.1" },
	{ "trigger", "tps", "",
	  "fifo:x|unix:/tmp/x|tcp:127.0.0.1:99|unix-dgram:/tmp/y",
	  "fifo:|udp:*:53|unix-pass:/tmp/z" },
	{ "every", "tps", "", "5min|1d", "5|-1s|x" },
	{ "exec", "ctpsx", "", "/bin/sh|@/bin/sh name -c exit|/bin/sh 'a b'",
	  "sh|bin/sh|/nowhere/sh|/bin/sh 'a|@/bin/sh|/tmp" },
	{ "handoff", "ctps", "", "spawn|pass|share", "fork" },
	{ "protocol", "cts", "", "inetd|systemd", "http|INETD" },
	{ "relay", "yx", "", "tcp:localhost:80|unix:/tmp/u",
	  "udp:localhost:1|tcp:*:80|tcp:a:80 backlog=5|fifo:x" },
	{ "builtin", "b", "", "echo|discard", "chargen|agent|agent nobody" },
	{ "enabled", "ctpsyxb", "", "no|yes|on|0", "maybe" },
	{ "balance", "y", "", "leastconn|first|roundrobin|source", "random" },
	{ "max_fails", "y", "", "1|100", "0|-1|x" },
	{ "fail_timeout", "y", "", "1s|0", "1" },
	{ "relay_workers", "y", "", "2|0", "-1|1000" },
	{ "send_proxy", "yx", "", "v2|v1|off", "v3|yes" },
	{ "connect_timeout", "yx", "", "1s", "1" },
	{ "relay_idle_timeout", "yx", "", "1h", "1" },
	{ "survive", "yxb", "", "crash|upgrade", "all" },
	{ "workers", "tpsx", "", "2|1-4|0-3", "0|4-1|-1|x|100000" },
	{ "reports", "p", "", "no|yes", "maybe" },
	{ "pick", "p", "reports = yes\n", "leastconn|queue|source|roundrobin",
	  "random" },
	{ "worker_connections", "r", "pick = leastconn\n", "10", "0|x" },
	{ "batch", "p", "", "16|250", "0|251" },
	{ "queue_limit", "p", "", "5", "0" },
	{ "ready", "psx", "",
	  "notify|exec|fd:200|probe:unix:/tmp/p|after:2s|"
	  "probe:tcp:127.0.0.1:80",
	  "soon|fd:1|fd:|after:2|probe:|probe:fifo:x" },
	{ "settle", "ps", "", "1s|0", "1" },
	{ "start_timeout", "psx", "", "1s", "1" },
	{ "stop_timeout", "ctpsx", "", "1s", "1" },
	{ "stop_signal", "ctpsx", "", "SIGINT|TERM|2", "SIGFOO|0|99" },
	{ "drain_timeout", "psx", "", "1min", "60" },
	{ "roll", "psx", "", "2|0", "-1" },
	{ "max_generations", "ps", "", "1|5", "0" },
	{ "roll_on_failure", "ps", "", "revert|stop", "no" },
	{ "max_requests", "rS", "", "100|0", "-1" },
	{ "max_age", "ctpsx", "", "1d", "1" },
	{ "max_memory", "psx", "", "100M|1G", "x|-1" },
	{ "idle_timeout", "psx", "", "1min|0", "60" },
	{ "watchdog", "psx", "", "10s", "10" },
	{ "respawn_delay", "psx", "", "1s", "1" },
	{ "respawn_max", "psx", "", "10s", "10|1ms" },
	{ "max_connections", "cryxb", "", "10|0", "-1" },
	{ "on_full", "cpyxb", "", "refuse|wait|reset", "drop" },
	{ "refuse_message", "cpyxb", "on_full = refuse\n",
	  "busy\\r\\n|a\\\\b\\tc", "a\\q|a\\" },
	{ "max_per_source", "cryxb", "", "3", "-1" },
	{ "rate_per_source", "ctpyxb", "", "5/s|60/min burst=3", "5|x/s" },
	{ "on_source_limit", "ctpyxb", "", "reset|refuse", "wait" },
	{ "source_prefix4", "ctpyxb", "", "24|0|32", "33" },
	{ "source_prefix6", "ctpyxb", "", "56|128", "129" },
	{ "rate", "ctpyxb", "", "100/s|60/min|100/s burst=500", "100|100/x" },
	{ "on_rate", "cpyxb", "", "refuse|reset|wait", "drop" },
	{ "log_connections", "cpyxb", "", "yes", "all" },
	{ "allow", "ctpyxb", "",
	  "10.0.0.0/8|2001:db8::/32|192.0.2.1|user:root|group:root",
	  "10.0.0.0/33|bob|user:|user:no-such-user|group:no-such-group" },
	{ "deny", "ctpyxb", "", "10.0.0.0/8|user:root", "10.0.0/8|x" },
	{ "accept_proxy", "cpyxb", "", "10.0.0.0/8|unix|10.0.0.1 unix",
	  "all|x" },
	{ "proxy_timeout", "cpyxb", "", "1s", "1" },
	{ "user", "ctpsx", "", "@", "no-such-user" },
	{ "group", "ctpsx", "", "@@", "no-such-group" },
	{ "directory", "ctpsx", "", "/tmp", "tmp|/nowhere|/bin/sh" },
	{ "root", "ctpsx", "", "/", "tmp|/nowhere" },
	{ "umask", "ctpsx", "", "077|022|0", "88|1777|x" },
	{ "nice", "ctpsx", "", "5|0|-5", "20|-21" },
	{ "oom_score_adjust", "ctpsx", "", "100|-1000|0", "1001" },
	{ "limit_nofile", "ctpsx", "", "1024|100:200|unlimited",
	  "200:100|x|1:2:3" },
	{ "limit_core", "ctpsx", "", "0:unlimited|1M", "x" },
	{ "limit_as", "ctpsx", "", "1G|1G:2G", "x|2G:1G" },
	{ "limit_cpu", "ctpsx", "", "60:120", "x" },
	{ "limit_nproc", "ctpsx", "", "10", "x" },
	{ "no_new_privileges", "ctpsx", "", "yes", "x" },
	{ "environment", "ctpsx", "", "A=1|A=1 B=2|'A=b c' D=|A=\\x3b",
	  "A|1A=2|A=1 b|'A=1" },
	{ "environment_file", "ctpsx", "", "-/etc/default/x", "x" },
	{ "pass_environment", "ctpsx", "", "HOME|PATH HOME", "A=1|a-b" },
	{ "output", "ctpsx", "", "null|log|inherit", "file|2" },
	{ "trigger_max", "tp", "", "1K|16000|1", "0|16001|x" },
	{ "trigger_timeout", "tp", "", "1s", "1" },
	{ "trigger_ack", "tp", "", "yes", "x" },
	{ "trigger_frame", "tp", "", "size:16|text", "size:0|size:16001|size:|json" },
	{ "trigger_queue", "tp", "", "5", "0" },
	{ "trigger_retry", "tr", "", "3|0", "-1" },
	{ "coalesce", "tp", "", "1s|500ms", "1" },
	{ "trigger_allow", "tps", "", "user:root|group:root",
	  "root|10.0.0.0/8|user:no-such-user" },
	{ "inject_allow", "cpyxb", "", "user:root", "root" },
};

static const struct {
	const char *key, *good, *bad;
} usher_rows[] = {
	{ "control", "unix:/tmp/control mode=0600", "tcp:*:1|unix:@x|x" },
	{ "control_allow", "user:root admin|group:root read|user:* none",
	  "user:root|root admin|user:root owner|user:no-such-user read" },
	{ "spool", "/tmp", "tmp" },
	{ "include", "/nowhere/*.ini", "/nowhere/x.ini" },
	{ "log", "stderr|journal|syslog|auto", "file" },
	{ "log_level", "debug|error|warning|notice|info", "trace" },
	{ "max_descriptors", "1024|524288", "1|524289|x" },
	{ "resolve_every", "5s|0", "5" },
	{ "upgrade_timeout", "1s", "0|1" },
	{ "keeper", "no|yes|respawn", "x" },
	{ "pid_file", "/tmp/pid", "pid" },
	{ "shutdown_timeout", "5s", "5" },
};

static int load(const char *text, struct conf **c, struct conf_report *report)
{
	struct conf_source source = {
		.path = "t", .text = text, .len = strlen(text),
	};

	return conf_load(&source, c, report);
}

/* The Ith of the values in LIST; NULL after the last. "@" is our own user,
 * "@@" our own group. */
static char *nth(const char *list, unsigned i)
{
	for (; i > 0; i--) {
		list = strchr(list, '|');
		if (!list)
			return NULL;
		list++;
	}
	if (strcmp(list, "@") == 0)
		return xasprintf("%u", (unsigned)geteuid());
	if (strcmp(list, "@@") == 0)
		return xasprintf("%u", (unsigned)getegid());
	return xstrndup(list, strcspn(list, "|"));
}

/* BASE without KEY's own lines, and the number of lines left. */
static char *without(const char *base, const char *key, unsigned *lines)
{
	char *out = xstrdup("");

	*lines = 0;
	while (*base) {
		size_t n = strcspn(base, "\n") + 1;
		CLEANUP(freep) char *before = out;

		if (strncmp(base, key, strlen(key)) == 0 &&
		    base[strlen(key)] == ' ') {
			out = TAKE(before);
		} else {
			out = xasprintf("%s%.*s", before, (int)n, base);
			++*lines;
		}
		base += n;
	}
	return out;
}

static const char *base_of(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].letter == letter)
			return kinds[i].base;
	ck_abort_msg("no kind %c", letter);
	return NULL;
}

static char *printed(const struct conf *c, bool where)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print(c, NULL, where, f);
	fclose(f);
	return text;
}

/* What was packed is the same, also when where it came from is gone. */
static void packs(const char *text)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL, *again;
	size_t len, len2;
	void *block, *map;

	ck_assert_int_eq(load(text, &c, &report), 0);
	conf_report_free(&report);
	CLEANUP(freep) char *before = printed(c, true);
	CLEANUP(freep) char *dump = conf_dump(c, &len);

	block = conf_pack(c, &len);
	conf_unref(&c);
	map = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	memcpy(map, block, len);
	ck_assert_ptr_null(conf_unpack(map, len - 1));
	again = conf_unpack(map, len);
	ck_assert_ptr_nonnull(again);
	CLEANUP(freep) char *after = printed(again, true);
	CLEANUP(freep) char *dump2 = conf_dump(again, &len2);

	ck_assert_str_eq(before, after);
	ck_assert_str_eq(dump, dump2);
	if (!TAILQ_EMPTY(&again->services)) {
		ck_assert_int_eq(load(text, &c, &report), 0);
		ck_assert_uint_eq(conf_compare(TAILQ_FIRST(&c->services),
					       TAILQ_FIRST(&again->services),
					       NULL), CONF_SAME);
		ck_assert_ptr_nonnull(conf_find(again, TAILQ_FIRST(
					&c->services)->name));
		conf_unref(&c);
		conf_report_free(&report);
	}
	free(block);
	conf_unref(&again);
}

/* What is printed reads back, and prints the same. */
static void reads_back(const struct conf *c)
{
	CLEANUP(freep) char *once = printed(c, false);
	CLEANUP(freep) char *twice = NULL;
	struct conf_report report = { 0 };
	struct conf *again = NULL;
	int r = load(once, &again, &report);

	ck_assert_msg(r == 0, "%s\n%s", once,
		      report.errors.n ? report.errors.v[0] : "");
	ck_assert_msg(report.notes.n == 0, "a note");
	twice = printed(again, false);
	ck_assert_str_eq(once, twice);
	if (!TAILQ_EMPTY(&c->services))
		ck_assert_uint_eq(conf_compare(TAILQ_FIRST(&c->services),
					       TAILQ_FIRST(&again->services),
					       NULL), CONF_SAME);
	conf_unref(&again);
	conf_report_free(&report);
}

static void good(const char *text)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	int r = load(text, &c, &report);

	ck_assert_msg(r == 0, "%s\n%s", text,
		      report.errors.n ? report.errors.v[0] : "");
	reads_back(c);
	packs(text);
	conf_unref(&c);
	conf_report_free(&report);
}

/* Refused with one mistake, which begins with PREFIX. */
static void bad(const char *text, const char *prefix)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	int r = load(text, &c, &report);

	ck_assert_msg(r == -EINVAL, "taken: %s", text);
	ck_assert_msg(strncmp(report.errors.v[0], prefix,
			      strlen(prefix)) == 0,
		      "%s\nis not\n%s", report.errors.v[0], prefix);
	ck_assert_msg(report.errors.n == 1, "%s\n%s", text,
		      report.errors.n > 1 ? report.errors.v[1] : "");
	conf_report_free(&report);
}

/* Only root may change its root. */
static bool may(const struct row *row)
{
	return geteuid() == 0 || strcmp(row->key, "root") != 0;
}

START_TEST(values)
{
	const struct row *row = &rows[_i];
	bool runs = strchr("ct", row->acts[0]) != NULL;
	const char *base = base_of(row->acts[0]);
	CLEANUP(freep) char *bare = NULL;
	unsigned lines;

	if (!may(row))
		return;
	/* handoff and its like are tried where nothing contradicts them. */
	bare = without(base, row->key, &lines);
	for (unsigned i = 0;; i++) {
		CLEANUP(freep) char *v = nth(row->good, i);
		CLEANUP(freep) char *text = NULL;

		if (!v)
			break;
		if (strcmp(row->key, "protocol") == 0 ||
		    strcmp(row->key, "handoff") == 0)
			ck_assert(runs);
		text = xasprintf("[service k]\n%s%s%s = %s\n", bare,
				 row->with, row->key, v);
		good(text);
	}
	for (unsigned i = 0;; i++) {
		CLEANUP(freep) char *v = nth(row->bad, i);
		CLEANUP(freep) char *text = NULL;
		CLEANUP(freep) char *prefix = NULL;

		if (!v)
			break;
		text = xasprintf("[service k]\n%s%s = %s\n%s", bare, row->key,
				 v, row->with);
		prefix = xasprintf("t:%u: [service k] %s: ", lines + 2,
				   row->key);
		bad(text, prefix);
	}
}
END_TEST

START_TEST(usher_values)
{
	const char *key = usher_rows[_i].key;
	CLEANUP(freep) char *prefix = xasprintf("t:2: [usher] %s: ", key);

	for (unsigned i = 0;; i++) {
		CLEANUP(freep) char *v = nth(usher_rows[_i].good, i);
		CLEANUP(freep) char *text = NULL;

		if (!v)
			break;
		text = xasprintf("[usher]\n%s = %s\n", key, v);
		good(text);
	}
	for (unsigned i = 0;; i++) {
		CLEANUP(freep) char *v = nth(usher_rows[_i].bad, i);
		CLEANUP(freep) char *text = NULL;

		if (!v)
			break;
		text = xasprintf("[usher]\n%s = %s\n", key, v);
		bad(text, prefix);
	}
}
END_TEST

static bool acts_in(const struct row *row, char letter)
{
	if (strchr(row->acts, letter))
		return true;
	return (letter == 'r' && strchr(row->acts, 'p')) ||
	       (letter == 'S' && strchr(row->acts, 's'));
}

/* Keys that make a service what it is have tests of their own, in
 * test_conf_load. */
static bool makes_kind(const char *key)
{
	static const char *const keys[] = {
		"listen", "trigger", "every", "exec", "relay", "builtin",
		"handoff", "protocol", "reports", "pick",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/* Every key in every kind of service. */
START_TEST(acts)
{
	const struct row *row = &rows[_i];
	CLEANUP(freep) char *v = nth(row->good, 0);

	if (makes_kind(row->key) || !may(row))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		bool act = acts_in(row, k->letter);
		CLEANUP(freep) char *prefix = NULL;
		CLEANUP(freep) char *text = NULL;
		unsigned lines;
		CLEANUP(freep) char *same = without(k->base, "-", &lines);

		text = xasprintf("[service k]\n%s%s = %s\n%s", same, row->key,
				 v, act ? row->with : "");
		prefix = xasprintf("t:%u: [service k] %s: cannot act here: ",
				   lines + 2, row->key);
		if (act)
			good(text);
		else
			bad(text, prefix);
	}
}
END_TEST

/* No key without a row, no row without a key. */
START_TEST(complete)
{
	ck_assert_uint_eq(ARRAY_SIZE(rows), n_service_keys);
	for (size_t i = 0; i < n_service_keys; i++)
		ck_assert_str_eq(rows[i].key, service_keys[i].name);
	ck_assert_uint_eq(ARRAY_SIZE(usher_rows), n_usher_keys);
	for (size_t i = 0; i < n_usher_keys; i++)
		ck_assert_str_eq(usher_rows[i].key, usher_keys[i].name);
}
END_TEST

static bool is_key(const char *name, size_t len)
{
	for (size_t i = 0; i < n_service_keys + n_usher_keys; i++) {
		const char *key = i < n_service_keys
					  ? service_keys[i].name
					  : usher_keys[i - n_service_keys].name;

		if (strlen(key) == len && strncmp(key, name, len) == 0)
			return true;
	}
	return false;
}

/* Every key is in the man page, under its own tag, and no other. */
START_TEST(documented)
{
	static const char path[] = USHER_SRCDIR "/doc/usher.ini.5";
	CLEANUP(freep) char *page = xcalloc(1, 1 << 20);
	FILE *f = fopen(path, "r");

	ck_assert_msg(f != NULL, "%s: %m", path);
	ck_assert_uint_gt(fread(page, 1, (1 << 20) - 1, f), 0);
	fclose(f);
	for (size_t i = 0; i < n_service_keys + n_usher_keys; i++) {
		const char *name = i < n_service_keys
					   ? service_keys[i].name
					   : usher_keys[i - n_service_keys]
						     .name;
		CLEANUP(freep) char *tag = xasprintf("\n.It Cm %s No =",
						     name);
		const char *at = strstr(page, tag);

		ck_assert_msg(at && !strstr(at + 1, tag),
			      "%s is not once in %s", name, path);
	}
	for (const char *p = page; (p = strstr(p, "\n.It Cm ")); p++) {
		const char *name = p + strlen("\n.It Cm ");
		size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz_46");

		ck_assert_msg(strncmp(name + len, " No =", 5) != 0 ||
				      is_key(name, len),
			      "%s: %.*s is no key", path, (int)len, name);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conf_keys");
	TCase *tc = tcase_create("conf_keys");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, complete);
	tcase_add_loop_test(tc, values, 0, ARRAY_SIZE(rows));
	tcase_add_loop_test(tc, usher_values, 0, ARRAY_SIZE(usher_rows));
	tcase_add_loop_test(tc, acts, 0, ARRAY_SIZE(rows));
	tcase_add_test(tc, documented);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
