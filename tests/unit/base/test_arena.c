#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool all_zero(const unsigned char *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

static void blocks_are_zeroed_aligned_and_apart(void **state)
{
	static unsigned char *blocks[3000];

	for (size_t i = 0; i < 3000; i++) {
		size_t size = i % 100 + 1;

		blocks[i] = pf_arena_take(size);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % 16, 0);
		assert_true(all_zero(blocks[i], size));
		memset(blocks[i], (int)(i % 255 + 1), size);
	}
	for (size_t i = 0; i < 3000; i++)
		for (size_t k = 0; k < i % 100 + 1; k++)
			assert_int_equal(blocks[i][k], i % 255 + 1);
}

static void a_block_larger_than_a_chunk_is_had_all_the_same(void **state)
{
	int64_t before = pf_arena_mapped_bytes();
	unsigned char *big = pf_arena_take(10 << 20);

	assert_non_null(big);
	assert_true(all_zero(big, 10 << 20));
	assert_true(pf_arena_mapped_bytes() - before >= 10 << 20);
}

static void a_mapping_is_counted_until_it_is_given_back(void **state)
{
	int64_t before = pf_arena_mapped_bytes();
	void *at = pf_arena_map(1 << 20);

	assert_non_null(at);
	assert_int_equal((uintptr_t)at % 4096, 0);
	assert_int_equal(pf_arena_mapped_bytes() - before, 1 << 20);
	pf_arena_unmap(at, 1 << 20);
	assert_int_equal(pf_arena_mapped_bytes(), before);
}

static void without_memory_it_is_null_and_errno_is_kept(void **state)
{
	int64_t before = pf_arena_mapped_bytes();

	errno = EXDEV;
	assert_null(pf_arena_map((size_t)1 << 60));
	assert_null(pf_arena_take((size_t)1 << 60));
	assert_int_equal(errno, EXDEV);
	assert_int_equal(pf_arena_mapped_bytes(), before);
}

enum { THREADS = 8, BLOCKS = 4000, SIZE = 48 };

struct taker {
	pthread_t thread;
	uint64_t mark;
	const char *complaint; /* NULL: all was well */
	uint64_t *blocks[BLOCKS];
};

static pthread_barrier_t start;

/* Writes its mark over every block; a block given out twice would show another's. */
static void *take_and_mark(void *arg)
{
	struct taker *me = arg;

	pthread_barrier_wait(&start);
	for (int i = 0; i < BLOCKS; i++) {
		me->blocks[i] = pf_arena_take(SIZE);
		if (!me->blocks[i]) {
			me->complaint = "no memory";
			return NULL;
		}
		for (size_t k = 0; k < SIZE / sizeof(uint64_t); k++) {
			if (me->blocks[i][k] != 0)
				me->complaint = "not zeroed, or somebody else's";
			me->blocks[i][k] = me->mark;
		}
	}
	return NULL;
}

static void eight_threads_never_get_the_same_block(void **state)
{
	struct taker *takers = calloc(THREADS, sizeof(*takers));
	int64_t before = pf_arena_mapped_bytes();

	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		takers[i].mark = 0x1111111111111111ull * (i + 1);
		assert_int_equal(
		    pthread_create(&takers[i].thread, NULL, take_and_mark, &takers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(takers[i].thread, NULL);
		if (takers[i].complaint)
			fail_msg("thread %d: %s", i, takers[i].complaint);
	}
	for (int i = 0; i < THREADS; i++)
		for (int b = 0; b < BLOCKS; b++)
			for (size_t k = 0; k < SIZE / sizeof(uint64_t); k++)
				assert_int_equal(takers[i].blocks[b][k], takers[i].mark);
	/* Chunks that lost the race to be the next one went back. */
	assert_true(pf_arena_mapped_bytes() - before < 2 * THREADS * BLOCKS * SIZE);
	pthread_barrier_destroy(&start);
	free(takers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(blocks_are_zeroed_aligned_and_apart),
	    cmocka_unit_test(a_block_larger_than_a_chunk_is_had_all_the_same),
	    cmocka_unit_test(a_mapping_is_counted_until_it_is_given_back),
	    cmocka_unit_test(without_memory_it_is_null_and_errno_is_kept),
	    cmocka_unit_test(eight_threads_never_get_the_same_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
