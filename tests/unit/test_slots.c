/*
 * Slots of the state: side by side from the lowest, found by name, given
 * again, and all of it as before in who takes the state over; a state of the
 * first version, whose slots stood where a hash told, too.
 */
#include "base/record_private.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 2000

static const char *name_of(uint32_t i)
{
	static char name[SLOT_NAME];

	snprintf(name, sizeof(name), "service-%u", i);
	return name;
}

static void open_state(void)
{
	ck_assert_int_eq(record_open(64, SLOTS), 0);
}

/* As the next process does. */
static void take_over(void)
{
	int fd = fcntl(ROLE_STATE, F_DUPFD_CLOEXEC, RECORD_LOW);
	const char *why = NULL;

	record_shutdown();
	ck_assert_int_eq(record_role(fd, ROLE_STATE), 0);
	ck_assert_msg(record_adopt(&why) == 0, "%s", why);
}

static blkcnt_t pages(void)
{
	struct stat sb;

	ck_assert_int_eq(fstat(ROLE_STATE, &sb), 0);
	return sb.st_blocks / 8;
}

START_TEST(dense)
{
	blkcnt_t before;

	open_state();
	before = pages();
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_int_eq(slot_find(name_of(i), true), (int)i);
	ck_assert_int_le(pages() - before,
			 (1000 * sizeof(struct slot)) / 4096 + 1);
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_int_eq(slot_find(name_of(i), i % 2), (int)i);
	ck_assert_int_eq(slot_find(name_of(1000), false), -ENOENT);
	record_shutdown();
}
END_TEST

START_TEST(given_again)
{
	open_state();
	for (uint32_t i = 0; i < SLOTS; i++)
		ck_assert_int_eq(slot_find(name_of(i), true), (int)i);
	ck_assert_int_eq(slot_find("more", true), -ENOSPC);
	slot_at(700)->data[0] = 7;
	slot_end(700);
	slot_end(3);
	ck_assert_int_eq(slot_find(name_of(700), false), -ENOENT);
	ck_assert_int_eq(slot_find("more", true), 3);
	ck_assert_int_eq(slot_find("and more", true), 700);
	ck_assert_int_eq(slot_at(700)->data[0], 0);
	ck_assert_int_eq(slot_find("too much", true), -ENOSPC);
	ck_assert_int_eq(slot_find("more", false), 3);
	ck_assert_int_eq(slot_find(name_of(SLOTS - 1), false), SLOTS - 1);
	record_shutdown();
}
END_TEST

START_TEST(taken_over)
{
	blkcnt_t before;

	open_state();
	for (uint32_t i = 0; i < 500; i++)
		slot_find(name_of(i), true);
	slot_end(499);
	slot_end(100);
	before = pages();
	take_over();
	ck_assert_int_eq(pages(), before);
	for (uint32_t i = 0; i < 499; i++)
		ck_assert_int_eq(slot_find(name_of(i), false),
				 i == 100 ? -ENOENT : (int)i);
	ck_assert_int_eq(slot_find("new", true), 100);
	ck_assert_int_eq(slot_find("newer", true), 499);
	record_shutdown();
}
END_TEST

/* The place that the first version began to look at for NAME. */
static uint32_t first_place(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h % SLOTS;
}

/* What an image of the first version, that goes on again, would find. */
static int found_by_the_first(const char *name)
{
	for (uint32_t n = 0; n < SLOTS; n++) {
		uint32_t i = (first_place(name) + n) % SLOTS;

		if (strcmp(slot_at(i)->name, name) == 0)
			return (int)i;
		if (!slot_at(i)->name[0] && !slot_at(i)->name[1])
			break;
	}
	return -ENOENT;
}

static void make_first_version(void)
{
	open_state();
	record_st.h->version = STATE_HASHED;
	record_st.h->sum = record_header_sum(record_st.h);
}

START_TEST(first_version)
{
	int at[800];

	make_first_version();
	for (uint32_t i = 0; i < 400; i++)
		at[i] = slot_find(name_of(i), true);
	slot_end((uint32_t)at[0]);
	take_over();
	ck_assert_int_eq(slot_find(name_of(0), false), -ENOENT);
	for (uint32_t i = 1; i < 400; i++)
		ck_assert_int_eq(slot_find(name_of(i), false), at[i]);
	for (uint32_t i = 400; i < 800; i++)
		at[i] = slot_find(name_of(i), true);
	for (uint32_t i = 1; i < 800; i++)
		ck_assert_int_eq(found_by_the_first(name_of(i)), at[i]);
	record_shutdown();
}
END_TEST

/* The numbers below are the state's: check's own file shall not have one. */
static void keep_roles_free(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < RECORD_LOW - 1);
}

int main(void)
{
	Suite *s = suite_create("slots");
	TCase *t = tcase_create("slots");
	SRunner *r = srunner_create(s);
	int failed;

	keep_roles_free();
	tcase_add_test(t, dense);
	tcase_add_test(t, given_again);
	tcase_add_test(t, taken_over);
	tcase_add_test(t, first_version);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
