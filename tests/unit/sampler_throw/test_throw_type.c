#include "base/counter.h"
#include "sampler/throw_type.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_name_has_one_number_and_keeps_it(void **state)
{
	char copy[] = "St13runtime_error";
	uint32_t number = pf_throw_type_find("St13runtime_error");

	assert_int_not_equal(number, 0);
	assert_int_equal(pf_throw_type_find(copy), number);
	assert_int_not_equal(pf_throw_type_find("St11logic_error"), number);
	assert_int_not_equal(pf_throw_type_find("St13runtime_erro"), number);
	memset(copy, 'x', 5); /* its module is gone */
	assert_string_equal(pf_throw_type_at(number)->name, "St13runtime_error");
}

static void a_name_that_is_too_long_is_cut(void **state)
{
	static char name[3 * PF_THROW_NAME_MAX];
	uint32_t number;

	memset(name, 'n', sizeof(name) - 1);
	number = pf_throw_type_find(name);
	assert_int_not_equal(number, 0);
	assert_int_equal(strlen(pf_throw_type_at(number)->name), PF_THROW_NAME_MAX);
	name[2 * PF_THROW_NAME_MAX] = '\0'; /* the same as far as it is looked at */
	assert_int_equal(pf_throw_type_find(name), number);
}

static void *find_all(void *out)
{
	uint32_t *numbers = out;
	char name[16];

	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "shared%d", i);
		numbers[i] = pf_throw_type_find(name);
	}
	return NULL;
}

static void threads_that_meet_a_type_at_once_agree(void **state)
{
	uint32_t numbers[4][8];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, find_all, numbers[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < 4; i++)
		assert_memory_equal(numbers[i], numbers[0], sizeof(numbers[0]));
}

/* The last: the table is full from here on. */
static void what_does_not_fit_is_other_types_and_counted(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_EXCEPTION_TYPES_FULL);
	uint32_t known = pf_throw_type_find("St13runtime_error"), other = 0;
	char name[16];

	for (uint32_t i = 0; i < pf_throw_type_limit() + 10; i++) {
		snprintf(name, sizeof(name), "many%u", i);
		other += pf_throw_type_find(name) == 0;
	}
	assert_true(other >= 10);
	assert_int_equal(pf_counter_get(PF_COUNTER_EXCEPTION_TYPES_FULL) - before, other);
	assert_string_equal(pf_throw_type_at(0)->name, "[other types]");
	assert_int_equal(pf_throw_type_find("St13runtime_error"), known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_name_has_one_number_and_keeps_it),
	    cmocka_unit_test(a_name_that_is_too_long_is_cut),
	    cmocka_unit_test(threads_that_meet_a_type_at_once_agree),
	    cmocka_unit_test(what_does_not_fit_is_other_types_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
