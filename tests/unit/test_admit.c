/*
 * What admission is made of: buckets keep their rate and are open again at
 * once, sources are counted apart and forgotten in time, rules go by order.
 */
#include "base/bucket.h"
#include "base/record.h"
#include "inlet/rules.h"
#include "inlet/sources.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct text_rate none = { 0 };

/* Where sources lie. */
static void open_state(void)
{
	ck_assert_int_eq(record_open(64, 4), 0);
}

/* ---- buckets ---- */

static const struct {
	double per_second, burst;
} rates[] = {
	{ 1, 1 }, { 10, 10 }, { 100, 1 }, { 1000, 50 }, { 100000, 1000 },
};

/* Asked thrice as often as it gives, until it gave 10,000 or for 100 s. */
START_TEST(bucket_rate)
{
	const struct text_rate r = { rates[_i].per_second, rates[_i].burst };
	struct bucket b = { 0 };
	double seconds = r.per_second > 100 ? 10000 / r.per_second : 100;
	double taken = 0, want = seconds * r.per_second + r.burst;
	int64_t step = (int64_t)(1e6 / r.per_second / 3);

	if (step == 0)
		step = 1;
	for (int64_t now = 1; now <= (int64_t)(seconds * 1e6); now += step) {
		bucket_fill(&b, &r, now, 0);
		taken += bucket_take(&b);
	}
	ck_assert_double_ge(taken, want * 0.98 - 1);
	ck_assert_double_le(taken, want * 1.02 + 1);
}
END_TEST

/* A door that was kept waiting wakes each millisecond and takes what came due,
 * a while for each: what comes due in that while is not lost. */
START_TEST(bucket_spare)
{
	const struct text_rate r = { 5000, 1 };
	struct bucket b = { 0 };
	double taken = 0;
	int64_t now = 1;

	bucket_fill(&b, &r, now, 0);
	for (int64_t wake = 1001; wake <= 1000001; wake += 1000) {
		now = now > wake ? now : wake;
		bucket_fill(&b, &r, now,
			    (double)(now - b.at) * r.per_second / 1e6);
		while (bucket_take(&b)) {
			taken++;
			now += 40;
			bucket_fill(&b, &r, now, 0);
		}
	}
	ck_assert_double_ge(taken, 4900);
	ck_assert_double_le(taken, 5005);
	/* And nothing is saved up meanwhile but a burst. */
	bucket_fill(&b, &r, now + 1000000, 0);
	ck_assert_double_lt(b.tokens, 2);
}
END_TEST

START_TEST(bucket_opens_again)
{
	const struct text_rate r = { 10, 5 };
	struct bucket b = { 0 };
	int64_t now = 1000;

	bucket_fill(&b, &r, now, 0);
	for (int i = 0; i < 5; i++)
		ck_assert(bucket_take(&b));
	ck_assert(!bucket_take(&b));
	ck_assert_int_eq(bucket_wait(&b, &r), 100001);
	bucket_fill(&b, &r, now + 99000, 0);
	ck_assert(!bucket_take(&b));
	bucket_fill(&b, &r, now + 100001, 0);
	ck_assert(bucket_take(&b));
	/* An older time changes nothing. */
	bucket_fill(&b, &r, now, 0);
	ck_assert(!bucket_take(&b));
	ck_assert(!bucket_full(&b, &r, now + 200000));
	ck_assert(bucket_full(&b, &r, now + 700000));
}
END_TEST

/* ---- sources ---- */

static struct conn from_ip(const char *ip)
{
	struct conn c = { .fd = -1 };

	if (inet_pton(AF_INET, ip, &c.peer.u.in.sin_addr) == 1) {
		c.peer.u.sa.sa_family = AF_INET;
		c.peer.len = sizeof(c.peer.u.in);
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, ip,
					   &c.peer.u.in6.sin6_addr), 1);
		c.peer.u.sa.sa_family = AF_INET6;
		c.peer.len = sizeof(c.peer.u.in6);
	}
	return c;
}

static struct conn from_user(uid_t uid, gid_t gid)
{
	struct conn c = { .fd = -1, .is_unix = true, .has_cred = true };

	c.peer.u.sa.sa_family = AF_UNIX;
	c.peer.len = sizeof(sa_family_t);
	c.cred.uid = uid;
	c.cred.gid = gid;
	return c;
}

static const struct {
	const char *a, *b;
	int p4, p6;
	bool same;
} prefixes[] = {
	{ "192.0.2.1", "192.0.2.1", 32, 64, true },
	{ "192.0.2.1", "192.0.2.2", 32, 64, false },
	{ "192.0.2.1", "192.0.2.200", 24, 64, true },
	{ "192.0.2.1", "192.0.3.1", 23, 64, true },
	{ "192.0.2.1", "192.0.4.1", 23, 64, false },
	{ "192.0.2.1", "198.51.100.1", 0, 64, true },
	{ "2001:db8::1", "2001:db8::2", 32, 64, true },
	{ "2001:db8::1", "2001:db8::2", 32, 128, false },
	{ "2001:db8:0:1::1", "2001:db8:0:2::1", 32, 64, false },
	{ "2001:db8:0:1::1", "2001:db8:0:2::1", 32, 62, true },
	{ "0.0.0.0", "::", 32, 64, false },
};

START_TEST(source_prefixes)
{
	struct conf_service cs = { .source_prefix4 = prefixes[_i].p4,
				   .source_prefix6 = prefixes[_i].p6 };
	struct conn a = from_ip(prefixes[_i].a), b = from_ip(prefixes[_i].b);
	struct source_key x, y;

	ck_assert(source_key(&cs, &a, &x));
	ck_assert(source_key(&cs, &b, &y));
	ck_assert_int_eq(memcmp(&x, &y, sizeof(x)) == 0, prefixes[_i].same);
}
END_TEST

static uint32_t get(struct sources *s, uint32_t ip, const struct text_rate *r,
		    int64_t now)
{
	struct source_key key = { .family = AF_INET };

	memcpy(key.bytes, &ip, sizeof(ip));
	return sources_get(s, &key, r, now);
}

START_TEST(source_counts)
{
	struct sources *s = sources_new(0);
	uint32_t a = get(s, 1, &none, 1), b;

	source_enter(s, a);
	b = get(s, 2, &none, 1);
	source_enter(s, b);
	source_enter(s, get(s, 1, &none, 1));
	ck_assert_uint_ne(a, b);
	ck_assert_uint_eq(source_at(s, a)->inside, 2);
	ck_assert_uint_eq(source_at(s, b)->inside, 1);
	source_leave(s, a, &none);
	ck_assert_uint_eq(sources_count(s), 2);
	source_leave(s, a, &none);
	/* Nothing is to be remembered of it. */
	ck_assert_uint_eq(sources_count(s), 1);
	source_leave(s, b, &none);
	ck_assert_uint_eq(sources_count(s), 0);
	sources_free(&s);
}
END_TEST

/* A million sources: memory is bounded, who is inside stays known, of the
 * others the youngest do. */
START_TEST(source_flood)
{
	const struct text_rate slow = { 0.001, 3 };
	struct sources *s = sources_new(0);
	uint32_t inside = get(s, 7, &slow, 1), n = 0;
	struct source_key key = { .family = AF_INET };

	source_enter(s, inside);
	for (uint32_t ip = 1000; ip < 1001000; ip++) {
		n = get(s, ip, &slow, 1 + ip);
		ck_assert_uint_ne(n, 0);
		bucket_fill(&source_at(s, n)->bucket, &slow, 1 + ip, 0);
		bucket_take(&source_at(s, n)->bucket);
		source_seen(s, n, &slow);
	}
	ck_assert_uint_eq(sources_count(s), SOURCES_MAX);
	ck_assert_uint_eq(get(s, 7, &slow, 2000000), inside);
	ck_assert_uint_eq(source_at(s, inside)->inside, 1);
	key.bytes[0] = 1;	/* ip 1 was never there */
	ck_assert_uint_eq(sources_find(s, &key), 0);
	ck_assert_uint_eq(get(s, 1000999, &slow, 2000000), n);
	sources_free(&s);
}
END_TEST

/* What has waited long enough is as good as new: its place is taken again. */
START_TEST(source_expires)
{
	const struct text_rate r = { 10, 1 };
	struct sources *s = sources_new(0);

	for (uint32_t ip = 1; ip <= 1000; ip++) {
		int64_t now = (int64_t)ip * 1000000;
		uint32_t n = get(s, ip, &r, now);

		bucket_fill(&source_at(s, n)->bucket, &r, now, 0);
		bucket_take(&source_at(s, n)->bucket);
		source_seen(s, n, &r);
	}
	ck_assert_uint_le(sources_count(s), 2);
	sources_free(&s);
}
END_TEST

/* With everybody inside there is no room to remember one more. */
START_TEST(source_all_inside)
{
	struct sources *s = sources_new(0);

	for (uint32_t ip = 1; ip <= SOURCES_MAX; ip++)
		source_enter(s, get(s, ip, &none, 1));
	ck_assert_uint_eq(get(s, SOURCES_MAX + 1, &none, 1), 0);
	source_leave(s, get(s, 5, &none, 1), &none);
	ck_assert_uint_ne(get(s, SOURCES_MAX + 1, &none, 1), 0);
	sources_free(&s);
}
END_TEST

/* Who takes over knows how fast each came, and that nobody is in yet. */
START_TEST(source_outlives)
{
	const struct text_rate r = { 0.001, 3 };
	struct sources *s = sources_new(0), *next;
	int record = record_next(RECORD_SOURCES, -1);
	int other = record_new(RECORD_SOURCES, 0, 0);
	int64_t now = loop_us();
	uint32_t one = get(s, 1, &r, now), two;

	record_set_fd(other, 0, dup(record_at(record)->fd[0]));
	record_commit(other);
	bucket_fill(&source_at(s, one)->bucket, &r, now, 0);
	bucket_take(&source_at(s, one)->bucket);
	source_enter(s, one);
	two = get(s, 2, &r, now);
	source_enter(s, two);
	next = sources_adopt(other);
	ck_assert_ptr_nonnull(next);
	ck_assert_uint_eq(sources_count(next), 1);
	one = get(next, 1, &r, now);
	ck_assert_uint_eq(source_at(next, one)->inside, 0);
	ck_assert_double_eq(source_at(next, one)->bucket.tokens, 2);
	two = get(next, 2, &r, now);
	ck_assert_int_eq(source_at(next, two)->bucket.at, 0);
	sources_free(&next);
	sources_free(&s);
	ck_assert_int_eq(record_next(RECORD_SOURCES, -1), -1);
}
END_TEST

START_TEST(source_spoilt)
{
	struct sources *s = sources_new(0);
	int record = record_next(RECORD_SOURCES, -1);
	const uint32_t many = SOURCES_MAX + 1;
	int fd = record_at(record)->fd[0];

	ck_assert_int_eq(pwrite(fd, &many, 4, 4), 4);
	ck_assert_ptr_null(sources_adopt(record));
	ck_assert_int_eq(pwrite(fd, "\0\0\0\0", 4, 4), 4);
	ck_assert_int_eq(pwrite(fd, "\1\0\0\0", 4, 0), 4);
	ck_assert_ptr_null(sources_adopt(record));
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	ck_assert_ptr_null(sources_adopt(record));
	sources_free(&s);
}
END_TEST

/* ---- rules ---- */

static const struct {
	const char *rules;	/* a allow, d deny, then what */
	const char *peer;
	bool yes;
	int rule;		/* which decided, -1: none */
} judged[] = {
	{ "", "192.0.2.1", true, -1 },
	{ "a192.0.2.0/24", "192.0.2.1", true, 0 },
	{ "a192.0.2.0/24", "192.0.3.1", false, -1 },
	{ "d192.0.2.0/24", "192.0.2.1", false, 0 },
	{ "d192.0.2.0/24", "192.0.3.1", true, -1 },
	{ "d192.0.2.1 a192.0.2.0/24", "192.0.2.1", false, 0 },
	{ "d192.0.2.1 a192.0.2.0/24", "192.0.2.2", true, 1 },
	{ "a192.0.2.0/24 d192.0.2.1", "192.0.2.1", true, 0 },
	{ "a0.0.0.0/0", "2001:db8::1", false, -1 },
	{ "a2001:db8::/32", "2001:db8:5::1", true, 0 },
	/* users judge Unix peers, CIDRs IP peers: the other kind is let in */
	{ "u0", "192.0.2.1", true, -1 },
	{ "a192.0.2.0/24", "user 5 5", true, -1 },
	{ "u5", "user 5 5", true, 0 },
	{ "u5", "user 6 5", false, -1 },
	{ "g5", "user 6 5", true, 0 },
	{ "U6 g5", "user 6 5", false, 0 },
	{ "g5 U6", "user 6 5", true, 0 },
};

static void add_rule(struct conf_rules *rules, const char *word)
{
	struct conf_rule *r;

	rules->v = xrealloc(rules->v, (rules->n + 1) * sizeof(*rules->v));
	r = &rules->v[rules->n++];
	*r = (struct conf_rule){ .allow = strchr("aug", word[0]) != NULL };
	if (word[0] == 'a' || word[0] == 'd') {
		r->kind = RULE_CIDR;
		ck_assert_int_eq(addr_cidr_parse(word + 1, &r->cidr), 0);
		return;
	}
	r->kind = strchr("uU", word[0]) ? RULE_USER : RULE_GROUP;
	r->id = (uint32_t)atoi(word + 1);
}

START_TEST(rules)
{
	struct conf_rules list = { 0 };
	const struct conf_rule *rule;
	char *copy = xstrdup(judged[_i].rules), *rest = copy, *word;
	unsigned uid, gid;
	struct conn c;

	while ((word = strsep(&rest, " ")))
		if (*word)
			add_rule(&list, word);
	if (sscanf(judged[_i].peer, "user %u %u", &uid, &gid) == 2)
		c = from_user(uid, gid);
	else
		c = from_ip(judged[_i].peer);
	ck_assert_int_eq(rules_allow(&list, &c, &rule), judged[_i].yes);
	ck_assert_int_eq(rule ? (int)(rule - list.v) : -1, judged[_i].rule);
	free(list.v);
	free(copy);
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
	Suite *s = suite_create("admit");
	TCase *tc = tcase_create("admit");
	SRunner *sr = srunner_create(s);
	int failed;

	reserve_roles();
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, open_state, record_shutdown);
	tcase_add_loop_test(tc, bucket_rate, 0, (int)ARRAY_SIZE(rates));
	tcase_add_test(tc, bucket_spare);
	tcase_add_test(tc, bucket_opens_again);
	tcase_add_loop_test(tc, source_prefixes, 0,
			    (int)ARRAY_SIZE(prefixes));
	tcase_add_test(tc, source_counts);
	tcase_add_test(tc, source_flood);
	tcase_add_test(tc, source_expires);
	tcase_add_test(tc, source_all_inside);
	tcase_add_test(tc, source_outlives);
	tcase_add_test(tc, source_spoilt);
	tcase_add_loop_test(tc, rules, 0, (int)ARRAY_SIZE(judged));
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
