/* The book of stacks: same in, same out, whoever asks and however many at once. */
#include "base/counter.h"
#include "base/profile.h"
#include "sampler/stack.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* More than the first buckets hold, so that the others have some, too. */
#ifdef PF_SMALL
enum { DISTINCT = 1000 };
#else
enum { DISTINCT = 20000 };
#endif
enum { THREADS = 4, STACKS = 3 * DISTINCT, PCS_MAX = 40 };

/* A stack of its own for each number. */
static uint32_t make(uint64_t number, uint64_t *pcs)
{
	uint32_t count = 1 + (uint32_t)(number % PCS_MAX);

	for (uint32_t i = 0; i < count; i++)
		pcs[i] = 0x400000 + number * 64 + i;
	return count;
}

static bool reads_as(uint32_t id, const uint64_t *pcs, uint32_t count)
{
	const uint64_t *got;

	return pf_stack_read(id, &got) == count && memcmp(got, pcs, count * sizeof(*pcs)) == 0;
}

static void same_pcs_give_same_id(void **state)
{
	uint64_t pcs[] = {0x1000, 0x2000, 0x3000};
	uint32_t id = pf_stack_intern(pcs, 3);
	size_t bytes, count, again;

	assert_int_not_equal(id, PF_STACK_OVERFLOW);
	pf_stack_usage(&bytes, &count);
	assert_int_equal(pf_stack_intern(pcs, 3), id);
	pf_stack_usage(&bytes, &again);
	assert_int_equal(again, count);
	assert_true(bytes >= sizeof(pcs));
	assert_true(reads_as(id, pcs, 3));
}

static void a_longer_a_shorter_and_another_stack_have_their_own(void **state)
{
	uint64_t pcs[] = {0x1000, 0x2000, 0x3000, 0x4000};
	uint32_t three = pf_stack_intern(pcs, 3), two = pf_stack_intern(pcs, 2), other;

	assert_int_not_equal(three, two);
	assert_int_not_equal(pf_stack_intern(pcs, 4), three);
	pcs[0] = 0x1001;
	other = pf_stack_intern(pcs, 3);
	assert_int_not_equal(other, three);
	assert_true(reads_as(two, (uint64_t[]){0x1000, 0x2000}, 2));
	assert_true(reads_as(other, pcs, 3));
}

static void no_frames_at_all_is_a_stack_too(void **state)
{
	const uint64_t *pcs;
	uint32_t id = pf_stack_intern(NULL, 0);

	assert_int_not_equal(id, PF_STACK_OVERFLOW);
	assert_int_equal(pf_stack_read(id, &pcs), 0);
}

static void the_deepest_stack_keeps_its_marker(void **state)
{
	static uint64_t pcs[PF_STACK_DEPTH_MAX + 10];
	uint32_t id;

	for (uint32_t i = 0; i < PF_COUNT(pcs); i++)
		pcs[i] = 0x700000 + i;
	id = pf_stack_intern(pcs, PF_COUNT(pcs));
	assert_true(reads_as(id, pcs, PF_STACK_DEPTH_MAX + 1));
}

static uint32_t ids[THREADS][STACKS];

static void *intern_all(void *arg)
{
	uint32_t *mine = arg;
	uint64_t pcs[PCS_MAX];

	for (uint32_t i = 0; i < STACKS; i++)
		mine[i] = pf_stack_intern(pcs, make(i % DISTINCT, pcs));
	return NULL;
}

static void threads_that_bring_the_same_get_the_same(void **state)
{
	pthread_t threads[THREADS];
	uint64_t pcs[PCS_MAX];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, intern_all, ids[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < STACKS; i++) {
		for (int t = 0; t < THREADS; t++)
			assert_int_equal(ids[t][i], ids[0][i % DISTINCT]);
		assert_true(reads_as(ids[0][i], pcs, make(i % DISTINCT, pcs)));
	}
}

/* Last: after it the book is full. */
static void a_full_book_says_so_and_counts(void **state)
{
	uint64_t pcs[PF_STACK_DEPTH_MAX], lost = pf_counter_get(PF_COUNTER_STACK_OVERFLOW);
	uint32_t id = 1, first = pf_stack_intern((uint64_t[]){0x1000, 0x2000, 0x3000}, 3);
	const uint64_t *got;
	size_t bytes, count;

	for (uint32_t i = 0; i < PF_STACK_DEPTH_MAX; i++)
		pcs[i] = 0x900000 + i;
	for (uint64_t n = 0; id != PF_STACK_OVERFLOW; n++) {
		pcs[0] = n << 32;
		id = pf_stack_intern(pcs, PF_STACK_DEPTH_MAX);
	}
	assert_true(pf_counter_get(PF_COUNTER_STACK_OVERFLOW) == lost + 1);
	assert_int_equal(pf_stack_read(PF_STACK_OVERFLOW, &got), 1);
	assert_true(got[0] == PF_PC_STACK_STORE_FULL);
	pf_stack_usage(&bytes, &count);
	assert_true(bytes <= 128u << 20);
#ifndef PF_SMALL
	assert_true(bytes >= 100000u * 102 * sizeof(uint64_t)); /* 100,000 stacks of 100 frames */
#endif
	/* What is in it stays found. */
	assert_int_equal(pf_stack_intern((uint64_t[]){0x1000, 0x2000, 0x3000}, 3), first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_pcs_give_same_id),
	    cmocka_unit_test(a_longer_a_shorter_and_another_stack_have_their_own),
	    cmocka_unit_test(no_frames_at_all_is_a_stack_too),
	    cmocka_unit_test(the_deepest_stack_keeps_its_marker),
	    cmocka_unit_test(threads_that_bring_the_same_get_the_same),
	    cmocka_unit_test(a_full_book_says_so_and_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
