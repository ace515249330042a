/*
 * What conf_load promises beyond single keys: files and includes, [defaults],
 * what hangs on other keys, what contradicts, the kept configuration, what a
 * change touches, and ten thousand services.
 */
#include "conf/conf.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define L "listen = unix:/tmp/a\n"
#define E "exec = /bin/sh\n"
#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10

static int load_text(const char *text, size_t len, struct conf **c,
		     struct conf_report *report)
{
	struct conf_source source = { .path = "t", .text = text, .len = len,
				      .runtime = "/tmp" };

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

static struct conf *must(const char *text)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *errors = NULL;

	load_text(text, strlen(text), &c, &report);
	errors = join(&report.errors);
	ck_assert_str_eq(errors, "");
	conf_report_free(&report);
	return c;
}

/* --- what hangs on other keys -------------------------------------------- */

static const struct {
	const char *text, *key, *value;
} derived[] = {
	{ L E, "handoff", "spawn" },
	{ L E, "protocol", "inetd" },
	{ L E, "max_connections", "100" },
	{ L E "handoff = share\n", "protocol", "systemd" },
	{ L E "handoff = pass\n", "max_connections", "0" },
	{ L E "handoff = pass\n", "reports", "no" },
	{ L E "handoff = pass\npick = leastconn\n", "reports", "yes" },
	{ L E "handoff = pass\npick = source\n", "reports", "yes" },
	{ L E "handoff = pass\npick = roundrobin\n", "reports", "yes" },
	{ L E "handoff = pass\nworkers = 2-9\n", "queue_limit", "9" },
	{ L E "handoff = pass\n", "roll", "1" },
	{ L E "protocol = wait\n", "handoff", "share" },
	{ L E "protocol = wait\n", "workers", "0-1" },
	{ L E "protocol = wait\n", "roll", "0" },
	{ L E "protocol = fastcgi\n", "handoff", "share" },
	{ L E "protocol = postfix\n", "handoff", "share" },
	{ L E "protocol = postfix\n", "roll", "0" },
	{ L E "protocol = postfix\nworkers = 0-100\n", "roll", "1" },
	{ L E "protocol = server-starter\n", "handoff", "share" },
	{ L E "protocol = einhorn\n", "handoff", "share" },
	{ L E "protocol = systemd\n", "handoff", "spawn" },
	{ L E "relay = unix:/tmp/u\n", "workers", "0-1" },
	{ L E "relay = unix:/tmp/u\n", "roll", "0" },
	{ L E "relay = unix:/tmp/u\n", "ready", "probe" },
	{ L E "relay = unix:/tmp/u\n", "max_connections", "0" },
	{ L "relay = unix:/tmp/u\n", "max_connections", "0" },
	{ L E "handoff = pass\nrespawn_delay = 2min\n", "respawn_max", "2min" },
	{ L E "handoff = pass\nrespawn_delay = 1s\n", "respawn_max", "1min" },
	{ L E, "pass_environment", "" },
	{ L E "pass_environment = HOME\n", "pass_environment", "HOME" },
	{ L E "rate = 60/min\n", "rate", "1/s burst=1" },
};

START_TEST(derive)
{
	CLEANUP(freep) char *text = xasprintf("[service a]\n%s",
					      derived[_i].text);
	struct conf *c = must(text);
	CLEANUP(freep) char *got = conf_value(conf_find(c, "a"),
					      derived[_i].key);

	if (strcmp(derived[_i].key, "rate") == 0) {
		struct text_rate rate;

		ck_assert_int_eq(text_rate(got, &rate), 0);
		ck_assert(rate.per_second == 1 && rate.burst == 1);
	} else {
		ck_assert_str_eq(got, derived[_i].value);
	}
	conf_unref(&c);
}
END_TEST

/* --- what contradicts ---------------------------------------------------- */

static const struct {
	const char *text;	/* after [service a] */
	const char *error;	/* how the first line begins; NULL: good */
} sets[] = {
	{ "", "t:1: [service a] nobody deals with arrivals; it needs exec, "
	      "relay or builtin" },
	{ E, "t:1: [service a] no arrival can reach it; it needs listen, "
	     "trigger or every" },
	{ L E "builtin = echo\n",
	  "t:4: [service a] builtin: stands beside exec" },
	{ L "relay = unix:/tmp/u\nbuiltin = echo\n",
	  "t:4: [service a] builtin: stands beside relay" },
	{ "builtin = echo\n", "t:1: [service a] no arrival can reach it; it "
			      "needs listen" },
	{ L "trigger = fifo:x\nrelay = unix:/tmp/u\n",
	  "t:3: [service a] trigger: cannot act here" },
	{ L "relay = unix:/tmp/u\nhandoff = pass\n",
	  "t:4: [service a] handoff: cannot act here" },
	{ L E "handoff = pass\nprotocol = systemd\n",
	  "t:5: [service a] protocol: cannot act here" },
	{ L E "handoff = spawn\nprotocol = fastcgi\n",
	  "t:5: [service a] protocol: under handoff = spawn it is inetd or "
	  "systemd" },
	{ L E "handoff = share\nprotocol = inetd\n",
	  "t:5: [service a] protocol: inetd acts under handoff = spawn" },
	{ E "every = 1h\nprotocol = systemd\n",
	  "t:4: [service a] protocol: a trigger run has no connection" },
	{ L E "relay = unix:/tmp/u\nrelay = unix:/tmp/v\n",
	  "t:4: [service a] relay: exec with relay has one relay" },
	{ L E "protocol = wait\nworkers = 2\n",
	  "t:5: [service a] workers: with protocol = wait it is 0-1" },
	{ L E "protocol = wait\nworkers = 0-1\nroll = 0\n", NULL },
	{ L E "protocol = wait\nroll = 1\n",
	  "t:5: [service a] roll: with protocol = wait it is 0" },
	{ L E "handoff = pass\npick = leastconn\nreports = no\n",
	  "t:6: [service a] reports: pick counts" },
	{ L E "handoff = pass\nreports = yes\nworker_connections = 2\n",
	  "t:6: [service a] worker_connections: cannot act with pick = "
	  "queue" },
	{ L E "handoff = pass\nmax_requests = 2\n",
	  "t:5: [service a] max_requests: cannot act here: under handoff = "
	  "pass usher sees what a worker holds only with reports = yes; it "
	  "acts in: pass with reports = yes, share with protocol = postfix or "
	  "einhorn" },
	{ L E "protocol = einhorn\nmax_requests = 2\n",
	  "t:5: [service a] max_requests: cannot act with protocol = "
	  "einhorn" },
	{ L E "handoff = pass\nrefuse_message = no\n",
	  "t:5: [service a] refuse_message: nobody is refused here" },
	{ L "builtin = echo\nrefuse_message = no\n",
	  "t:4: [service a] refuse_message: nobody is refused here" },
	{ L "builtin = echo\nrefuse_message = no\nmax_per_source = 1\n",
	  NULL },
	{ L "builtin = echo\nrefuse_message = no\ndeny = 192.0.2.0/24\n",
	  NULL },
	{ L E "handoff = pass\nrefuse_message = no\nallow = 192.0.2.1\n",
	  NULL },
	/* Its program, its upstream may not be there. */
	{ L E "refuse_message = no\n", NULL },
	{ L "relay = unix:/tmp/u\nrefuse_message = no\n", NULL },
	{ L E "output = connection\n", NULL },
	{ L E "output = connection\nprotocol = systemd\n",
	  "t:4: [service a] output: 'connection' acts in spawn" },
	{ E "every = 1h\noutput = connection\n",
	  "t:4: [service a] output: 'connection' acts in spawn" },
	{ L "builtin = discard\nsurvive = crash\n",
	  "t:4: [service a] survive: of the builtins it acts in echo" },
	{ L "relay = unix:/tmp/u\nrelay_workers = 2\nsurvive = crash\n",
	  "t:5: [service a] survive: cannot act with relay_workers" },
	{ L E "handoff = pass\nready = status\n",
	  "t:5: [service a] ready: 'status' acts in share" },
	{ L E "handoff = pass\nreports = yes\nready = status\n", NULL },
	{ L E "protocol = postfix\nready = status\n", NULL },
	{ L E "handoff = share\nready = probe\n",
	  "t:5: [service a] ready: 'probe' without an address" },
	{ L E "handoff = pass\nready = fd:3\n",
	  "t:5: [service a] ready: descriptor 3 is where the worker" },
	{ L E "handoff = share\nready = fd:4\n",
	  "t:5: [service a] ready: that descriptor is one of the" },
	{ L E L, "t:4: [service a] listen: unix:/tmp/a twice" },
	/* One path, whatever lies there and however it is written. */
	{ L "listen = unix-seqpacket:/tmp/a\n" E,
	  "t:3: [service a] listen: unix-seqpacket:/tmp/a: no room beside "
	  "unix:/tmp/a, a door of service a (t:2); of two that overlap" },
	{ L "trigger = unix:/tmp/./a\n" E,
	  "t:3: [service a] trigger: unix:/tmp/./a: no room beside" },
	{ L "trigger = unix:/tmp//a\n" E,
	  "t:3: [service a] trigger: unix:/tmp//a: no room beside" },
	{ "trigger = fifo:x\ntrigger = fifo:/tmp/spool/x\n" E,
	  "t:3: [service a] trigger: fifo:/tmp/spool/x: no room beside" },
	{ "listen = unix:/tmp/control\n" E,
	  "t:2: [service a] listen: unix:/tmp/control is a door of usher "
	  "itself too (the default)" },
	{ "listen = unix:@a\nlisten = unix-pass:@a\n" E,
	  "t:3: [service a] listen: unix-pass:@a: no room beside unix:@a" },
	{ "listen = unix:@a\nlisten = unix-seqpacket:@a\n" E, NULL },
	{ L "listen = unix:/tmp/a/b\nlisten = unix:/tmp/.a\n" E, NULL },
	{ "listen = udp:127.0.0.1:53\n" E,
	  "t:2: [service a] listen: udp:127.0.0.1:53: udp: needs protocol = "
	  "wait" },
	{ "listen = udp:127.0.0.1:53\n" E "protocol = wait\n", NULL },
	{ "listen = unix-dgram:/tmp/d\n" E,
	  "t:2: [service a] listen: unix-dgram:/tmp/d: a datagram socket" },
	{ "listen = fifo:x\n" E "protocol = postfix\n", NULL },
	{ "listen = unix-pass:/tmp/p\n" E "handoff = share\n",
	  "t:2: [service a] listen: unix-pass:/tmp/p: unix-pass: brings" },
	{ "listen = unix-pass:/tmp/p\n" E "handoff = pass\n", NULL },
	{ L "builtin = agent a\n", NULL },
	{ L "builtin = agent b\n",
	  "t:3: [service a] builtin: there is no service 'b'" },
	{ L "exec = sh\n", "t:3: [service a] exec: 'sh' has no path; " },
	{ L "exec = no-such-program\n",
	  "t:3: [service a] exec: 'no-such-program' has no absolute path" },
	{ L "exec = /etc/passwd\n",
	  "t:3: [service a] exec: /etc/passwd is not executable" },
	{ L E "user = no-such-user\n",
	  "t:4: [service a] user: unknown user 'no-such-user'" },
	{ L E "allow = 10.0.0.0/8\nhandoff = share\n",
	  "t:4: [service a] allow: cannot act here: under handoff = share the "
	  "workers accept themselves and usher sees no connection" },
};

START_TEST(together)
{
	CLEANUP(freep) char *text = xasprintf("[service a]\n%s",
					      sets[_i].text);
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	int r = load_text(text, strlen(text), &c, &report);
	const char *error = sets[_i].error;

	if (error) {
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_msg(strncmp(report.errors.v[0], error,
				      strlen(error)) == 0,
			      "%s", report.errors.v[0]);
		ck_assert_msg(report.errors.n == 1, "%s", report.errors.v[1]);
	} else {
		ck_assert_msg(r == 0, "%s", report.errors.v[0]);
	}
	conf_unref(&c);
	conf_report_free(&report);
}
END_TEST

/* A name without a path says where it is on PATH. */
START_TEST(on_path)
{
	static const char text[] = "[service a]\n" L "exec = gunicorn app\n";
	char dir[] = "/tmp/usher-conf-XXXXXX";
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *program = NULL;
	CLEANUP(freep) char *expect = NULL;
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	program = xasprintf("%s/gunicorn", dir);
	f = fopen(program, "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	chmod(program, 0755);
	setenv("PATH", dir, 1);
	ck_assert_int_eq(load_text(text, strlen(text), &c, &report), -EINVAL);
	expect = xasprintf("t:3: [service a] exec: 'gunicorn' has no path; %s "
			   "is on PATH; the program and its arguments",
			   program);
	ck_assert_str_eq(report.errors.v[0], expect);
	conf_report_free(&report);
	unlink(program);
	rmdir(dir);
}
END_TEST

/* --- [defaults] ---------------------------------------------------------- */

static const struct {
	const char *text, *key, *value, *note;
} defaults[] = {
	{ "[defaults]\nnice = 3\n[service a]\n" L E, "nice", "3", "" },
	{ "[service a]\n" L E "[defaults]\nnice = 3\n", "nice", "3", "" },
	{ "[defaults]\nnice = 3\n[service a]\n" L E "nice = 4\n", "nice", "4",
	  "" },
	/* A list as a whole. */
	{ "[defaults]\nenvironment = A=1\n[service a]\n" L E
	  "environment = B=2\n", "environment", "B=2", "" },
	/* allow and deny are one list. */
	{ "[defaults]\ndeny = 10.0.0.1\n[service a]\n" L E
	  "allow = 10.0.0.0/8\n", "deny", "", "" },
	{ "[defaults]\ndeny = 10.0.0.1\n[service a]\n" L E, "deny",
	  "10.0.0.1", "" },
	{ "[defaults]\nhandoff = pass\n[service a]\n" L E, "handoff", "pass",
	  "" },
	{ "[defaults]\nprotocol = fastcgi\n[service a]\n" L E, "handoff",
	  "share", "" },
	{ "[defaults]\nexec = /bin/sh\n[service a]\n" L, "exec", "/bin/sh",
	  "" },
	/* One that can't act is told, and is not there. */
	{ "[defaults]\nidle_timeout = 5s\n[service a]\n" L E, "idle_timeout",
	  "100s",
	  "t:2: [defaults] idle_timeout: does not act in a: under handoff = "
	  "spawn; it acts in: pass, share, exec with relay" },
	{ "[defaults]\nprotocol = fastcgi\n[service a]\n" L E
	  "handoff = spawn\n", "protocol", "inetd",
	  "t:2: [defaults] protocol: does not act in a: does not go with the "
	  "service's own keys" },
	{ "[defaults]\nhandoff = pass\n[service a]\n" L E
	  "protocol = fastcgi\n", "handoff", "share",
	  "t:2: [defaults] handoff: does not act in a: does not go with the "
	  "service's own keys" },
	{ "[defaults]\noutput = connection\n[service a]\n" L E
	  "handoff = pass\n", "output", "log",
	  "t:2: [defaults] output: does not act in a: 'connection' acts in "
	  "spawn with listen and protocol = inetd; here it is log, null or "
	  "inherit" },
	/* Two upstreams are no backend's. */
	{ "[defaults]\nrelay = unix:/tmp/u\nrelay = unix:/tmp/v\n[service a]\n"
	  L E, "handoff", "spawn",
	  "t:2: [defaults] relay: does not act in a: under handoff = spawn; it "
	  "acts in: relay, exec with relay\n"
	  "t:3: [defaults] relay: does not act in a: under handoff = spawn; it "
	  "acts in: relay, exec with relay" },
	{ "[defaults]\nexec = /bin/sh\n[service a]\n" L "builtin = echo\n",
	  "builtin", "echo",
	  "t:2: [defaults] exec: does not act in a: a builtin starts no "
	  "program and takes no triggers; it acts in: spawn with listen, "
	  "spawn with trigger or every, pass, share, exec with relay" },
};

START_TEST(default_values)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *got = NULL;
	CLEANUP(freep) char *notes = NULL;
	const char *text = defaults[_i].text;
	int r = load_text(text, strlen(text), &c, &report);

	ck_assert_msg(r == 0, "%s", report.errors.v[0]);
	notes = join(&report.notes);
	ck_assert_str_eq(notes, defaults[_i].note);
	got = conf_value(conf_find(c, "a"), defaults[_i].key);
	if (strcmp(defaults[_i].key, "idle_timeout") == 0) {
		int64_t ms;

		ck_assert_int_eq(text_duration(defaults[_i].value, &ms), 0);
		ck_assert_int_eq(conf_find(c, "a")->idle_timeout, ms);
	} else {
		ck_assert_str_eq(got, defaults[_i].value);
	}
	conf_unref(&c);
	conf_report_free(&report);
}
END_TEST

/* What admits must not be passed over. */
START_TEST(default_allow)
{
	static const char text[] = "[defaults]\nallow = 10.0.0.0/8\n"
				   "[service a]\n" L E "handoff = share\n";
	struct conf_report report = { 0 };
	struct conf *c = NULL;

	ck_assert_int_eq(load_text(text, strlen(text), &c, &report), -EINVAL);
	ck_assert_ptr_nonnull(strstr(report.errors.v[0],
				     "t:2: [defaults] allow: in a: "));
	conf_report_free(&report);
}
END_TEST

/* A wrong default is told once, though no service takes it. */
START_TEST(default_wrong)
{
	static const char text[] = "[defaults]\nnice = 99\n[service a]\n" L E
				   "[service b]\nlisten = unix:/tmp/b\n" E;
	struct conf_report report = { 0 };
	struct conf *c = NULL;

	ck_assert_int_eq(load_text(text, strlen(text), &c, &report), -EINVAL);
	ck_assert_uint_eq(report.errors.n, 1);
	conf_report_free(&report);
}
END_TEST

/* --- files --------------------------------------------------------------- */

static char dir[64] = "/tmp/usher-conf-XXXXXX";

static void put(const char *name, const char *text)
{
	CLEANUP(freep) char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void drop(const char *name)
{
	CLEANUP(freep) char *path = xasprintf("%s/%s", dir, name);

	unlink(path);
}

static int load_main(struct conf **c, struct conf_report *report)
{
	CLEANUP(freep) char *path = xasprintf("%s/main.ini", dir);
	struct conf_source source = { .path = path };

	return conf_load(&source, c, report);
}

START_TEST(includes)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *dump = NULL;
	CLEANUP(freep) char *path = NULL;
	struct conf_source kept = { .path = "kept" };
	size_t len;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	put("main.ini", "[usher]\ninclude = *.conf\ninclude = none.d/*.ini\n"
			"[defaults]\nnice = 1\n"
			"[service m]\nlisten = unix:/tmp/m\n" E);
	put("b.conf", "[service b]\nlisten = unix:/tmp/b\n" E);
	put("a.conf", "[defaults]\numask = 077\n"
		      "[service a]\nlisten = unix:/tmp/a\n" E);
	put("c.txt", "nonsense\n");
	ck_assert_int_eq(load_main(&c, &report), 0);
	/* The main file, then the rest in sorted order. */
	ck_assert_uint_eq(c->files.n, 3);
	ck_assert_ptr_nonnull(strstr(c->files.v[1], "/a.conf"));
	ck_assert_ptr_nonnull(strstr(c->files.v[2], "/b.conf"));
	ck_assert_uint_eq(c->nservices, 3);
	/* A file's own [defaults], else the main file's. */
	ck_assert_int_eq(conf_find(c, "m")->nice, 1);
	ck_assert_int_eq(conf_find(c, "b")->nice, 1);
	ck_assert_int_eq(conf_find(c, "a")->nice, 0);
	ck_assert_int_eq(conf_find(c, "a")->umask, 077);
	ck_assert_int_eq(conf_find(c, "b")->umask, -1);
	ck_assert_str_eq(conf_find(c, "b")->where.file, c->files.v[2]);
	ck_assert_ptr_null(conf_find(c, "c"));

	/* All of it as one text, without the files. */
	dump = conf_dump(c, &len);
	drop("a.conf");
	kept.text = dump;
	kept.len = len;
	conf_unref(&c);
	ck_assert_int_eq(conf_load(&kept, &c, &report), 0);
	ck_assert_uint_eq(c->nservices, 3);
	ck_assert_int_eq(conf_find(c, "a")->umask, 077);
	ck_assert_int_eq(conf_find(c, "a")->nice, 0);
	path = xasprintf("%s/a.conf", dir);
	ck_assert_str_eq(conf_find(c, "a")->where.file, path);
	conf_unref(&c);

	/* A torn one is refused. */
	kept.len = len - 20;
	ck_assert_int_eq(conf_load(&kept, &c, &report), -EINVAL);
	conf_report_free(&report);

	/* [usher] is the main file's; a service is once in all files. */
	put("b.conf", "[usher]\nkeeper = no\n[service m]\n");
	ck_assert_int_eq(load_main(&c, &report), -EINVAL);
	ck_assert_uint_eq(report.errors.n, 2);
	ck_assert_ptr_nonnull(strstr(report.errors.v[0],
				     "/b.conf:1: [usher] [usher] stands in "
				     "the main file"));
	ck_assert_ptr_nonnull(strstr(report.errors.v[1],
				     "/b.conf:3: [service m] the same section "
				     "twice; the first is at "));
	conf_report_free(&report);
	drop("main.ini");
	ck_assert_int_eq(load_main(&c, &report), -ENOENT);
	ck_assert_ptr_nonnull(strstr(report.errors.v[0],
				     "/main.ini: cannot be read: No such "
				     "file"));
	conf_report_free(&report);
	drop("b.conf");
	drop("c.txt");
	rmdir(dir);
}
END_TEST

/* A directory whose name looks like a pattern, a file by two names, a name
 * that no line of a report can hold, and a pipe whose writer takes his time. */
START_TEST(odd_files)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *inside = NULL;
	CLEANUP(freep) char *source = NULL;
	CLEANUP(freep) char *link = NULL;
	struct conf_source pipe_source = { 0 };
	int p[2];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	inside = xasprintf("%s/[a]*", dir);
	link = xasprintf("%s/[a]*/z.ini", dir);
	ck_assert_int_eq(mkdir(inside, 0700), 0);
	put("[a]*/b.ini", "[service b]\nlisten = unix:/tmp/b\n" E);
	put("[a]*/main.ini", "[usher]\ninclude = *.ini\ninclude = b.ini\n");
	ck_assert_int_eq(symlink("b.ini", link), 0);
	strcpy(dir, inside);
	ck_assert_int_eq(load_main(&c, &report), 0);
	ck_assert_uint_eq(c->files.n, 2);
	ck_assert_uint_eq(c->nservices, 1);
	conf_unref(&c);

	put("x\ny.ini", "");
	ck_assert_int_eq(load_main(&c, &report), -EINVAL);
	ck_assert_ptr_nonnull(strstr(report.errors.v[0],
				     "y.ini: a control character in the "
				     "file's name"));
	conf_report_free(&report);
	drop("x\ny.ini");
	drop("b.ini");
	drop("z.ini");
	drop("main.ini");
	rmdir(inside);
	*strrchr(inside, '/') = 0;
	rmdir(inside);

	ck_assert_int_eq(pipe(p), 0);
	if (fork() == 0) {
		usleep(100000);
		dprintf(p[1], "[service p]\nlisten = unix:/tmp/p\n");
		usleep(100000);
		dprintf(p[1], E);
		_exit(0);
	}
	close(p[1]);
	source = xasprintf("/dev/fd/%d", p[0]);
	pipe_source.path = source;
	ck_assert_int_eq(conf_load(&pipe_source, &c, &report), 0);
	ck_assert_uint_eq(c->nservices, 1);
	conf_unref(&c);
	close(p[0]);
}
END_TEST

/* What was good once goes on without what has gone from the world. */
START_TEST(kept)
{
	static const char files[] =
		"[service a]\n" L "exec = /nowhere/program\n"
		"user = no-such-user\ndirectory = /nowhere\n"
		"allow = user:no-such-user\n";
	CLEANUP(freep) char *text = xasprintf("#usher configuration 1\n"
					      "#file %zu t\n%s\n",
					      strlen(files), files);
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	const struct conf_service *s;

	ck_assert_int_eq(load_text(text, strlen(text), &c, &report), 0);
	ck_assert_uint_eq(report.notes.n, 3);
	s = conf_find(c, "a");
	ck_assert_str_eq(s->broken, "unknown user 'no-such-user'");
	/* Never as who we are. */
	ck_assert(s->who.identity.set_user && s->who.identity.uid != 0);
	ck_assert_uint_eq(s->rules.v[0].id, UINT32_MAX);
	conf_unref(&c);
	conf_report_free(&report);
}
END_TEST

/* --- what a change touches ----------------------------------------------- */

static const struct {
	const char *a, *b, *changed;
	unsigned diff;
} changes[] = {
	{ "", "", "", CONF_SAME },
	{ "", "max_connections = 100\n", "", CONF_SAME },
	{ "", "max_connections = 5\n", "max_connections", CONF_LIVE },
	{ "", "listen = unix:/tmp/b\n", "listen", CONF_DOORS },
	{ "", "every = 1h\n", "every", CONF_DOORS },
	{ "", "nice = 5\n", "nice", CONF_WORKERS },
	{ "", "environment = A=1\n", "environment", CONF_WORKERS },
	{ "", "user = 65534\n", "user", CONF_WORKERS },
	{ "", "nice = 5\nrate = 1/s\n", "rate,nice", CONF_WORKERS | CONF_LIVE },
	{ "allow = 10.0.0.0/8\n", "deny = 10.0.0.0/8\n", "allow, deny",
	  CONF_LIVE },
	{ "allow = 10.0.0.0/8\ndeny = 10.1.0.0/16\n",
	  "deny = 10.1.0.0/16\nallow = 10.0.0.0/8\n", "allow, deny",
	  CONF_LIVE },
	{ "", "handoff = share\n", "handoff,protocol,max_connections",
	  CONF_WORKERS | CONF_LIVE },
	{ "handoff = share\n", "handoff = share\nlisten = unix:/tmp/b\n",
	  "listen", CONF_DOORS | CONF_WORKERS },
	{ "handoff = pass\n", "handoff = pass\nworkers = 1-3\n",
	  "workers,queue_limit", CONF_LIVE },
	{ "handoff = pass\n", "handoff = pass\nready = notify\n", "ready",
	  CONF_WORKERS },
	{ "", "enabled = no\n", "enabled", CONF_DOORS },
};

START_TEST(compare)
{
	CLEANUP(freep) char *a = xasprintf("[service a]\n" L E "%s",
					   changes[_i].a);
	CLEANUP(freep) char *b = xasprintf("[service a]\n" L E "%s",
					   changes[_i].b);
	struct conf *x = must(a), *y = must(b);
	struct strv changed = { 0 };
	CLEANUP(freep) char *names = xstrdup("");

	if (geteuid() != 0 && strstr(b, "user")) {
		conf_unref(&x);
		conf_unref(&y);
		return;
	}
	ck_assert_uint_eq(conf_compare(conf_find(x, "a"), conf_find(y, "a"),
				       &changed), changes[_i].diff);
	for (size_t i = 0; i < changed.n; i++) {
		CLEANUP(freep) char *before = names;

		names = xasprintf("%s%s%s", before, i ? "," : "",
				  changed.v[i]);
	}
	ck_assert_str_eq(names, changes[_i].changed);
	strv_free(&changed);
	conf_unref(&x);
	conf_unref(&y);
}
END_TEST

/* --- [usher] ------------------------------------------------------------- */

START_TEST(usher)
{
	static const char text[] = "[service a]\n" L E;
	struct conf_source source = {
		.path = "t", .text = text, .len = strlen(text),
		.runtime = "/tmp/somewhere",
	};
	struct conf_report report = { 0 };
	struct conf *c = NULL;

	ck_assert_int_eq(conf_load(&source, &c, &report), 0);
	ck_assert(c->control_default);
	ck_assert_str_eq(c->control.path, "/tmp/somewhere/control");
	ck_assert_int_eq(c->control.opt.mode, 0666);
	ck_assert_str_eq(c->spool, "/tmp/somewhere/spool");
	ck_assert_ptr_eq(conf_find(c, "a")->spool, c->spool);
	ck_assert_int_eq(c->keeper, KEEPER_YES);
	ck_assert_int_eq(c->log_level, LOG_LEVEL_INFO);
	ck_assert_int_ge(c->max_descriptors, 64);
	ck_assert_int_eq(c->resolve_every, 60000);
	conf_unref(&c);
	conf_report_free(&report);
}
END_TEST

/* Each arrow of `check --effective` and `show`. */
START_TEST(print)
{
	static const char text[] = "[service a]\n" L E "nice = 5\n";
	static const char expect[] =
		"[service a]\n# t:2\nlisten = unix:/tmp/a\n# t:3\n"
		"exec = /bin/sh\n# t:4\nnice = 5\n# defaults\n";
	struct conf *c = must(text);
	CLEANUP(freep) char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	conf_print(c, conf_find(c, "a"), true, f);
	fclose(f);
	ck_assert_int_eq(strncmp(out, expect, strlen(expect)), 0);
	ck_assert_ptr_nonnull(strstr(out, "\nstop_signal = SIGTERM\n"));
	conf_unref(&c);
}
END_TEST

/* A long value goes on in the next line, and reads back. */
START_TEST(print_long)
{
	char text[2000] = "[service a]\n" L "exec = /bin/sh";
	struct conf *c, *again;
	CLEANUP(freep) char *out = NULL;
	size_t len;
	FILE *f;

	for (int i = 0; i < 100; i++)
		sprintf(text + strlen(text), "%s--x%d=y%s",
			i % 10 ? " " : "\n\t", i,
			i % 10 < 9 ? " user=z" : "");
	c = must(text);
	f = open_memstream(&out, &len);
	conf_print(c, conf_find(c, "a"), false, f);
	fclose(f);
	again = must(out);
	ck_assert_uint_eq(conf_find(c, "a")->argv.n, 191);
	ck_assert_str_eq(conf_find(c, "a")->exec, conf_find(again, "a")->exec);
	conf_unref(&c);
	conf_unref(&again);
}
END_TEST

/* Values that take more room than they took, or quotes: what is printed reads
 * back, and prints the same. */
static const char *const again[] = {
	"listen = tcp:127.0.0.1:0 \"name=a b\"\n" E "handoff = share\n",
	L E "stop_signal = 64\n",
	/* As long as a line may be, without the blanks around the '='. */
	L E "pass_environment=" X50 X50 X50 X10 X10 X10 "x\n",
	L E "environment = 'J={\"a\":\"b\",\"c\":\"d\",\"e\":\"f\",\"g\":\"h\","
	  "\"i\":\"j\",\"k\":\"l\",\"m\":\"n\",\"o\":\"p\",\"q\":\"r\",\"s\":"
	  "\"t\",\"u\":\"v\",\"w\":\"x\",\"y\":\"z\",\"A\":\"B\",\"C\":\"D\"}'\n",
	L E "environment = 'L=" X50 "a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s;t;"
	  "u;v;w;x;y;z;A;B;C;D;E;F;G;H;I;J;K;L;M;N; O'\n",
	/* No break inside of quotes, before what then were a comment. */
	L "exec=/bin/sh -c '" X50 " # " X50 " " X50 " # x'\n",
	L "exec=/bin/sh\n\t-c '" X50 " # " X50 "' \"" X50 "\"\n\t'" X50
	  " # " X50 "'\n",
	L E "refuse_message = " X50 " " X50 " [x] " X50 "\\n\\t\\\\\n",
	L E "rate = 7/d burst=4294967295\nrate_per_source = 100/min\n",
};

static char *printed(const char *text)
{
	struct conf *c = must(text);
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	conf_print(c, NULL, false, f);
	fclose(f);
	conf_unref(&c);
	return out;
}

START_TEST(print_again)
{
	CLEANUP(freep) char *text = xasprintf("[service a]\n%s", again[_i]);
	CLEANUP(freep) char *once = printed(text);
	CLEANUP(freep) char *twice = printed(once);

	ck_assert_str_eq(once, twice);
}
END_TEST

/* --- many ---------------------------------------------------------------- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* 100 ms of CPU on a plain build (0.08 s seen); a square would take minutes.
 * The bound leaves room for sanitizers. */
START_TEST(many)
{
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	CLEANUP(freep) char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	double start;

	for (int i = 0; i < 10000; i++)
		fprintf(f, "[service s%d]\nlisten = tcp:127.0.%d.%d:7000\n"
			   "exec = /bin/sh -c %d\nmax_connections = 5\n\n",
			i, i / 250, i % 250, i);
	fclose(f);
	start = now();
	ck_assert_int_eq(load_text(text, len, &c, &report), 0);
	ck_assert_uint_eq(c->nservices, 10000);
	ck_assert_ptr_nonnull(conf_find(c, "s9999"));
	ck_assert_double_lt(now() - start, 3.0);
	conf_unref(&c);
	conf_report_free(&report);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conf_load");
	TCase *tc = tcase_create("conf_load");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, derive, 0, ARRAY_SIZE(derived));
	tcase_add_loop_test(tc, together, 0, ARRAY_SIZE(sets));
	tcase_add_test(tc, on_path);
	tcase_add_loop_test(tc, default_values, 0, ARRAY_SIZE(defaults));
	tcase_add_test(tc, default_allow);
	tcase_add_test(tc, default_wrong);
	tcase_add_test(tc, includes);
	tcase_add_test(tc, kept);
	tcase_add_loop_test(tc, compare, 0, ARRAY_SIZE(changes));
	tcase_add_test(tc, usher);
	tcase_add_test(tc, print);
	tcase_add_test(tc, print_long);
	tcase_add_loop_test(tc, print_again, 0, ARRAY_SIZE(again));
	tcase_add_test(tc, odd_files);
	tcase_add_test(tc, many);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
