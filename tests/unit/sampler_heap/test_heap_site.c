#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_site.h"
#include "tests/unit/sampler_heap/sums.h"

#include <pthread.h>

static const uint64_t ONE = 1ull << PF_DRAW_WEIGHT_BITS;

static int fresh(void **state)
{
	assert_int_equal(pf_site_init(), 0);
	pf_site_clear();
	return 0;
}

static void each_size_is_in_the_smallest_class_that_holds_it(void **state)
{
	assert_int_equal(pf_site_class(0), 0);
	assert_int_equal(pf_site_class_bytes(pf_site_class(1)), 16);
	assert_int_equal(pf_site_class_bytes(pf_site_class(64)), 64);
	assert_int_equal(pf_site_class_bytes(pf_site_class(65)), 80);
	assert_int_equal(pf_site_class_bytes(pf_site_class(1000)), 1024);
	assert_int_equal(pf_site_class_bytes(pf_site_class(1024)), 1024);
	assert_int_equal(pf_site_class_bytes(pf_site_class(1025)), 1280);
	for (uint64_t size = 1; size < 1ull << 50; size += size / 16 + 1) {
		uint32_t class = pf_site_class(size);

		assert_true(pf_site_class_bytes(class) >= size);
		assert_true(pf_site_class_bytes(class - 1) < size);
	}
}

static void one_row_for_each_stack_and_class(void **state)
{
	uint32_t row = site_of(5, 1000);

	assert_int_not_equal(row, 0);
	assert_int_equal(site_of(5, 1024), row);
	assert_int_not_equal(site_of(5, 1025), row);
	assert_int_not_equal(site_of(6, 1000), row);
}

/* Weights with a part behind the point: what comes and goes must leave exactly nothing, whichever
 * way it is counted. */
static void taking_away_what_was_added_leaves_nothing(void **state)
{
	uint32_t row = site_of(7, 100);

	for (uint64_t i = 1; i <= 1000; i++)
		pf_site_add(row, PF_SITE_OBJECTS, i, ONE * 3 + 123457 * i);
	for (uint64_t i = 1000; i >= 1; i--) {
		/* grown by 5 meanwhile */
		pf_site_add_bytes(row, PF_SITE_BYTES, 5, ONE * 3 + 123457 * i);
		pf_site_add(row, PF_SITE_FREED_OBJECTS, i + 5, ONE * 3 + 123457 * i);
	}
	assert_int_equal(sums_of(7).live_objects, 0);
	assert_int_equal(sums_of(7).live_bytes, 0);
}

static void sums_are_to_the_nearest_unit(void **state)
{
	uint32_t row = site_of(8, 100);

	for (int i = 0; i < 3; i++)
		pf_site_add(row, PF_SITE_OBJECTS, 100, ONE + ONE / 2);
	pf_site_add(row, PF_SITE_FREED_OBJECTS, 100, ONE + ONE / 2);
	assert_int_equal(sums_of(8).alloc_objects, 5); /* 4.5 */
	assert_int_equal(sums_of(8).alloc_bytes, 450);
	assert_int_equal(sums_of(8).live_objects, 3);
	assert_int_equal(sums_of(8).live_bytes, 300);
}

/* What costs a look says the same as all rows together. */
static void totals_are_the_sums_of_all_rows(void **state)
{
	int64_t now_bytes = -1, ever_bytes = -1;

	for (uint32_t stack = 1; stack <= 3; stack++)
		pf_site_add(site_of(stack, 100), PF_SITE_OBJECTS, 100, ONE * stack);
	pf_site_add(site_of(3, 100), PF_SITE_FREED_OBJECTS, 100, ONE * 2);
	pf_site_add_bytes(site_of(1, 100), PF_SITE_BYTES, 11, ONE);
	pf_site_add_bytes(site_of(2, 100), PF_SITE_FREED_BYTES, 50, ONE * 2);
	pf_site_totals(&now_bytes, &ever_bytes);
	assert_int_equal(ever_bytes, 611);
	assert_int_equal(now_bytes, 311);
	assert_int_equal(pf_site_count(), 3);
	pf_site_clear();
	pf_site_totals(&now_bytes, &ever_bytes);
	assert_int_equal(ever_bytes, 0);
	assert_int_equal(now_bytes, 0);
	assert_int_equal(pf_site_count(), 0);
}

static void a_petabyte_does_not_overflow(void **state)
{
	uint32_t row = site_of(9, 1ull << 45);

	for (int i = 0; i < 1024; i++)
		pf_site_add(row, PF_SITE_OBJECTS, 1ull << 45, ONE);
	assert_true(sums_of(9).alloc_bytes == 1ll << 55);
	row = site_of(9, 0);
	pf_site_add(row, PF_SITE_OBJECTS, 0, ONE << 40);
	assert_true(sums_of(9).alloc_objects == 1024 + (1ll << 40));
}

/* A mapping may be so large, touched or not. In parts of a byte it is 2^64 and more. */
static void terabytes_in_use_are_in_the_total_and_in_the_peak(void **state)
{
	uint32_t small = site_of(11, 100), large = site_of(12, 1ull << 44);
	struct sums at_peak = {.stack = 12};
	int64_t now = 0, ever = 0;

	pf_site_add(small, PF_SITE_OBJECTS, 100, ONE);
	for (int i = 1; i <= 3; i++) {
		pf_site_add(large, PF_SITE_OBJECTS, 1ull << 44, ONE);
		pf_site_totals(&now, &ever);
		assert_true(now == ((int64_t)i << 44) + 100);
	}
	for (int i = 2; i >= 0; i--) {
		pf_site_add(large, PF_SITE_FREED_OBJECTS, 1ull << 44, ONE);
		pf_site_totals(&now, &ever);
		assert_true(now == ((int64_t)i << 44) + 100);
	}
	assert_true(ever == (3ll << 44) + 100);
	pf_site_for_each_at_peak(add_if_of_stack, &at_peak);
	assert_int_equal(at_peak.live_objects, 3);
	assert_true(at_peak.live_bytes == 3ll << 44);
}

/* Half a million mappings of sixteen terabytes: all of 64 bits. */
static void what_is_more_than_a_number_holds_stays_at_the_most(void **state)
{
	uint32_t row = site_of(13, 1ull << 44);

	pf_site_add(row, PF_SITE_OBJECTS, 1ull << 44, ONE << 20);
	assert_true(sums_of(13).alloc_bytes == INT64_MAX);
	pf_site_add(row, PF_SITE_FREED_OBJECTS, 1ull << 44, ONE << 20);
	assert_int_equal(sums_of(13).live_bytes, 0);
}

/* Sums go round at every 256 terabytes: what is in use is what came less what went, at any place. */
static void sums_go_round_and_keep_their_difference(void **state)
{
	uint32_t row = site_of(9, 1ull << 45);

	pf_site_add(row, PF_SITE_OBJECTS, 1000, ONE + 1);
	for (uint64_t i = 1; i <= 4000; i++) {
		pf_site_add(row, PF_SITE_OBJECTS, 1ull << 34, ONE + i);
		pf_site_add(row, PF_SITE_FREED_OBJECTS, 1ull << 34, ONE + i);
		assert_int_equal(sums_of(9).live_bytes, 1000);
		assert_int_equal(sums_of(9).live_objects, 1);
		assert_true(sums_of(9).alloc_bytes >= (int64_t)(i << 34) + 1000);
	}
}

enum { THREADS = 8, ROUNDS = 20000 };

static void *add_everywhere(void *arg)
{
	for (uint32_t i = 0; i < ROUNDS; i++)
		pf_site_add(site_of(i % 100 + 100, 10), PF_SITE_OBJECTS, 10, ONE + 1);
	return NULL;
}

static void threads_add_to_the_same_rows(void **state)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, add_everywhere, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t stack = 100; stack < 200; stack++)
		assert_int_equal(sums_of(stack).alloc_bytes, THREADS * ROUNDS / 100 * 10);
}

/* The last test: a million stacks. Totals stay true when rows run out. */
static void without_room_the_total_stays_true(void **state)
{
	uint64_t full = pf_counter_get(PF_COUNTER_HEAP_SITES_FULL);
	uint64_t lost;

	for (uint32_t stack = 1; stack <= 1000000; stack++)
		pf_site_add(site_of(stack, 10), PF_SITE_OBJECTS, 10, ONE);
	lost = pf_counter_get(PF_COUNTER_HEAP_SITES_FULL) - full;
	assert_true(lost > 0);
	assert_int_equal(sums_of(0).alloc_objects, lost);
	assert_int_equal(sums_of(1).alloc_objects, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_size_is_in_the_smallest_class_that_holds_it),
	    cmocka_unit_test_setup(one_row_for_each_stack_and_class, fresh),
	    cmocka_unit_test_setup(taking_away_what_was_added_leaves_nothing, fresh),
	    cmocka_unit_test_setup(sums_are_to_the_nearest_unit, fresh),
	    cmocka_unit_test_setup(totals_are_the_sums_of_all_rows, fresh),
	    cmocka_unit_test_setup(a_petabyte_does_not_overflow, fresh),
	    cmocka_unit_test_setup(terabytes_in_use_are_in_the_total_and_in_the_peak, fresh),
	    cmocka_unit_test_setup(what_is_more_than_a_number_holds_stays_at_the_most, fresh),
	    cmocka_unit_test_setup(sums_go_round_and_keep_their_difference, fresh),
	    cmocka_unit_test_setup(threads_add_to_the_same_rows, fresh),
	    cmocka_unit_test_setup(without_room_the_total_stays_true, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
