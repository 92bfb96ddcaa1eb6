#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sampler/heap_live.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static int fresh(void **state)
{
	assert_int_equal(pf_live_init(), 0);
	pf_live_clear();
	return 0;
}

static const void *block(uint64_t n)
{
	return (const void *)(uintptr_t)(0x7f0000000000 + n * 16);
}

static int insert(uint64_t n, uint64_t size)
{
	struct pf_live_entry entry = {.size = size, .weight = n}, replaced;

	entry.origin = pf_live_origin(3, 1ull << 43);
	return pf_live_insert(block(n), &entry, &replaced);
}

static void what_is_put_in_comes_out_once(void **state)
{
	struct pf_live_entry out;

	assert_false(pf_live_maybe(block(1)));
	assert_int_equal(insert(1, 100), 0);
	assert_true(pf_live_maybe(block(1)));
	assert_int_equal(pf_live_count(), 1);
	assert_true(pf_live_remove(block(1), &out));
	assert_int_equal(out.size, 100);
	assert_int_equal(out.weight, 1);
	assert_int_equal(pf_live_site(&out), 3);
	assert_int_equal(pf_live_born_us(&out), 1ull << 43);
	assert_false(pf_live_maybe(block(1)));
	assert_false(pf_live_remove(block(1), &out));
	assert_int_equal(pf_live_count(), 0);
}

static void others_on_the_page_are_not_it(void **state)
{
	struct pf_live_entry out;

	insert(1, 100);
	assert_true(pf_live_maybe(block(2))); /* the same page */
	assert_false(pf_live_remove(block(2), &out));
	assert_false(pf_live_maybe(block(256))); /* the next one */
	assert_false(pf_live_remove(NULL, &out));
	assert_true(pf_live_remove(block(1), &out));
}

static void an_address_that_is_there_already_has_missed_a_free(void **state)
{
	struct pf_live_entry entry = {.size = 200}, replaced, out;

	insert(1, 100);
	assert_int_equal(pf_live_insert(block(1), &entry, &replaced), 1);
	assert_int_equal(replaced.size, 100);
	assert_int_equal(pf_live_count(), 1);
	assert_true(pf_live_remove(block(1), &out));
	assert_int_equal(out.size, 200);
	assert_false(pf_live_maybe(block(1)));
}

/* Far more than the first table holds, so that buckets spill and tables follow. */
static void a_hundred_thousand_blocks_are_all_found(void **state)
{
	struct pf_live_entry out;
	uint64_t n = 100000;

	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(insert(i * 7, i), 0);
	assert_int_equal(pf_live_count(), n);
	for (uint64_t i = 0; i < n; i += 2) {
		assert_true(pf_live_remove(block(i * 7), &out));
		assert_int_equal(out.size, i);
	}
	for (uint64_t i = 0; i < n; i += 2)
		assert_int_equal(insert(i * 7, i), 0);
	for (uint64_t i = 0; i < n; i++)
		assert_true(pf_live_remove(block(i * 7), &out));
	assert_int_equal(pf_live_count(), 0);
}

/* More than a bucket's eight on a page: each is found, and the page's others are not taken for them. */
static void a_page_may_have_many(void **state)
{
	struct pf_live_entry out;

	for (uint64_t i = 0; i < 256; i += 2)
		insert(i, i);
	for (uint64_t i = 0; i < 256; i++)
		assert_int_equal(pf_live_has(block(i)), i % 2 == 0);
	for (uint64_t i = 0; i < 256; i += 2) {
		assert_true(pf_live_remove(block(i), &out));
		assert_int_equal(out.size, i);
		assert_false(pf_live_has(block(i)));
	}
	assert_false(pf_live_has(NULL));
}

/* 256 blocks and more start on one page: the filter's byte is full, and must not run over. */
static void a_crowded_page_stays_suspect(void **state)
{
	struct pf_live_entry out;

	for (uint64_t round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < 256; i++)
			insert(i, 16);
		for (uint64_t i = 0; i < 256; i++) {
			assert_true(pf_live_maybe(block(i)));
			assert_true(pf_live_remove(block(i), &out));
		}
	}
	assert_true(pf_live_maybe(block(0)));
	pf_live_clear();
	assert_false(pf_live_maybe(block(0)));
}

static char wrong[] = "wrong";
enum { THREADS = 8, BLOCKS = 2000, ROUNDS = 30 };

static void *come_and_go(void *arg)
{
	uint64_t first = (uint64_t)(uintptr_t)arg;
	struct pf_live_entry out;

	for (int round = 0; round < ROUNDS; round++) {
		for (uint64_t i = 0; i < BLOCKS; i++)
			if (insert(first + i * THREADS, first) != 0)
				return wrong; /* it was there already */
		for (uint64_t i = 0; i < BLOCKS; i++)
			if (!pf_live_remove(block(first + i * THREADS), &out) || out.size != first)
				return wrong; /* lost */
	}
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	pthread_t threads[THREADS];
	void *result;

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, come_and_go, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_int_equal(pf_live_count(), 0);
}

/* Built with PF_SMALL, it is full soon. */
static void a_full_table_says_so(void **state)
{
	uint64_t n = 0;
	struct pf_live_entry out;
	int rc;

	while ((rc = insert(n, n)) == 0)
		n++;
	assert_int_equal(rc, -ENOSPC);
	assert_true(n > 100000);
	assert_int_equal(pf_live_count(), n);
	assert_true(pf_live_remove(block(n / 2), &out));
	assert_int_equal(out.size, n / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(what_is_put_in_comes_out_once, fresh),
	    cmocka_unit_test_setup(others_on_the_page_are_not_it, fresh),
	    cmocka_unit_test_setup(an_address_that_is_there_already_has_missed_a_free, fresh),
	    cmocka_unit_test_setup(a_hundred_thousand_blocks_are_all_found, fresh),
	    cmocka_unit_test_setup(a_page_may_have_many, fresh),
	    cmocka_unit_test_setup(a_crowded_page_stays_suspect, fresh),
	    cmocka_unit_test_setup(threads_do_not_disturb_each_other, fresh),
	    cmocka_unit_test_setup(a_full_table_says_so, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
