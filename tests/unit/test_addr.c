/*
 * What base/addr promises: every form of an address parses and prints back,
 * every mistake is told with what would do.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define A10  "aaaaaaaaaa"
#define A100 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10

static const struct {
	const char *text;
	enum addr_kind kind;
	int family;
	const char *host, *port, *path;
	const char *back;	/* NULL: the same */
} forms[] = {
	{ "tcp:127.0.0.1:80", ADDR_TCP, AF_INET, "127.0.0.1", "80", NULL, NULL },
	{ "tcp:*:79", ADDR_TCP, AF_UNSPEC, NULL, "79", NULL, NULL },
	{ "tcp::79", ADDR_TCP, AF_UNSPEC, NULL, "79", NULL, "tcp:*:79" },
	{ "tcp4:*:79", ADDR_TCP, AF_INET, NULL, "79", NULL, NULL },
	{ "tcp6:*:79", ADDR_TCP, AF_INET6, NULL, "79", NULL, NULL },
	{ "tcp:[2001:db8::1]:80", ADDR_TCP, AF_INET6, "2001:db8::1", "80", NULL,
	  NULL },
	{ "tcp6:[0:0::1]:080", ADDR_TCP, AF_INET6, "::1", "80", NULL,
	  "tcp6:[::1]:80" },
	{ "tcp:[fe80::1%lo]:80", ADDR_TCP, AF_INET6, "fe80::1%lo", "80", NULL,
	  NULL },
	{ "tcp:[::ffff:192.0.2.1]:80", ADDR_TCP, AF_INET, "192.0.2.1", "80",
	  NULL, "tcp:192.0.2.1:80" },
	{ "tcp:www.example.org:http", ADDR_TCP, AF_UNSPEC, "www.example.org",
	  "http", NULL, NULL },
	{ "tcp4:localhost:80", ADDR_TCP, AF_INET, "localhost", "80", NULL,
	  NULL },
	{ "tcp:[::]:0", ADDR_TCP, AF_INET6, "::", "0", NULL, NULL },
	{ "udp:*:69", ADDR_UDP, AF_UNSPEC, NULL, "69", NULL, NULL },
	{ "udp4:*:tftp", ADDR_UDP, AF_INET, NULL, "tftp", NULL, NULL },
	{ "udp6:[::1]:69", ADDR_UDP, AF_INET6, "::1", "69", NULL, NULL },
	{ "unix:/run/x", ADDR_UNIX, AF_UNIX, NULL, NULL, "/run/x", NULL },
	{ "unix:@name", ADDR_UNIX, AF_UNIX, NULL, NULL, "@name", NULL },
	{ "unix-seqpacket:/x", ADDR_UNIX_SEQPACKET, AF_UNIX, NULL, NULL, "/x",
	  NULL },
	{ "unix-dgram:@x", ADDR_UNIX_DGRAM, AF_UNIX, NULL, NULL, "@x", NULL },
	{ "unix-pass:/x/pass", ADDR_UNIX_PASS, AF_UNIX, NULL, NULL, "/x/pass",
	  NULL },
	{ "fifo:mail", ADDR_FIFO, AF_UNSPEC, NULL, NULL, "mail", NULL },
	{ "fifo:/var/spool/x", ADDR_FIFO, AF_UNSPEC, NULL, NULL,
	  "/var/spool/x", NULL },
	{ "fd:web", ADDR_FD, AF_UNSPEC, NULL, NULL, "web", NULL },
	{ "\"unix:/with a/blank\"", ADDR_UNIX, AF_UNIX, NULL, NULL,
	  "/with a/blank", NULL },
	{ "unix:/a:b", ADDR_UNIX, AF_UNIX, NULL, NULL, "/a:b", NULL },
	/* 107 bytes, the kernel's most */
	{ "unix:/" A100 "aaaaaa", ADDR_UNIX, AF_UNIX, NULL, NULL,
	  "/" A100 "aaaaaa", NULL },
	{ "unix:@" A100 "aaaaaaa", ADDR_UNIX, AF_UNIX, NULL, NULL,
	  "@" A100 "aaaaaaa", NULL },
};

static void same_word(const char *a, const char *b)
{
	ck_assert_str_eq(a ? a : "(none)", b ? b : "(none)");
}

START_TEST(form)
{
	struct addr a, again, copy;
	char *why = NULL;

	ck_assert_int_eq(addr_parse(forms[_i].text, &a, &why), 0);
	ck_assert_ptr_null(why);
	ck_assert_int_eq(a.kind, forms[_i].kind);
	ck_assert_int_eq(a.family, forms[_i].family);
	same_word(a.host, forms[_i].host);
	same_word(a.port, forms[_i].port);
	same_word(a.path, forms[_i].path);
	same_word(a.text, forms[_i].back ? forms[_i].back : forms[_i].text);
	ck_assert_uint_eq(a.nnames, addr_is_unix(a.kind));

	ck_assert_int_eq(addr_parse(a.text, &again, &why), 0);
	ck_assert(addr_same(&a, &again));
	addr_copy(&copy, &again);
	addr_free(&again);
	ck_assert(addr_same(&a, &copy));
	same_word(copy.text, a.text);
	addr_free(&copy);
	addr_free(&a);
	ck_assert_ptr_null(a.text);
}
END_TEST

/* What is wrong, and a part of what the answer says. */
static const struct {
	const char *text, *part;
} mistakes[] = {
	{ "", "no address" },
	{ "web", "'web' is no address; tcp:HOST:PORT" },
	{ "/run/x", "unix:/run/x would do" },
	{ "@x", "unix:@x would do" },
	{ "tpc:*:80", "'tpc'; tcp: would do" },
	{ "unix-seqpaket:/x", "unix-seqpacket: would do" },
	{ "http://x", "no kind of address 'http'" },
	{ "8080", "'8080' is no address" },
	{ "tcp:80", "tcp:*:PORT is all addresses" },
	{ "tcp:*:", "no port" },
	{ "tcp:", "no host or no port" },
	{ "tcp:*:65536", "1 to 65535 would do" },
	{ "tcp:*:-1", "1 to 65535" },
	{ "tcp:*:a b", "no option 'b'" },
	{ "tcp:*:a/b", "is no port" },
	{ "tcp:::1:80", "brackets; tcp:[2001:db8::1]:PORT" },
	{ "tcp:[::1:80", "lacks its ]" },
	{ "tcp:[::1]", "lacks a port" },
	{ "tcp:[::1]80", "lacks a port" },
	{ "tcp:[]:80", "is no IPv6 address" },
	{ "tcp:[127.0.0.1]:80", "is no IPv6 address" },
	{ "tcp:[::1%]:80", "is no IPv6 address" },
	{ "tcp:256.1.1.1:80", "is no host" },
	{ "tcp:a b:80", "'a' has no host or no port" },
	{ "tcp:a@b:80", "is no host" },
	{ "tcp:-a:80", "is no host" },
	{ "tcp4:[::1]:80", "is an IPv6 address; tcp6: or tcp: would do" },
	{ "tcp6:127.0.0.1:80", "is an IPv4 address; tcp4: or tcp: would do" },
	{ "unix:run/x", "no absolute path; unix:/PATH or unix:@NAME" },
	{ "unix:", "no absolute path" },
	{ "unix:/", "names no socket" },
	{ "unix:@", "names no socket" },
	{ "unix:/x/", "names no socket" },
	{ "unix:/" A100 "aaaaaaa", "108 bytes; the kernel takes 107" },
	{ "unix-dgram:@" A100 "aaaaaaaa", "109 bytes; the kernel takes 108" },
	{ "fifo:", "names no FIFO" },
	{ "fifo:a/b", "fifo:NAME (in the spool) or fifo:/PATH" },
	{ "fifo:..", "names no FIFO" },
	{ "fd:", "names no descriptor" },
	{ "fd:a:b", "without a colon" },
	{ "unix:'/x", "a quote without its end" },
	/* options */
	{ "tcp:*:80 nodelai=yes", "no option 'nodelai'; nodelay= would do" },
	{ "tcp:*:80 zzz=1", "tcp: takes name, backlog," },
	{ "tcp:*:80 nodelay", "nodelay lacks =" },
	{ "tcp:*:80 nodelay=maybe", "nodelay=maybe; yes or no would do" },
	{ "tcp:*:80 mode=0600", "mode= does not fit tcp:, which takes name," },
	{ "unix:/x nodelay=yes", "nodelay= does not fit unix:" },
	{ "unix-dgram:/x backlog=5", "backlog= does not fit unix-dgram:" },
	{ "udp:*:69 keepalive=1,2,3", "keepalive= does not fit udp:" },
	{ "fifo:x rcvbuf=1K", "rcvbuf= does not fit fifo:" },
	{ "fd:x mode=0600", "mode= does not fit fd:" },
	{ "unix:@x mode=0600", "need a file" },
	{ "unix:@x owner=root", "need a file" },
	{ "unix:/x mode=0999", "mode=0999; an octal mode" },
	{ "unix:/x mode=1777", "an octal mode" },
	{ "unix:/x mode=", "an octal mode" },
	{ "unix:/x mode=0600 mode=0600", "mode= is there twice" },
	{ "unix:/x name=a:b", "without a colon" },
	{ "unix:/x name=", "without a colon" },
	{ "unix:/x owner=", "a user's name or number" },
	{ "tcp:*:80 backlog=0", "a number from 1" },
	{ "tcp:*:80 rcvbuf=64k", "a size as 256K" },
	{ "tcp:*:80 rcvbuf=4G", "a size as 256K" },
	{ "tcp:*:80 keepalive=60", "IDLE,INTERVAL,COUNT" },
	{ "tcp:*:80 keepalive=60,10", "IDLE,INTERVAL,COUNT" },
	{ "tcp:*:80 keepalive=60,10,5,", "IDLE,INTERVAL,COUNT" },
	{ "tcp:*:80 keepalive=60,10,500", "IDLE,INTERVAL,COUNT" },
	{ "tcp:*:80 interface=" A10 A10, "an interface's name" },
	{ "tcp:*:80 source=here", "an IP address" },
	{ "tcp:127.0.0.1:80 source=::1", "other family" },
	{ "tcp4:*:80 v6only=yes", "v6only= needs an IPv6 address" },
	{ "tcp6:*:80 v6only=no", "v6only=no is against the 6" },
};

START_TEST(mistake)
{
	struct addr a = { .path = NULL };
	char *why = NULL;

	ck_assert_int_eq(addr_parse(mistakes[_i].text, &a, &why), -EINVAL);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, mistakes[_i].part), "'%s': %s",
		      mistakes[_i].text, why);
	ck_assert_ptr_null(a.text);
	free(why);
}
END_TEST

START_TEST(option_values)
{
	struct addr a;
	char *why;

	ck_assert_int_eq(addr_parse("tcp:*:80 name=web backlog=100 v6only=yes "
				    "freebind=no interface=lo defer=on "
				    "fastopen=16 nodelay=1 keepalive=60,10,5 "
				    "rcvbuf=64K sndbuf=1M source=::1",
				    &a, &why), 0);
	same_word(a.text, "tcp:*:80");
	same_word(a.opt.name, "web");
	same_word(a.opt.interface, "lo");
	same_word(a.opt.source, "::1");
	ck_assert_int_eq(a.opt.backlog, 100);
	ck_assert_int_eq(a.opt.v6only, ADDR_YES);
	ck_assert_int_eq(a.opt.freebind, ADDR_NO);
	ck_assert_int_eq(a.opt.defer, ADDR_YES);
	ck_assert_int_eq(a.opt.nodelay, ADDR_YES);
	ck_assert_int_eq(a.opt.fastopen, 16);
	ck_assert_int_eq(a.opt.keep_idle, 60);
	ck_assert_int_eq(a.opt.keep_intvl, 10);
	ck_assert_int_eq(a.opt.keep_count, 5);
	ck_assert_int_eq(a.opt.rcvbuf, 65536);
	ck_assert_int_eq(a.opt.sndbuf, 1 << 20);
	ck_assert_int_eq(a.opt.mode, -1);
	addr_free(&a);

	ck_assert_int_eq(addr_parse("unix:/x mode=0660 owner=root group=0",
				    &a, &why), 0);
	ck_assert_int_eq(a.opt.mode, 0660);
	same_word(a.opt.owner, "root");
	same_word(a.opt.group, "0");
	ck_assert_int_eq(a.opt.nodelay, ADDR_UNSET);
	ck_assert_int_eq(a.opt.backlog, -1);
	ck_assert_int_eq(a.opt.rcvbuf, -1);
	addr_free(&a);
}
END_TEST

static const struct {
	const char *a, *b;
	bool same;
} pairs[] = {
	{ "tcp:*:80", "tcp::80", true },
	{ "tcp:*:80", "tcp:*:80 nodelay=yes", true },
	{ "tcp:127.0.0.1:80", "tcp4:127.0.0.1:80", true },
	{ "tcp:Example.org:80", "tcp:example.org:80", true },
	{ "tcp:*:80", "tcp4:*:80", false },
	{ "tcp:*:80", "udp:*:80", false },
	{ "tcp:*:80", "tcp:*:81", false },
	{ "tcp:*:80", "tcp:127.0.0.1:80", false },
	{ "unix:/x", "unix-seqpacket:/x", false },
	{ "unix:/x", "unix:/y", false },
	{ "unix:/x", "unix:@x", false },
	{ "fifo:x", "fifo:x mode=0622", true },
};

START_TEST(same)
{
	struct addr a, b;
	char *why;

	ck_assert_int_eq(addr_parse(pairs[_i].a, &a, &why), 0);
	ck_assert_int_eq(addr_parse(pairs[_i].b, &b, &why), 0);
	ck_assert_int_eq(addr_same(&a, &b), pairs[_i].same);
	addr_free(&a);
	addr_free(&b);
}
END_TEST

static const struct {
	const char *text;
	bool passive;
	int result;
	const char *names[2];
	const char *part;	/* of why */
} lookups[] = {
	{ "tcp:*:80", true, 0, { "[::]:80" }, NULL },
	{ "tcp4:*:80", true, 0, { "0.0.0.0:80" }, NULL },
	{ "tcp6:*:80", true, 0, { "[::]:80" }, NULL },
	{ "tcp:*:80", false, 0, { "[::1]:80", "127.0.0.1:80" }, NULL },
	{ "tcp4:*:80", false, 0, { "127.0.0.1:80" }, NULL },
	{ "tcp:127.0.0.1:0", true, 0, { "127.0.0.1:0" }, NULL },
	{ "udp:[::1]:69", true, 0, { "[::1]:69" }, NULL },
	{ "tcp4:localhost:80", false, 0, { "127.0.0.1:80" }, NULL },
	{ "unix:/run/x", false, 0, { "unix:/run/x" }, NULL },
	{ "unix:@x", false, 0, { "unix:@x" }, NULL },
	{ "tcp:127.0.0.1:no-such-port", false, -ENOENT, { NULL },
	  "has no tcp port 'no-such-port'" },
	{ "fifo:x", false, -EINVAL, { NULL }, "no socket's name" },
};

START_TEST(resolve)
{
	char buf[ADDR_TEXT], *why = NULL;
	struct addr a;
	size_t n = 0;

	ck_assert_int_eq(addr_parse(lookups[_i].text, &a, &why), 0);
	ck_assert_int_eq(addr_resolve(&a, lookups[_i].passive, &why),
			 lookups[_i].result);
	if (lookups[_i].part) {
		ck_assert_ptr_nonnull(why);
		ck_assert_ptr_nonnull(strstr(why, lookups[_i].part));
	}
	for (; n < 2 && lookups[_i].names[n]; n++) {
		ck_assert_uint_gt(a.nnames, n);
		ck_assert_str_eq(addr_print(&a.names[n], buf, sizeof(buf)),
				 lookups[_i].names[n]);
	}
	ck_assert_uint_eq(a.nnames, n);
	free(why);
	addr_free(&a);
}
END_TEST

/* A name and a number are the same door once both are resolved. */
START_TEST(resolved_same)
{
	struct addr a, b;
	char *why;

	ck_assert_int_eq(addr_parse("tcp:127.0.0.1:80", &a, &why), 0);
	ck_assert_int_eq(addr_parse("tcp:127.0.0.1:080", &b, &why), 0);
	ck_assert_int_eq(addr_resolve(&a, true, &why), 0);
	ck_assert_int_eq(addr_resolve(&b, true, &why), 0);
	ck_assert_int_eq(addr_resolve(&b, true, &why), 0);
	ck_assert_uint_eq(b.nnames, 1);
	free(b.port);
	b.port = xstrdup("http");
	ck_assert(addr_same(&a, &b));
	addr_free(&a);
	addr_free(&b);
}
END_TEST

static struct addr_name in6_name(const char *host, uint16_t port)
{
	struct addr_name n = { .len = sizeof(n.u.in6) };

	n.u.in6.sin6_family = AF_INET6;
	n.u.in6.sin6_port = htons(port);
	ck_assert_int_eq(inet_pton(AF_INET6, host, &n.u.in6.sin6_addr), 1);
	return n;
}

static struct addr_name un_name(const char *path, size_t len)
{
	struct addr_name n = { .len = (socklen_t)(2 + len) };

	n.u.un.sun_family = AF_UNIX;
	memcpy(n.u.un.sun_path, path, len);
	return n;
}

START_TEST(print)
{
	struct addr_name mapped = in6_name("::ffff:192.0.2.1", 80);
	struct addr_name six = in6_name("2001:db8::1", 80);
	struct addr_name path = un_name("/run/x", 7);
	struct addr_name cut = un_name("/run/xyz", 6);	/* without a NUL */
	struct addr_name abstract = un_name("\0na\nme", 6);
	struct addr_name unbound = un_name("", 0);
	struct addr_name full = un_name(A100 "12345678", 108);
	struct addr_name none = { .len = 0 };
	char buf[ADDR_TEXT];

	same_word(addr_print(&mapped, buf, sizeof(buf)), "192.0.2.1:80");
	same_word(addr_print_host(&mapped, buf, sizeof(buf)), "192.0.2.1");
	same_word(addr_print(&six, buf, sizeof(buf)), "[2001:db8::1]:80");
	same_word(addr_print_host(&six, buf, sizeof(buf)), "2001:db8::1");
	same_word(addr_print(&path, buf, sizeof(buf)), "unix:/run/x");
	same_word(addr_print(&cut, buf, sizeof(buf)), "unix:/run/x");
	same_word(addr_print(&abstract, buf, sizeof(buf)), "unix:@na?me");
	same_word(addr_print(&unbound, buf, sizeof(buf)), "unix:");
	same_word(addr_print(&full, buf, sizeof(buf)),
		  "unix:" A100 "12345678");
	same_word(addr_print(&none, buf, sizeof(buf)), "unknown");
	same_word(addr_print(&six, buf, 8), "[2001:d");
	six.u.in6.sin6_scope_id = 1;
	same_word(addr_print(&six, buf, sizeof(buf)), "[2001:db8::1%lo]:80");
	ck_assert_uint_eq(addr_port(&six), 80);
	ck_assert_uint_eq(addr_port(&path), 0);
	addr_unmap(&mapped);
	ck_assert_int_eq(mapped.u.sa.sa_family, AF_INET);
	ck_assert_uint_eq(mapped.len, sizeof(struct sockaddr_in));
	ck_assert_uint_eq(addr_port(&mapped), 80);
}
END_TEST

static const struct {
	const char *text;
	int result;
	const char *back;
	const char *in, *out;	/* IPv6 notation, ::ffff: for IPv4 */
} cidrs[] = {
	{ "192.0.2.0/24", 0, NULL, "::ffff:192.0.2.77", "::ffff:192.0.3.1" },
	{ "192.0.2.1/24", 0, "192.0.2.0/24", "::ffff:192.0.2.77", "::1" },
	{ "192.0.2.1", 0, NULL, "::ffff:192.0.2.1", "::ffff:192.0.2.2" },
	{ "10.0.0.0/9", 0, NULL, "::ffff:10.127.0.1", "::ffff:10.128.0.1" },
	{ "0.0.0.0/0", 0, NULL, "::ffff:1.2.3.4", "2001:db8::1" },
	{ "2001:db8::/32", 0, NULL, "2001:db8:1::1", "2001:db9::1" },
	{ "::/0", 0, NULL, "2001:db8::1", "::ffff:1.2.3.4" },
	{ "::1", 0, NULL, "::1", "::2" },
	{ "2001:db8::/33", 0, NULL, "2001:db8:7fff::", "2001:db8:8000::" },
	{ "::ffff:10.0.0.0/104", 0, "10.0.0.0/8", "::ffff:10.9.9.9",
	  "::ffff:11.0.0.1" },
	{ "192.0.2.0/33", -ERANGE, NULL, NULL, NULL },
	{ "192.0.2.0/", -EINVAL, NULL, NULL, NULL },
	{ "192.0.2.0/x", -EINVAL, NULL, NULL, NULL },
	{ "192.0.2/24", -EINVAL, NULL, NULL, NULL },
	{ "unix", -EINVAL, NULL, NULL, NULL },
	{ "", -EINVAL, NULL, NULL, NULL },
	{ "[::1]/128", -EINVAL, NULL, NULL, NULL },
};

START_TEST(cidr)
{
	struct addr_cidr c = { 0 };
	struct addr_name in, out, local = un_name("/x", 3);
	char buf[ADDR_TEXT];

	ck_assert_int_eq(addr_cidr_parse(cidrs[_i].text, &c),
			 cidrs[_i].result);
	if (cidrs[_i].result < 0)
		return;
	same_word(addr_cidr_print(&c, buf, sizeof(buf)),
		  cidrs[_i].back ? cidrs[_i].back : cidrs[_i].text);
	in = in6_name(cidrs[_i].in, 1);
	out = in6_name(cidrs[_i].out, 1);
	ck_assert(addr_cidr_match(&c, &in));
	ck_assert(!addr_cidr_match(&c, &out));
	ck_assert(!addr_cidr_match(&c, &local));
	addr_unmap(&in);
	ck_assert(addr_cidr_match(&c, &in));
}
END_TEST

START_TEST(kind_words)
{
	same_word(addr_kind_name(ADDR_UNIX_SEQPACKET), "unix-seqpacket");
	ck_assert_int_eq(addr_socktype(ADDR_TCP), SOCK_STREAM);
	ck_assert_int_eq(addr_socktype(ADDR_UDP), SOCK_DGRAM);
	ck_assert_int_eq(addr_socktype(ADDR_UNIX_PASS), SOCK_STREAM);
	ck_assert_int_eq(addr_socktype(ADDR_UNIX_SEQPACKET), SOCK_SEQPACKET);
	ck_assert(addr_is_unix(ADDR_UNIX_PASS));
	ck_assert(!addr_is_unix(ADDR_FIFO));
	ck_assert(!addr_is_unix(ADDR_TCP));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("addr");
	TCase *tc = tcase_create("addr");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, form, 0, ARRAY_SIZE(forms));
	tcase_add_loop_test(tc, mistake, 0, ARRAY_SIZE(mistakes));
	tcase_add_test(tc, option_values);
	tcase_add_loop_test(tc, same, 0, ARRAY_SIZE(pairs));
	tcase_add_loop_test(tc, resolve, 0, ARRAY_SIZE(lookups));
	tcase_add_test(tc, resolved_same);
	tcase_add_test(tc, print);
	tcase_add_loop_test(tc, cidr, 0, ARRAY_SIZE(cidrs));
	tcase_add_test(tc, kind_words);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
