/*
 * What conf/import promises: each format's lines, the section that they
 * become, and what is told of what they could not; and that a section is
 * right as the loader sees it.
 */
#include "conf/import.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"

/* Files, the first is imported; OUT without its comments. */
struct row {
	int (*fn)(struct import *im, const char *file);
	const char *file, *text, *other, *other_text;
	const char *out, *err;
	bool load;		/* the loader takes it on this machine */
};

static const struct row rows[] = {
	/* inetd */
	{ import_inetd, "inetd.conf",
	  "# comment\n"
	  "www stream tcp nowait nobody:nogroup /bin/sh sh -c \"a\"\n",
	  NULL, NULL,
	  "[service www]\nlisten = tcp4:*:www\n"
	  "exec = @/bin/sh sh -c '\"a\"'\nuser = nobody\n"
	  "group = nogroup\noutput = connection\nmax_connections = 0\n\n",
	  "", true },
	{ import_inetd, "inetd.conf",
	  "127.0.0.1:\n7007 stream tcp6,sndbuf=16k nowait.40 root "
	  "/bin/cat /bin/cat\n",
	  NULL, NULL,
	  "[service 7007]\nlisten = tcp6:127.0.0.1:7007 sndbuf=16K\n"
	  "exec = /bin/cat\nuser = root\noutput = connection\n"
	  "max_connections = 0\nrate = 40/min burst=40\n\n",
	  "", false },
	{ import_inetd, "inetd.conf",
	  "tftp dgram udp wait root.daemon /bin/cat in.tftpd /srv\n",
	  NULL, NULL,
	  "[service tftp]\nlisten = udp4:*:tftp\n"
	  "exec = @/bin/cat in.tftpd /srv\nuser = root\ngroup = daemon\n"
	  "protocol = wait\n\n",
	  "", true },
	{ import_inetd, "inetd.conf",
	  "echo stream tcp nowait root internal\n"
	  "time dgram udp wait root internal\n"
	  "10.0.0.1:discard stream tcp nowait root internal\n",
	  NULL, NULL,
	  "[service echo]\nbuiltin = echo\nlisten = tcp4:*:echo\n\n\n"
	  "[service discard]\nbuiltin = discard\n"
	  "listen = tcp4:10.0.0.1:discard\n\n",
	  "inetd.conf:2: internal service time (udp): usher has echo and "
	  "discard for streams alone\n", true },
	{ import_inetd, "inetd.conf",
	  "mountd/1 dgram rpc/udp wait root /bin/cat cat\n"
	  "too short\n",
	  NULL, NULL, "\n\n",
	  "inetd.conf:1: protocol rpc/udp: usher has no such doors\n"
	  "inetd.conf:2: not understood: 2 fields, 6 are wanted\n", true },
	{ import_inetd, "inetd.conf",
	  "a stream tcp nowait root /bin/cat ;x #y\n", NULL, NULL,
	  "[service a]\nlisten = tcp4:*:a\n"
	  "exec = @/bin/cat \";x\" \"#y\"\nuser = root\n"
	  "output = connection\nmax_connections = 0\n\n",
	  "", false },
	/* xinetd */
	/* A door's group is the program's too; rates that are none. */
	{ import_inetd, "inetd.conf",
	  "/tmp/s stream unix nowait.x nobody:nogroup /bin/cat cat\n"
	  "7008 stream tcp nowait/3/1 root /bin/cat /bin/cat caf\xe9\n",
	  NULL, NULL,
	  "[service s]\nlisten = unix:/tmp/s mode=0666 owner=nobody "
	  "group=nogroup\nexec = @/bin/cat cat\nuser = nobody\n"
	  "group = nogroup\noutput = connection\nmax_connections = 0\n\n"
	  "[service 7008]\nlisten = tcp4:*:7008\n"
	  "exec = /bin/cat \"caf\\xe9\"\nuser = root\noutput = connection\n"
	  "max_connections = 0\n\n",
	  "inetd.conf:1: rate = x/min burst=x: 'x/min burst=x' is no rate "
	  "(100/s, 60/min, 100/s burst=500)\n"
	  "inetd.conf:2: rate = 3/1/min burst=3/1: '3/1/min burst=3/1' is no "
	  "rate (100/s, 60/min, 100/s burst=500)\n", false },
	{ import_xinetd, "xinetd.conf",
	  "defaults\n{\n instances = 60\n only_from = 10.0.0.0\n"
	  " log_type = SYSLOG daemon\n log_on_success = HOST PID\n}\n"
	  "service ftp\n{\n socket_type = stream\n wait = no\n"
	  " user = nobody\n server = /bin/cat\n server_args = -u x\n"
	  " only_from += 192.168.1.0 localhost\n per_source = 3\n"
	  " cps = 25 30\n nice = 10\n env += A=b\n}\n",
	  NULL, NULL,
	  "[service ftp]\nlisten = tcp:*:ftp\nexec = /bin/cat -u x\n"
	  "user = nobody\noutput = connection\nallow = 192.168.1.0/24\n"
	  "allow = 127.0.0.0/8\nallow = ::1\nmax_per_source = 3\n"
	  "rate = 25/s burst=25\nnice = 10\nenvironment = A=b\n"
	  "max_connections = 60\non_full = refuse\n"
	  "log_connections = yes\n\n", "", true },
	{ import_xinetd, "chargen",
	  "service chargen\n{\n disable = yes\n type = INTERNAL\n"
	  " id = chargen-stream\n socket_type = stream\n protocol = tcp\n"
	  " user = root\n wait = no\n}\n",
	  NULL, NULL, "\n",
	  "chargen:1: internal service chargen (stream), disabled: usher "
	  "has echo and discard for streams alone\n", true },
	{ import_xinetd, "echo",
	  "service echo\n{\n disable=yes\n type= INTERNAL UNLISTED\n"
	  " id = echo-stream\n socket_type = stream\n port = 7\n"
	  " bind = ::1\n protocol = tcp\n user = root\n wait = no\n}\n",
	  NULL, NULL,
	  "[service echo-stream]\nlisten = tcp:[::1]:7\nbuiltin = echo\n"
	  "enabled = no\n\n", "", true },
	{ import_xinetd, "redirect",
	  "service web\n{\n flags = IPv4 NODELAY SENSOR\n port = 8080\n"
	  " type = UNLISTED\n socket_type = stream\n wait = no\n"
	  " redirect = 10.0.0.1 80\n banner = /etc/x\n}\n",
	  NULL, NULL,
	  "[service web]\nlisten = tcp4:*:8080 nodelay=yes\n"
	  "relay = tcp:10.0.0.1:80\n\n",
	  "redirect:3: flags SENSOR\nredirect:9: banner = /etc/x\n", true },
	{ import_xinetd, "xinetd.conf",
	  "include @DIR@/more\nnonsense\n", "more",
	  "service tftp\n{\n socket_type = dgram\n protocol = udp\n"
	  " wait = yes\n user = root\n server = /bin/cat\n"
	  " flags = NAMEINARGS\n server_args = in.tftpd -s /srv\n"
	  " instances = 4\n}\n",
	  "[service tftp]\nlisten = udp:*:tftp\n"
	  "exec = @/bin/cat in.tftpd -s /srv\nuser = root\n"
	  "protocol = wait\n\n\n",
	  "more:10: instances: with wait = yes usher sees no connections\n"
	  "xinetd.conf:2: not understood: nonsense\n", true },
	/* systemd */
	{ import_systemd, "ssh.socket",
	  "[Unit]\nDescription=x\n[Socket]\nListenStream=22\nAccept=yes\n"
	  "[Install]\nWantedBy=sockets.target\n", "ssh@.service",
	  "[Unit]\nDescription=x\n[Service]\nExecStart=-/bin/cat -i $OPTS\n"
	  "StandardInput=socket\nEnvironmentFile=-/etc/default/ssh\n"
	  "RuntimeDirectory=sshd\n",
	  "[service ssh]\nlisten = tcp:*:22\nexec = /bin/cat -i\n"
	  "handoff = spawn\nprotocol = inetd\nmax_connections = 64\n"
	  "on_full = refuse\nenvironment_file = -/etc/default/ssh\n\n",
	  "ssh@.service:4: ExecStart: $OPTS is left out, usher knows no "
	  "variables; write what it stands for\n"
	  "ssh@.service:7: RuntimeDirectory=sshd: usher has no such setting\n",
	  true },
	{ import_systemd, "bind.socket",
	  "[Socket]\nListenStream=/run/b.sock\nBindIPv6Only=ipv6-only\n"
	  "ListenStream=0.0.0.0:8111\nListenDatagram=0.0.0.0:8111\n"
	  "ListenStream=[::]:8111\n", "bind.service",
	  "[Service]\nType=notify\nEnvironment=\"OPTIONS=-w 'a b'\" X=$Y\n"
	  "ExecStart=/bin/cat $OPTIONS ${OPTIONS} %i-$X\n",
	  "[service bind]\nlisten = unix:/run/b.sock\n"
	  "listen = tcp:0.0.0.0:8111\nlisten = tcp:[::]:8111 v6only=yes\n"
	  "exec = /bin/cat -w \"a b\" \"-w 'a b'\" %i-$X\n"
	  "handoff = share\nworkers = 0-1\nidle_timeout = 0\n"
	  "ready = notify\nenvironment = \"OPTIONS=-w 'a b'\" X=$Y\n\n",
	  "bind.socket:5: ListenDatagram=0.0.0.0:8111: usher gives udp only "
	  "to programs that take it as standard input\n"
	  "bind.service:4: ExecStart: $OPTIONS became '-w 'a b'', which "
	  "Environment= says; usher knows no variables\n"
	  "bind.service:4: ExecStart: ${OPTIONS} became '-w 'a b'', which "
	  "Environment= says; usher knows no variables\n"
	  "bind.service:4: ExecStart: %i-$X stays as it is written, usher "
	  "knows no % and $\n", true },
	{ import_systemd, "udp.socket", "[Socket]\nListenDatagram=514\n",
	  "udp.service", "[Service]\nExecStart=/bin/cat\n", "\n",
	  "udp.socket:2: ListenDatagram=514: usher gives udp only to programs "
	  "that take it as standard input\nudp.socket:1: no door is left\n",
	  true },
	{ import_systemd, "app.socket",
	  "[Socket]\nListenStream=/run/app.sock\nSocketMode=0660\n"
	  "SocketUser=nobody\nListenStream=[::1]:8000\nNoDelay=yes\n",
	  "app.service",
	  "[Service]\nType=notify\nUser=nobody\nWorkingDirectory=/tmp\n"
	  "ExecStart=/bin/cat \\\n  --bind x\nTimeoutStopSec=5min\n"
	  "TimeoutStartSec=10\nKillSignal=SIGQUIT\nLimitNOFILE=1024:4096\n"
	  "Environment=A=b \"C=d e\"\n",
	  "[service app]\nlisten = unix:/run/app.sock mode=0660 owner=nobody\n"
	  "listen = tcp:[::1]:8000 nodelay=yes\n"
	  "exec = /bin/cat --bind x\nhandoff = share\nworkers = 0-1\n"
	  "idle_timeout = 0\nready = notify\nuser = nobody\n"
	  "directory = /tmp\nstop_timeout = 5min\nstart_timeout = 10s\n"
	  "stop_signal = SIGQUIT\nlimit_nofile = 1024:4096\n"
	  "environment = A=b \"C=d e\"\n\n", "", true },
	{ import_systemd, "lone.socket",
	  "[Socket]\nListenStream=/run/%i\nListenDatagram=514\n",
	  "lone.service",
	  "[Service]\nExecStart=/bin/cat\nStandardInput=socket\n"
	  "ProtectSystem=full\n",
	  "[service lone]\nlisten = udp:*:514\nexec = /bin/cat\n"
	  "protocol = wait\n\n",
	  "lone.socket:2: ListenStream=/run/%i: usher has no specifiers\n"
	  "lone.service:4: ProtectSystem=full: usher has no such setting\n",
	  true },
	{ import_systemd, "none.socket", "[Socket]\nListenStream=1\n", NULL,
	  NULL, "\n",
	  "none.socket:1: its service none.service is not there\n", true },
	/* master.cf; main.cf beside it */
	{ import_master_cf, "master.cf",
	  "smtp      inet  n       -       y       -       -       smtpd\n"
	  "pickup    unix  n       -       y       60      1       pickup\n"
	  "tlsmgr    unix  -       -       y       1000?   1       tlsmgr\n"
	  "cleanup   unix  n       -       y       -       0       cleanup\n"
	  "local     unix  -       n       n       -       -       local\n",
	  "main.cf",
	  "compatibility_level = 3.6\ninet_interfaces = all\n"
	  "daemon_directory = ${x}/sbin\nx = /opt\n",
	  "[service postfix-smtp-inet]\nlisten = tcp:*:smtp\n"
	  "protocol = postfix\n"
	  "exec = /opt/sbin/smtpd -n smtp -t inet -u -c -o stress=\n@\n"
	  "workers = 0-100\nidle_timeout = 0\n\n"
	  "[service postfix-pickup]\n"
	  "listen = unix:/var/spool/postfix/public/pickup owner=postfix\n"
	  "protocol = postfix\n"
	  "exec = /opt/sbin/pickup -l -t unix -u -c\n@\n"
	  "workers = 1\nidle_timeout = 0\nevery = 60s\n\n"
	  "[service postfix-tlsmgr]\n"
	  "listen = unix:/var/spool/postfix/private/tlsmgr owner=postfix\n"
	  "protocol = postfix\n"
	  "exec = /opt/sbin/tlsmgr -l -t unix -u -c\n@\n"
	  "workers = 0-1\nidle_timeout = 0\nevery = 1000s\n\n"
	  "[service postfix-cleanup]\n"
	  "listen = unix:/var/spool/postfix/public/cleanup owner=postfix\n"
	  "protocol = postfix\n"
	  "exec = /opt/sbin/cleanup -z -t unix -u -c\n@\n"
	  "workers = 0-10000\nidle_timeout = 0\n\n"
	  "[service postfix-local]\n"
	  "listen = unix:/var/spool/postfix/private/local owner=postfix\n"
	  "protocol = postfix\nexec = /opt/sbin/local -t unix\n@\n"
	  "workers = 0-100\nidle_timeout = 0\n\n",
	  "master.cf:3: wakeup 1000?: woken up also while nobody has used "
	  "it\n", false },
	{ import_master_cf, "master.cf",
	  "127.0.0.1:10025 inet n - n - 10 smtpd\n"
	  "  -o { smtpd_banner = hello there }\n"
	  "# between\n"
	  "  -o syslog_name=postfix/x\n"
	  "smtpd pass - - n - - smtpd\n"
	  "old fifo n - n - 1 qmgr\n"
	  "log unix-dgram n - n - 1 postlogd\n"
	  "submission inet n - - - 1 smtpd\n"
	  "bad line\n"
	  "weird tli n - n - - x\n",
	  "main.cf",
	  "inet_interfaces = loopback-only\ndaemon_directory = /opt\n"
	  "queue_directory = /q\nmail_owner = mail\n"
	  "default_process_limit = 7\nsyslog_name = px\n"
	  "maillog_file = /dev/stdout\nmyhostname = h.example\n",
	  "[service postfix-127.0.0.1-10025-inet]\n"
	  "listen = tcp:127.0.0.1:10025\nprotocol = postfix\n"
	  "exec = /opt/smtpd -n 127.0.0.1:10025 -t inet -u -o\n"
	  "\t\"smtpd_banner = hello there\" -o syslog_name=postfix/x\n@\n"
	  "workers = 0-10\nidle_timeout = 0\n\n"
	  "[service postfix-smtpd]\n"
	  "listen = unix-pass:/q/private/smtpd owner=mail\n"
	  "protocol = postfix\nexec = /opt/smtpd -t pass -u\n@\n"
	  "workers = 0-7\nidle_timeout = 0\n\n"
	  "[service postfix-old]\n"
	  "listen = fifo:/q/public/old owner=mail mode=0622\n"
	  "protocol = postfix\nexec = /opt/qmgr -l -n old -t fifo -u\n@\n"
	  "workers = 0-1\nidle_timeout = 0\n\n"
	  "[service postfix-log]\n"
	  "listen = unix-dgram:/q/public/log owner=mail\n"
	  "protocol = postfix\n"
	  "exec = /opt/postlogd -l -n log -t unix-dgram -u\n@\n"
	  "workers = 0-1\nidle_timeout = 0\n\n"
	  "[service postfix-submission-inet]\n"
	  "listen = tcp:127.0.0.1:submission\n"
	  "listen = tcp:[::1]:submission\nprotocol = postfix\n"
	  "exec = /opt/smtpd -l -n submission -t inet -u -c -s 2\n@\n"
	  "workers = 0-1\nidle_timeout = 0\n\n\n\n",
	  "master.cf:9: not understood: 2 fields, 8 are wanted\n"
	  "master.cf:10: type tli\n", false },
};

static char dir[64];

static void put(const char *name, const char *text)
{
	char path[128];
	const char *at = strstr(text, "@DIR@");
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	if (at)
		fprintf(f, "%.*s%s%s", (int)(at - text), text, dir, at + 5);
	else
		fputs(text, f);
	fclose(f);
}

static void gone(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

/* Without comments, and without the directory where files are named. */
static char *plain(const char *text)
{
	char *out = xstrdup(""), *copy = xstrdup(text), *rest = copy, *line;
	size_t len = strlen(dir);

	while ((line = strsep(&rest, "\n")) && rest) {
		char *old = out, *at;

		if (*line == '#')
			continue;
		while ((at = strstr(line, dir)) && at[len] == '/')
			memmove(at, at + len + 1, strlen(at + len + 1) + 1);
		out = xasprintf("%s%s\n", old, line);
		free(old);
	}
	free(copy);
	return out;
}

/* "@" in a master.cf row stands for what all its sections have. */
static char *common(const char *want)
{
	static const char *const one =
		"directory = /var/spool/postfix\numask = 077\n"
		"environment = MAIL_CONFIG=%s\n";
	static const char *const two =
		"directory = /q\numask = 077\n"
		"environment = MAIL_CONFIG=%s MAIL_LOGTAG=px\n"
		"\tPOSTLOG_SERVICE=/q/public/postlog "
		"POSTLOG_HOSTNAME=h.example\n";
	CLEANUP(freep) char *all = xasprintf(
		strstr(want, "/q/") ? two : one, dir);
	char *out = xstrdup("");

	for (const char *p = want; *p;) {
		size_t n = strcspn(p, "@");
		bool mark = p[n] == '@' && p[n + 1] == '\n' &&
			    (n == 0 || p[n - 1] == '\n');
		char *old = out;

		if (!mark && p[n])
			n++;
		out = xasprintf("%s%.*s%s", old, (int)n, p, mark ? all : "");
		free(old);
		p += n + (mark ? 2 : 0);
	}
	return out;
}

/* What is written the loader takes as it is. */
static void load(const char *text, size_t len)
{
	struct conf_source src = { .path = "import", .text = text,
				   .len = len, .runtime = dir };
	struct conf_report report = { 0 };
	struct conf *c = NULL;
	int r = conf_load(&src, &c, &report);

	for (size_t i = 0; i < report.errors.n; i++)
		fprintf(stderr, "%s\n", report.errors.v[i]);
	ck_assert_int_eq(r, 0);
	conf_report_free(&report);
	conf_unref(&c);
}

START_TEST(formats)
{
	const struct row *row = &rows[_i];
	char path[128], *out = NULL, *err = NULL;
	size_t nout = 0, nerr = 0;
	struct import im = { .out = open_memstream(&out, &nout),
			     .err = open_memstream(&err, &nerr) };
	CLEANUP(freep) char *told = NULL;
	CLEANUP(freep) char *sections = NULL;
	CLEANUP(freep) char *want = NULL;

	put(row->file, row->text);
	if (row->other)
		put(row->other, row->other_text);
	snprintf(path, sizeof(path), "%s/%s", dir, row->file);
	ck_assert_int_eq(row->fn(&im, path), 0);
	import_finish(&im);
	fclose(im.out);
	fclose(im.err);
	gone(row->file);
	if (row->other)
		gone(row->other);
	told = plain(err);
	sections = plain(out);
	want = row->fn == import_master_cf ? common(row->out)
					   : xstrdup(row->out);
	ck_assert_str_eq(sections, want);
	ck_assert_str_eq(told, row->err);
	/* Each of them stands beside its section as a comment too. */
	if (*row->err)
		ck_assert_uint_gt(im.missed, 0);
	if (row->load)
		load(out, nout);
	free(out);
	free(err);
}
END_TEST

START_TEST(names)
{
	char *out = NULL;
	size_t n = 0;
	struct import im = { .out = open_memstream(&out, &n), .err = stderr };
	struct import_at at = { "f", 1 };

	for (int i = 0; i < 3; i++) {
		import_begin(&im, "a b/c", at);
		import_end(&im);
	}
	import_begin(&im, "a-name-that-is-longer-than-forty-letters-can-be",
		     at);
	import_end(&im);
	import_begin(&im, "", at);
	import_end(&im);
	import_finish(&im);
	fclose(im.out);
	ck_assert_ptr_nonnull(strstr(out, "[service a-b-c]\n"));
	ck_assert_ptr_nonnull(strstr(out, "[service a-b-c-2]\n"));
	ck_assert_ptr_nonnull(strstr(out, "[service a-b-c-3]\n"));
	ck_assert_ptr_nonnull(strstr(out, "[service a-name-that-is-longer-"
				     "than-forty-le]\n"));
	ck_assert_ptr_nonnull(strstr(out, "[service service]\n"));
	free(out);
}
END_TEST

START_TEST(unreadable)
{
	struct import im = { .out = stdout, .err = stderr };

	ck_assert_int_eq(import_inetd(&im, "/nowhere/x"), -ENOENT);
	ck_assert_int_eq(import_xinetd(&im, "/nowhere/x"), -ENOENT);
	ck_assert_int_eq(import_systemd(&im, "/nowhere/x.socket"), -ENOENT);
	ck_assert_int_eq(import_systemd(&im, "/nowhere/x.service"), -ENOENT);
	ck_assert_int_eq(import_master_cf(&im, "/nowhere/x"), -ENOENT);
	ck_assert_uint_eq(im.missed, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("import");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	strcpy(dir, "/tmp/usher-import-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	tcase_add_loop_test(tc, formats, 0, ARRAY_SIZE(rows));
	tcase_add_test(tc, names);
	tcase_add_test(tc, unreadable);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	rmdir(dir);
	return failed != 0;
}
