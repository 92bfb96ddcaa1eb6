#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sampler/wait_draw.h"

static void each_cell_is_hit_exactly_once(void **state)
{
	struct pf_wait_draw draw = {.random = 1};

	/* A thousand waits of a millisecond at a rate of ten: a hundred. */
	for (int round = 0; round < 20; round++) {
		uint32_t hits = 0;

		draw.cell = 0; /* from the start of a cell */
		for (int i = 0; i < 1000; i++)
			hits += pf_wait_draw_take(&draw, 1000000, 10000000);
		assert_int_equal(hits, 100);
	}
}

static void every_place_of_a_cell_is_as_likely(void **state)
{
	struct pf_wait_draw draw = {.random = 7};
	uint32_t hits[10] = {0};

	for (int i = 0; i < 100000; i++)
		hits[i % 10] += pf_wait_draw_take(&draw, 1, 10);
	/* 10,000 cells, one drop each: binomial, sd 30. */
	for (int i = 0; i < 10; i++)
		assert_in_range(hits[i], 1000 - 150, 1000 + 150);
}

static void what_is_near_is_hit(void **state)
{
	struct pf_wait_draw draw = {.random = 11};
	int near = 0, hit = 0;

	for (int i = 0; i < 1000; i++) {
		bool is_near = pf_wait_draw_is_near(&draw, 30, 100);
		uint32_t hits = pf_wait_draw_take(&draw, 30, 100);

		near += is_near;
		hit += hits > 0;
		/* The very first cell is begun by the first wait. */
		assert_true(i == 0 || !is_near || hits > 0);
	}
	assert_in_range(near, 200, hit);
	assert_true(pf_wait_draw_is_near(&draw, 100, 100));
}

/* Of the length of a cell, which a fixed distance between drops would follow. */
static void a_rhythm_is_not_followed(void **state)
{
	struct pf_wait_draw draw = {.random = 3};
	uint32_t short_hits = 0, long_hits = 0;

	for (int i = 0; i < 100000; i++) {
		short_hits += pf_wait_draw_take(&draw, 1, 10);
		long_hits += pf_wait_draw_take(&draw, 9, 10);
	}
	assert_in_range(short_hits, 10000 - 500, 10000 + 500);
	assert_int_equal(short_hits + long_hits, 100000);
}

static void a_new_rate_begins_a_new_cell(void **state)
{
	struct pf_wait_draw draw = {.random = 5};
	uint32_t hits = 0;

	pf_wait_draw_take(&draw, 1, 1000000);
	for (int i = 0; i < 100; i++)
		hits += pf_wait_draw_take(&draw, 1, 1);
	assert_int_equal(hits, 100);
}

static void threads_draw_differently(void **state)
{
	struct pf_wait_draw a = {.random = 0}, b = {.random = 0};
	bool different = false;

	for (int i = 0; i < 1000; i++)
		different |= pf_wait_draw_take(&a, 1, 100) != pf_wait_draw_take(&b, 1, 100);
	assert_true(different);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_cell_is_hit_exactly_once),
	    cmocka_unit_test(every_place_of_a_cell_is_as_likely),
	    cmocka_unit_test(what_is_near_is_hit),
	    cmocka_unit_test(a_rhythm_is_not_followed),
	    cmocka_unit_test(a_new_rate_begins_a_new_cell),
	    cmocka_unit_test(threads_draw_differently),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
