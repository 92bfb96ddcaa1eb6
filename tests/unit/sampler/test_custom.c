#include "base/profile.h"
#include "sampler/custom.h"
#include "sampler/stack.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const void *key(uintptr_t number)
{
	return (const void *)number;
}

static struct proffs_profile *fresh(const char *name)
{
	struct proffs_profile *profile;

	assert_int_equal(pf_custom_new(&profile, name), 0);
	return profile;
}

static uint32_t number_of(const char *name)
{
	uint32_t n = 0;

	while (strcmp(pf_custom_name(n), name) != 0)
		n++;
	return n;
}

static int64_t total(const char *name)
{
	struct pf_profile p;
	int64_t sum;

	pf_profile_init(&p);
	assert_int_equal(pf_custom_collect(number_of(name), &p), 0);
	assert_string_equal(p.name, name);
	sum = pf_profile_total(&p, 0);
	pf_profile_finish(&p);
	return sum;
}

__attribute__((noinline)) static void take_here(struct proffs_profile *profile, uintptr_t number)
{
	assert_int_equal(pf_custom_add(profile, key(number)), 0);
}

__attribute__((noinline)) static void take_there(struct proffs_profile *profile, uintptr_t number)
{
	assert_int_equal(pf_custom_add(profile, key(number)), 0);
}

static void keys_are_counted_by_the_stack_that_added_them(void **state)
{
	struct proffs_profile *profile = fresh("by-stack");
	volatile uintptr_t seven = 7, ten = 10; /* loops that stay loops: one call site each */
	struct pf_profile p;

	for (uintptr_t i = 0; i < seven; i++)
		take_here(profile, i);
	for (uintptr_t i = seven; i < ten; i++)
		take_there(profile, i);
	pf_profile_init(&p);
	assert_int_equal(pf_custom_collect(number_of("by-stack"), &p), 0);
	assert_int_equal(p.sample_count, 2);
	assert_int_equal(p.samples[0].value[0], 7);
	assert_int_equal(p.samples[1].value[0], 3);
	/* The leaf is in the function that called add, not in ours. */
	assert_in_range(
	    p.pcs[p.samples[0].pc_first], (uintptr_t)take_here, (uintptr_t)take_here + 200);
	assert_in_range(
	    p.pcs[p.samples[1].pc_first], (uintptr_t)take_there, (uintptr_t)take_there + 200);
	pf_profile_finish(&p);
}

static void a_key_is_in_once_and_gone_when_removed(void **state)
{
	struct proffs_profile *profile = fresh("once");

	assert_int_equal(pf_custom_add(profile, key(1)), 0);
	assert_int_equal(pf_custom_add(profile, key(1)), -EEXIST);
	assert_int_equal(total("once"), 1);
	assert_int_equal(pf_custom_remove(profile, key(1)), 0);
	assert_int_equal(pf_custom_remove(profile, key(1)), -ENOENT);
	assert_int_equal(total("once"), 0);
	assert_int_equal(pf_custom_add(profile, key(1)), 0);
	assert_int_equal(total("once"), 1);
}

static void a_key_in_one_profile_is_not_in_another(void **state)
{
	struct proffs_profile *a = fresh("a"), *b = fresh("b");

	assert_int_equal(pf_custom_add(a, NULL), 0);
	assert_int_equal(pf_custom_remove(b, NULL), -ENOENT);
	assert_int_equal(pf_custom_add(b, NULL), 0);
	assert_int_equal(pf_custom_remove(a, NULL), 0);
	assert_int_equal(total("a"), 0);
	assert_int_equal(total("b"), 1);
}

static void a_name_that_is_taken_gives_that_profile(void **state)
{
	struct proffs_profile *first = fresh("taken"), *second;

	assert_int_equal(pf_custom_new(&second, "taken"), -EEXIST);
	assert_ptr_equal(first, second);
}

static void a_name_that_is_no_file_name_is_refused(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "a b", "a.pprof", "\033[1m",
	    "h\303\244ndles", "a23456789_123456789_123456789_123456789_12345678"};
	struct proffs_profile *profile;

	for (size_t i = 0; i < PF_COUNT(bad); i++) {
		assert_int_equal(pf_custom_new(&profile, bad[i]), -EINVAL);
		assert_null(profile);
	}
	assert_int_equal(pf_custom_new(&profile, NULL), -EINVAL);
	assert_int_equal(pf_custom_add(NULL, key(1)), -EINVAL);
	assert_int_equal(pf_custom_remove(NULL, key(1)), -EINVAL);
}

enum { THREADS = 4, KEYS = 50000 };

static void *take_and_give(void *first)
{
	struct proffs_profile *profile;

	pf_custom_new(&profile, "many");
	for (uintptr_t i = 0; i < KEYS; i++)
		assert_int_equal(pf_custom_add(profile, key((uintptr_t)first + i * THREADS)), 0);
	for (uintptr_t i = 1; i < KEYS; i++)
		assert_int_equal(pf_custom_remove(profile, key((uintptr_t)first + i * THREADS)), 0);
	return NULL;
}

static void many_keys_of_many_threads_come_and_go(void **state)
{
	pthread_t threads[THREADS];

	fresh("many");
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, take_and_give, (void *)i);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(total("many"), THREADS);
}

static void there_are_64_profiles_and_no_more(void **state)
{
	struct proffs_profile *profile;
	char name[16];
	int rc = 0;

	for (int i = 0; rc == 0; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		rc = pf_custom_new(&profile, name);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_null(profile);
	assert_non_null(pf_custom_name(63));
	assert_null(pf_custom_name(64));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_are_counted_by_the_stack_that_added_them),
	    cmocka_unit_test(a_key_is_in_once_and_gone_when_removed),
	    cmocka_unit_test(a_key_in_one_profile_is_not_in_another),
	    cmocka_unit_test(a_name_that_is_taken_gives_that_profile),
	    cmocka_unit_test(a_name_that_is_no_file_name_is_refused),
	    cmocka_unit_test(many_keys_of_many_threads_come_and_go),
	    cmocka_unit_test(there_are_64_profiles_and_no_more),
	};

	pf_stack_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
