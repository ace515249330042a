/*
 * What inlet/proxy promises of PROXY headers: those of the specification are
 * read, in whatever parts they come, and never a byte beyond them is wanted;
 * what is none is refused; what we write we read.
 */
#include "inlet/proxy.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(s) s, sizeof(s) - 1

struct vector {
	const char *bytes;
	size_t len;
	int result;		/* -EBADMSG, or the header's length */
	const char *source, *destination;	/* NULL: the socket's hold */
};

static const struct vector vectors[] = {
	/* chapter 2.1: the longest and other lines of the text */
	{ BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
	  56, "255.255.255.255:65535", "255.255.255.255:65535" },
	{ BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	  104, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	{ BYTES("PROXY UNKNOWN\r\n"), 15, NULL, NULL },
	{ BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	  107, NULL, NULL },
	{ BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
	  47, "192.168.0.1:56324", "192.168.0.11:443" },
	{ BYTES("PROXY TCP6 :: :: 1 1\r\n"), 22, "[::]:1", "[::]:1" },
	/* the rest is the program's */
	{ BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET / HTTP/1.1\r\n\r\n"),
	  33, "1.2.3.4:9", "5.6.7.8:10" },
	{ BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n\n"),
	  32, "1.2.3.4", "5.6.7.8" },
	/* none of version 1 */
	{ BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n"), -EBADMSG, NULL, NULL },
	{ BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 9 65536\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 -9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 9 10 11\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4  1.2.3.4 5.6.7.8 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4 1.2.3.256 5.6.7.8 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4 :: :: 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP6 1.2.3.4 5.6.7.8 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY UDP4 1.2.3.4 5.6.7.8 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4\t1.2.3.4 5.6.7.8 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY UNKNOWNX abcdefghijklmnopq\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 5.6\0.7.8 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4\r5.6.7.8 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("proxy tcp4 1.2.3.4 5.6.7.8 9 10\r\n"), -EBADMSG, 0, 0 },
	{ BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655355\r\n"),
	  -EBADMSG, NULL, NULL },	/* 108 bytes */
	{ BYTES("GET / HTTP/1.1\r\n"), -EBADMSG, NULL, NULL },
	{ BYTES("\r\n\r\n\r\n\r\n"), -EBADMSG, NULL, NULL },
	/* chapter 2.2 */
	{ BYTES(SIGNATURE "\x21\x11\0\x0c" "\xc0\0\2\1" "\xc0\0\2\2"
		"\x12\x34\0\x50"), 28, "192.0.2.1:4660", "192.0.2.2:80" },
	{ BYTES(SIGNATURE "\x21\x21\0\x24"
		"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
		"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2" "\0\x16\0\x17"),
	  52, "[2001:db8::1]:22", "[2001:db8::2]:23" },
	/* TLVs behind the addresses are skipped, bytes behind are not ours */
	{ BYTES(SIGNATURE "\x21\x11\0\x13" "\xc0\0\2\1" "\xc0\0\2\2"
		"\x12\x34\0\x50" "\4\0\4abcd" "hello"),
	  35, "192.0.2.1:4660", "192.0.2.2:80" },
	{ BYTES(SIGNATURE "\x20\0\0\0"), 16, NULL, NULL },	/* LOCAL */
	{ BYTES(SIGNATURE "\x20\x11\0\x0c" "\xc0\0\2\1" "\xc0\0\2\2"
		"\x12\x34\0\x50"), 28, NULL, NULL },
	{ BYTES(SIGNATURE "\x20\xff\0\3abc"), 19, NULL, NULL },
	{ BYTES(SIGNATURE "\x21\0\0\0"), 16, NULL, NULL },	/* UNSPEC */
	{ BYTES(SIGNATURE "\x21\0\0\5abcde"), 21, NULL, NULL },
	{ BYTES(SIGNATURE "\x21\x12\0\x0c" "\xc0\0\2\1" "\xc0\0\2\2"
		"\x12\x34\0\x50"), 28, NULL, NULL },	/* a datagram's */
	/* none of version 2 */
	{ BYTES(SIGNATURE "\x31\x11\0\x0c"), -EBADMSG, NULL, NULL },
	{ BYTES(SIGNATURE "\x11\x11\0\x0c"), -EBADMSG, NULL, NULL },
	{ BYTES(SIGNATURE "\x22\x11\0\x0c"), -EBADMSG, NULL, NULL },
	{ BYTES(SIGNATURE "\x21\x41\0\x0c"), -EBADMSG, NULL, NULL },
	{ BYTES(SIGNATURE "\x21\x13\0\x0c"), -EBADMSG, NULL, NULL },
	{ BYTES(SIGNATURE "\x21\x11\0\x0b"), -EBADMSG, NULL, NULL },
	{ BYTES(SIGNATURE "\x21\x21\0\x23"), -EBADMSG, NULL, NULL },
	{ BYTES(SIGNATURE "\x21\x31\0\xd7"), -EBADMSG, NULL, NULL },
};

static void check_name(const struct addr_name *n, const char *want)
{
	char text[ADDR_TEXT], host[ADDR_TEXT];

	addr_print(n, text, sizeof(text));
	addr_print_host(n, host, sizeof(host));
	/* Port 0 is as good as none. */
	if (addr_port(n) == 0)
		ck_assert_str_eq(host, want);
	else
		ck_assert_str_eq(text, want);
}

static void check_result(const struct vector *v, int result,
			 const struct proxy_header *h)
{
	ck_assert_int_eq(result, v->result);
	if (result < 0)
		return;
	ck_assert_int_eq(h->addresses, v->source != NULL);
	if (!v->source)
		return;
	check_name(&h->source, v->source);
	check_name(&h->destination, v->destination);
}

START_TEST(whole)
{
	const struct vector *v = &vectors[_i];
	struct proxy_header h;
	size_t want = 0;

	check_result(v, proxy_parse((const void *)v->bytes, v->len, &h,
				    &want), &h);
}
END_TEST

/* As a socket gives it: never more than was wanted, so that not one byte
 * beyond the header is read. AT_ONCE: at most so many at a time. */
static void in_parts(const struct vector *v, size_t at_once)
{
	/* Exactly as long, so that a sanitizer sees what is read too much. */
	unsigned char *p = xmalloc(v->len);
	struct proxy_header h;
	size_t len = 0, want = 0;
	int r;

	for (;;) {
		unsigned char *part = xmalloc(len + 1);

		memcpy(part, p, len);
		r = proxy_parse(part, len, &h, &want);
		free(part);
		if (r != 0)
			break;
		ck_assert_uint_gt(want, 0);
		if (want > at_once)
			want = at_once;
		if (v->result > 0)
			ck_assert_uint_le(len + want, (size_t)v->result);
		if (len + want > v->len)
			break;	/* it ended early: refused by who reads */
		memcpy(p + len, v->bytes + len, want);
		len += want;
	}
	if (v->result > 0 || r != 0)
		check_result(v, r, &h);
	free(p);
}

START_TEST(parts)
{
	in_parts(&vectors[_i], SIZE_MAX);
	for (size_t n = 1; n < 20; n++)
		in_parts(&vectors[_i], n);
}
END_TEST

/* Each beginning of a good header wants more. */
START_TEST(truncated)
{
	const struct vector *v = &vectors[_i];
	struct proxy_header h;
	size_t want;

	for (int len = 0; len < v->result; len++) {
		want = 0;
		ck_assert_int_eq(proxy_parse((const void *)v->bytes,
					     (size_t)len, &h, &want), 0);
		ck_assert_uint_gt(want, 0);
		ck_assert_uint_le((size_t)len + want, (size_t)v->result);
	}
}
END_TEST

/* Every length but the right one, of a version 2 header with addresses. */
START_TEST(lengths)
{
	unsigned char p[600] = SIGNATURE "\x21\x11";
	struct proxy_header h;
	size_t want;

	for (unsigned n = 0; n < 500; n++) {
		p[14] = (unsigned char)(n >> 8);
		p[15] = (unsigned char)n;
		ck_assert_int_eq(proxy_parse(p, 16 + n, &h, &want),
				 n < 12 ? -EBADMSG : (int)(16 + n));
	}
}
END_TEST

static const struct {
	const char *source, *destination;
	bool v1;		/* can say it */
} pairs[] = {
	{ "tcp:192.0.2.1:1", "tcp:192.0.2.2:65535", true },
	{ "tcp:[2001:db8::1]:1", "tcp:[::1]:2", true },
	{ "unix:/run/a", "unix:@b", false },
	{ "tcp:192.0.2.1:1", "tcp:[::1]:2", false },
};

static struct addr_name name_of(const char *text)
{
	struct addr a;
	struct addr_name n;
	char *why = NULL;

	ck_assert_int_eq(addr_parse(text, &a, &why), 0);
	if (!a.nnames)
		ck_assert_int_eq(addr_resolve(&a, false, &why), 0);
	n = a.names[0];
	addr_free(&a);
	return n;
}

static void same_name(const struct addr_name *a, const struct addr_name *b)
{
	char x[ADDR_TEXT], y[ADDR_TEXT];

	ck_assert_str_eq(addr_print(a, x, sizeof(x)),
			 addr_print(b, y, sizeof(y)));
}

START_TEST(formatted)
{
	struct addr_name s = name_of(pairs[_i].source);
	struct addr_name d = name_of(pairs[_i].destination);
	bool mixed = s.u.sa.sa_family != d.u.sa.sa_family;
	unsigned char buf[PROXY_MAX];
	struct proxy_header h;
	size_t want, n;

	n = proxy_format(PROXY_V1, &s, &d, buf);
	ck_assert_int_eq(proxy_parse(buf, n, &h, &want), (int)n);
	ck_assert_int_eq(h.addresses, pairs[_i].v1);
	if (h.addresses) {
		same_name(&h.source, &s);
		same_name(&h.destination, &d);
	}
	n = proxy_format(PROXY_V2, &s, &d, buf);
	ck_assert_int_eq(proxy_parse(buf, n, &h, &want), (int)n);
	ck_assert_int_eq(h.addresses, !mixed);
	if (h.addresses) {
		same_name(&h.source, &s);
		same_name(&h.destination, &d);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proxy");
	TCase *tc = tcase_create("proxy");
	SRunner *sr = srunner_create(s);
	int n = (int)ARRAY_SIZE(vectors), failed;

	tcase_add_loop_test(tc, whole, 0, n);
	tcase_add_loop_test(tc, parts, 0, n);
	tcase_add_loop_test(tc, truncated, 0, n);
	tcase_add_test(tc, lengths);
	tcase_add_loop_test(tc, formatted, 0, (int)ARRAY_SIZE(pairs));
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
