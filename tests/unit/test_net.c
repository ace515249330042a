/*
 * What base/net promises, on real sockets: doors, their rights and options,
 * what is in the way, connects by a deadline, queues and holders.
 */
#include "base/net.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/record.h"

/* Long enough for any machine; what must not wait is far from it. */
#define PATIENCE 10000

static char dir[64];
static char told[512];	/* the last note */

static void on_note(void *arg, const char *text)
{
	(void)arg;
	snprintf(told, sizeof(told), "%s", text);
}

static const struct net_note note = { .fn = on_note };

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/usher-net-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	told[0] = '\0';
}

static void teardown(void)
{
	char *cmd = xasprintf("rm -rf '%s'", dir);

	ck_assert_int_eq(system(cmd), 0);
	free(cmd);
}

/* Parses FMT, whose %s is the scratch directory, and resolves it. */
static struct addr address(const char *fmt, bool passive)
{
	const char *at = strstr(fmt, "%s");
	char *text = at ? xasprintf("%.*s%s%s", (int)(at - fmt), fmt, dir,
				    at + 2) : xstrdup(fmt);
	struct addr a;
	char *why = NULL;

	ck_assert_msg(addr_parse(text, &a, &why) == 0, "%s: %s", text, why);
	ck_assert_int_eq(addr_resolve(&a, passive, &why), 0);
	free(text);
	return a;
}

static int door(const char *fmt)
{
	struct addr a = address(fmt, true);
	int fd = net_listen(&a, &a.names[0], &note);

	addr_free(&a);
	return fd;
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	ck_assert_int_eq(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

static struct addr_name own_name(int fd)
{
	struct addr_name n = { .len = sizeof(n.u) };

	ck_assert_int_eq(getsockname(fd, &n.u.sa, &n.len), 0);
	return n;
}

/* The door's own address as something to connect to. */
static struct addr address_of(int fd, const char *host)
{
	struct addr_name n = own_name(fd);
	char text[64];

	snprintf(text, sizeof(text), "tcp:%s:%u", host, addr_port(&n));
	return address(text, false);
}

static const struct {
	const char *text;
	int domain, type;
} doors[] = {
	{ "tcp:127.0.0.1:0", AF_INET, SOCK_STREAM },
	{ "tcp4:*:0", AF_INET, SOCK_STREAM },
	{ "udp:127.0.0.1:0", AF_INET, SOCK_DGRAM },
	{ "unix:%s/s", AF_UNIX, SOCK_STREAM },
	{ "unix:%s/new/er/s", AF_UNIX, SOCK_STREAM },
	{ "unix-seqpacket:%s/q", AF_UNIX, SOCK_SEQPACKET },
	{ "unix-dgram:%s/d", AF_UNIX, SOCK_DGRAM },
	{ "unix-pass:%s/p", AF_UNIX, SOCK_STREAM },
	{ "unix:@%s", AF_UNIX, SOCK_STREAM },
};

START_TEST(door_kinds)
{
	int fd = door(doors[_i].text);

	ck_assert_int_ge(fd, RECORD_LOW);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_DOMAIN), doors[_i].domain);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_TYPE), doors[_i].type);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ACCEPTCONN),
			 doors[_i].type != SOCK_DGRAM);
	ck_assert_str_eq(told, "");
	close(fd);
}
END_TEST

START_TEST(no_door)
{
	struct addr_name none = { .len = 0 };
	struct addr a;
	char *why;

	ck_assert_int_eq(addr_parse("fifo:x", &a, &why), 0);
	ck_assert_int_eq(net_listen(&a, &none, &note), -EINVAL);
	addr_free(&a);
}
END_TEST

/* One socket for both families, or for IPv4 where there is no other. */
START_TEST(dual_stack)
{
	int fd = door("tcp:*:0");
	struct addr to;
	int c;

	ck_assert_int_ge(fd, 0);
	to = address_of(fd, "127.0.0.1");
	c = net_connect(&to, PATIENCE, &note);
	ck_assert_int_ge(c, 0);
	if (option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6)
		ck_assert_int_eq(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	close(c);
	close(fd);
	addr_free(&to);
}
END_TEST

START_TEST(tcp_options)
{
	int fd = door("tcp:127.0.0.1:0 nodelay=yes keepalive=61,11,6 defer=yes "
		      "freebind=yes rcvbuf=32K sndbuf=16K backlog=7");
	struct net_queue q;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 61);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 11);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 6);
	ck_assert_int_gt(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	ck_assert_int_eq(option(fd, IPPROTO_IP, IP_FREEBIND), 1);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_RCVBUF), 2 * 32768);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_SNDBUF), 2 * 16384);
	ck_assert_int_eq(net_queue(fd, &q), 0);
	ck_assert_uint_eq(q.max, 7);
	ck_assert_str_eq(told, "");
	close(fd);
}
END_TEST

/* A refused option is told, and the door opens all the same. */
START_TEST(refused_option)
{
	int fd = door("tcp:127.0.0.1:0 interface=no-such-if");

	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_nonnull(strstr(told, "interface=no-such-if was refused"));
	close(fd);
	fd = door("tcp:127.0.0.1:0 backlog=2000000000");
	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_nonnull(strstr(told, "net.core.somaxconn limits it"));
	close(fd);
}
END_TEST

START_TEST(apply)
{
	int fd = door("tcp:127.0.0.1:0");
	struct addr a = address("tcp:127.0.0.1:0 nodelay=yes backlog=5 "
				"keepalive=60,10,5 defer=yes", true);
	struct addr b = address("tcp:127.0.0.1:0", true);
	struct net_queue q;

	ck_assert_int_eq(net_apply(fd, &a, &note), 0);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	ck_assert_int_eq(net_queue(fd, &q), 0);
	ck_assert_uint_eq(q.max, 5);
	ck_assert_int_eq(net_apply(fd, &b, &note), 0);	/* and back */
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(net_queue(fd, &q), 0);
	ck_assert_uint_gt(q.max, 5);
	close(fd);
	addr_free(&a);
	addr_free(&b);
}
END_TEST

static unsigned int mode_of(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	free(path);
	return st.st_mode & 07777;
}

START_TEST(rights)
{
	struct addr a;
	mode_t old = umask(077);
	int fd = door("unix:%s/made/s");
	int fd2 = door("unix:%s/made/t mode=0640");

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(fd2, 0);
	ck_assert_uint_eq(umask(old), 077);	/* as it was */
	ck_assert_uint_eq(mode_of("made"), 0755);
	ck_assert_uint_eq(mode_of("made/s"), 0666);
	ck_assert_uint_eq(mode_of("made/t"), 0640);
	a = address("unix:%s/made/s mode=0600", true);
	ck_assert_int_eq(net_apply(fd, &a, &note), 0);
	ck_assert_uint_eq(mode_of("made/s"), 0600);
	close(fd);
	close(fd2);
	addr_free(&a);
}
END_TEST

START_TEST(owner)
{
	char text[128], *path;
	struct stat st;
	int fd;

	snprintf(text, sizeof(text), "unix:%%s/o owner=%u group=%u",
		 geteuid() == 0 ? 12345 : geteuid(),
		 geteuid() == 0 ? 23456 : getegid());
	fd = door(text);
	ck_assert_int_ge(fd, 0);
	path = xasprintf("%s/o", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	if (geteuid() == 0) {
		ck_assert_uint_eq(st.st_uid, 12345);
		ck_assert_uint_eq(st.st_gid, 23456);
	}
	close(fd);
	free(path);
	ck_assert_int_eq(door("unix:%s/p owner=no-such-user-here"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(told, "no such user"));
	/* A door that did not open leaves nothing behind. */
	path = xasprintf("%s/p", dir);
	ck_assert_int_lt(access(path, F_OK), 0);
	free(path);
}
END_TEST

/* The path's own name is what programs learn from getsockname. */
START_TEST(bound_name)
{
	char buf[ADDR_TEXT], want[ADDR_TEXT];
	int fd, again;

	snprintf(want, sizeof(want), "unix:%s/s", dir);
	for (int i = 0; i < 2; i++) {
		struct addr_name n;

		fd = door("unix:%s/s");
		ck_assert_int_ge(fd, 0);
		n = own_name(fd);
		ck_assert_str_eq(addr_print(&n, buf, sizeof(buf)), want);
		again = door("unix:%s/s");
		ck_assert_int_eq(again, -EADDRINUSE);
		close(fd);	/* stale from here */
	}
}
END_TEST

/* Whatever lives at the path stays, and never sees a connection of ours. */
START_TEST(living_not_disturbed)
{
	static const char *const kinds[] = { "unix:%s/s", "unix-dgram:%s/s",
					     "unix-seqpacket:%s/s" };
	int fd = door(kinds[_i]);

	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		ck_assert_int_eq(door(kinds[i]), -EADDRINUSE);
	ck_assert_int_eq(net_wait(fd, POLLIN, 0), 0);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		fd = door(kinds[i]);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
}
END_TEST

START_TEST(in_the_way)
{
	char *file = xasprintf("%s/file", dir), *sub = xasprintf("%s/sub", dir);
	char *link = xasprintf("%s/link", dir);
	int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(mkdir(sub, 0700), 0);
	ck_assert_int_eq(symlink("/nowhere", link), 0);
	ck_assert_int_eq(door("unix:%s/file"), -EEXIST);
	ck_assert_int_eq(door("unix:%s/sub"), -EEXIST);
	ck_assert_int_eq(door("unix:%s/link"), -EEXIST);
	ck_assert_int_eq(door("unix:%s/file/s"), -ENOTDIR);
	ck_assert_int_eq(access(file, F_OK), 0);
	free(file);
	free(sub);
	free(link);
}
END_TEST

/* Our own link to a directory is followed, somebody else's is not. */
START_TEST(linked_directory)
{
	char *link = xasprintf("%s/l", dir), *sub = xasprintf("%s/sub", dir);
	int fd;

	ck_assert_int_eq(mkdir(sub, 0700), 0);
	ck_assert_int_eq(symlink(sub, link), 0);
	fd = door("unix:%s/l/s");
	ck_assert_int_ge(fd, 0);
	close(fd);
	if (geteuid() == 0) {
		ck_assert_int_eq(lchown(link, 12345, 12345), 0);
		ck_assert_int_eq(door("unix:%s/l/t"), -ELOOP);
	}
	free(link);
	free(sub);
}
END_TEST

START_TEST(connect_and_talk)
{
	int fd = door("unix:%s/s"), c, s;
	struct addr to = address("unix:%s/s", false);
	char buf[8];

	c = net_connect(&to, PATIENCE, &note);
	ck_assert_int_ge(c, 0);
	ck_assert_int_ne(fcntl(c, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(c, F_GETFL) & O_NONBLOCK, 0);
	s = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(s, 0);
	ck_assert_int_eq(net_write(c, "hello", 5, PATIENCE), 0);
	ck_assert_int_eq(net_read(s, buf, sizeof(buf), PATIENCE), 5);
	ck_assert_int_eq(net_read(c, buf, sizeof(buf), 20), -ETIMEDOUT);
	close(s);
	ck_assert_int_eq(net_read(c, buf, sizeof(buf), PATIENCE), 0);
	ck_assert_int_eq(net_write(c, "x", 1, PATIENCE), -EPIPE);
	close(c);
	close(fd);
	addr_free(&to);
}
END_TEST

/* Nobody reads: what the buffers don't take waits until the deadline. */
START_TEST(write_deadline)
{
	static char block[1 << 20];
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    pair), 0);
	ck_assert_int_eq(net_write(pair[0], block, sizeof(block), 50),
			 -ETIMEDOUT);
	close(pair[0]);
	close(pair[1]);
	/* A pipe is written to as well. */
	ck_assert_int_eq(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(net_write(pair[1], block, 100, 50), 0);
	ck_assert_int_eq(net_write(pair[1], block, sizeof(block), 50),
			 -ETIMEDOUT);
	ck_assert_int_eq(net_wait(pair[0], POLLIN, 0), 1);
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_eq(net_wait(pair[0], POLLIN, 0), -EBADF);
}
END_TEST

START_TEST(refused)
{
	int fd = door("tcp:127.0.0.1:0");
	struct addr to = address_of(fd, "127.0.0.1");

	close(fd);
	ck_assert_int_eq(net_connect(&to, PATIENCE, &note), -ECONNREFUSED);
	ck_assert_ptr_nonnull(strstr(told, "127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr(told, "refused"));
	addr_free(&to);
	to = address("unix:%s/nothing", false);
	ck_assert_int_eq(net_connect(&to, PATIENCE, &note), -ENOENT);
	addr_free(&to);
}
END_TEST

/* The first address refuses, the second one answers. */
START_TEST(next_address)
{
	int fd = door("tcp4:127.0.0.1:0"), c;
	struct addr to = address_of(fd, "*");

	ck_assert_uint_eq(to.nnames, 2);
	c = net_connect(&to, PATIENCE, &note);
	ck_assert_int_ge(c, 0);
	ck_assert_ptr_nonnull(strstr(told, "[::1]:"));
	close(c);
	close(fd);
	addr_free(&to);
}
END_TEST

START_TEST(source)
{
	int fd = door("tcp4:*:0"), c, s;
	struct addr to = address_of(fd, "127.0.0.1");
	struct addr_name n;
	char buf[ADDR_TEXT];

	to.opt.source = xstrdup("127.0.0.77");
	c = net_connect(&to, PATIENCE, &note);
	ck_assert_int_ge(c, 0);
	n = own_name(c);
	ck_assert_str_eq(addr_print_host(&n, buf, sizeof(buf)), "127.0.0.77");
	close(c);
	free(to.opt.source);
	to.opt.source = xstrdup("::1");
	ck_assert_int_eq(net_connect(&to, PATIENCE, &note), -EAFNOSUPPORT);
	ck_assert_ptr_nonnull(strstr(told, "other family"));
	free(TAKE(to.opt.source));
	s = net_socket(&to, &to.names[0], false, &note);
	ck_assert_int_ge(s, RECORD_LOW);
	ck_assert_int_eq(fcntl(s, F_GETFD) & FD_CLOEXEC, 0);
	close(s);
	close(fd);
	addr_free(&to);
}
END_TEST

/* Connects until the backlog is full; how many there were. */
static int fill(struct addr *to, int *fds, int max)
{
	for (int i = 0; i < max; i++) {
		fds[i] = net_connect(to, 0, NULL);
		if (fds[i] < 0) {
			ck_assert_int_eq(fds[i], -ETIMEDOUT);
			return i;
		}
	}
	ck_abort_msg("the backlog never filled");
}

/* A full backlog: the deadline holds, and room lets the connect through. */
START_TEST(full_backlog)
{
	int fd = door("unix:%s/s backlog=2"), fds[16], n, status;
	struct addr to = address("unix:%s/s", false);
	struct net_queue q;
	pid_t pid;

	n = fill(&to, fds, 16);
	ck_assert_int_eq(n, 3);
	ck_assert_int_eq(net_queue(fd, &q), 0);
	ck_assert_uint_eq(q.depth, 3);
	ck_assert_uint_eq(q.max, 2);
	ck_assert_int_eq(net_connect(&to, 100, &note), -ETIMEDOUT);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int c = net_connect(&to, PATIENCE, NULL);

		_exit(c >= 0 && fcntl(c, F_GETFL) & O_NONBLOCK ? 0 : 1);
	}
	close(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	while (n > 0)
		close(fds[--n]);
	close(fd);
	addr_free(&to);
}
END_TEST

START_TEST(queue_depth)
{
	int fd = door("tcp:127.0.0.1:0 backlog=9"), c[3];
	struct addr to = address_of(fd, "127.0.0.1");
	struct net_queue q;

	for (int i = 0; i < 3; i++) {
		c[i] = net_connect(&to, PATIENCE, &note);
		ck_assert_int_ge(c[i], 0);
	}
	ck_assert_int_eq(net_queue(fd, &q), 0);
	ck_assert_uint_eq(q.depth, 3);
	ck_assert_uint_eq(q.max, 9);
	ck_assert_int_eq(net_queue(c[0], &q), -EINVAL);
	for (int i = 0; i < 3; i++)
		close(c[i]);
	close(fd);
	addr_free(&to);
	ck_assert_int_eq(net_queue(-1, &q), -EBADF);
}
END_TEST

START_TEST(datagram_drops)
{
	int fd = door("udp:127.0.0.1:0 rcvbuf=2K"), c;
	struct addr_name n = own_name(fd);
	struct net_queue q;
	char block[1000] = "";

	c = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(c, 0);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(sendto(c, block, sizeof(block), 0, &n.u.sa,
					n.len), sizeof(block));
	ck_assert_int_eq(net_queue(fd, &q), 0);
	ck_assert_uint_gt(q.drops, 0);
	ck_assert_uint_gt(q.depth, 0);
	close(c);
	close(fd);
}
END_TEST

static const struct {
	const char *door, *asked;	/* NULL: the same address */
} held[] = {
	{ "tcp:127.0.0.1:0", NULL },
	{ "tcp:127.0.0.1:0", "tcp:*:%u" },
	{ "tcp:*:0", "tcp:127.0.0.1:%u" },
	{ "udp:127.0.0.1:0", NULL },
	{ "unix:%s/s", NULL },
	{ "unix-dgram:%s/d", NULL },
	{ "unix:@%s", NULL },
};

START_TEST(holder)
{
	struct addr a = address(held[_i].door, true);
	int fd = net_listen(&a, &a.names[0], &note);
	struct net_holder h;
	struct addr_name n;
	char text[64];

	ck_assert_int_ge(fd, 0);
	n = own_name(fd);
	if (held[_i].asked) {
		snprintf(text, sizeof(text), "tcp:%s:%u",
			 held[_i].asked[4] == '*' ? "*" : "127.0.0.1",
			 addr_port(&n));
		addr_free(&a);
		a = address(text, true);
		n = a.names[0];
	}
	ck_assert(net_holder(&a, &n, &h));
	/* Check runs each test in a child whose parent may not hold it. */
	ck_assert_int_eq(h.pid, getpid());
	ck_assert_uint_gt(strlen(h.name), 0);
	close(fd);
	ck_assert(!net_holder(&a, &n, &h));
	addr_free(&a);
}
END_TEST

START_TEST(stage_names)
{
	ck_assert_str_eq(net_stage_name(NET_RESOLVE), "resolve");
	ck_assert_str_eq(net_stage_name(NET_CONNECT), "connect");
	ck_assert_str_eq(net_stage_name(NET_WRITE), "write");
	ck_assert_str_eq(net_stage_name(NET_ANSWER), "answer");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net");
	TCase *tc = tcase_create("net");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, door_kinds, 0, ARRAY_SIZE(doors));
	tcase_add_test(tc, no_door);
	tcase_add_test(tc, dual_stack);
	tcase_add_test(tc, tcp_options);
	tcase_add_test(tc, refused_option);
	tcase_add_test(tc, apply);
	tcase_add_test(tc, rights);
	tcase_add_test(tc, owner);
	tcase_add_test(tc, bound_name);
	tcase_add_loop_test(tc, living_not_disturbed, 0, 3);
	tcase_add_test(tc, in_the_way);
	tcase_add_test(tc, linked_directory);
	tcase_add_test(tc, connect_and_talk);
	tcase_add_test(tc, write_deadline);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, next_address);
	tcase_add_test(tc, source);
	tcase_add_test(tc, full_backlog);
	tcase_add_test(tc, queue_depth);
	tcase_add_test(tc, datagram_drops);
	tcase_add_loop_test(tc, holder, 0, ARRAY_SIZE(held));
	tcase_add_test(tc, stage_names);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
