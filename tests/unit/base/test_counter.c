#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 4, EACH = 100000 };

static void *count_many_times(void *unused)
{
	for (int i = 0; i < EACH; i++)
		pf_count(PF_COUNTER_HEAP_SAMPLES);
	return unused;
}

static void threads_that_count_at_once_lose_nothing(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_HEAP_SAMPLES);
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many_times, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(pf_counter_get(PF_COUNTER_HEAP_SAMPLES) - before, THREADS * EACH);
}

static void many_and_set_say_how_much(void **state)
{
	pf_counter_set(PF_COUNTER_PATCH_SLOTS, 7);
	pf_count_many(PF_COUNTER_PATCH_SLOTS, 35);
	assert_int_equal(pf_counter_get(PF_COUNTER_PATCH_SLOTS), 42);
	pf_counter_set(PF_COUNTER_PATCH_SLOTS, 3);
	assert_int_equal(pf_counter_get(PF_COUNTER_PATCH_SLOTS), 3);
}

static void every_counter_has_its_own_name_and_meaning(void **state)
{
	for (int i = 0; i < PF_COUNTER_COUNT; i++) {
		const char *name = pf_counter_name(i);

		assert_true(strlen(name) > 0);
		assert_true(strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name));
		assert_true(strlen(pf_counter_what(i)) > 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(name, pf_counter_name(k));
	}
}

/* As libproffs-fs.so does, which must show the agent's numbers and add to them. */
static void an_adopted_array_is_counted_in(void **state)
{
	uint64_t *own = pf_counter_values;
	uint64_t others[PF_COUNTER_COUNT] = {0};

	others[PF_COUNTER_FS_REQUESTS] = 41;
	pf_counter_adopt(others);
	pf_count(PF_COUNTER_FS_REQUESTS);
	assert_int_equal(others[PF_COUNTER_FS_REQUESTS], 42);
	assert_int_equal(pf_counter_get(PF_COUNTER_FS_REQUESTS), 42);
	pf_counter_adopt(own);
	assert_int_equal(pf_counter_get(PF_COUNTER_FS_REQUESTS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_that_count_at_once_lose_nothing),
	    cmocka_unit_test(many_and_set_say_how_much),
	    cmocka_unit_test(every_counter_has_its_own_name_and_meaning),
	    cmocka_unit_test(an_adopted_array_is_counted_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
