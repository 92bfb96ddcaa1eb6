/* Blocks that change their size: in place, elsewhere, to nothing, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sampler/heap_draw.h"
#include "tests/unit/sampler_heap/rate_1.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void a_block_that_stays_keeps_its_stack_and_gets_its_new_size(void **state)
{
	char *at, *to;

	fake_stack(10);
	at = malloc(996);
	fake_stack(11);
	to = realloc(at, 993);
	assert_ptr_equal(to, at);
	ASSERT_SUMS(10, 1, 996, 1, 993);
	to = realloc(at, 1000);
	fake_stack(0);
	assert_ptr_equal(to, at);
	ASSERT_SUMS(10, 1, 1003, 1, 1000);
	ASSERT_SUMS(11, 0, 0, 0, 0);
	free(at);
	ASSERT_SUMS(10, 1, 1003, 0, 0);
}

static void a_block_that_moves_belongs_to_who_moved_it(void **state)
{
	char *at, *wall, *to;

	fake_stack(12);
	at = malloc(1000);
	fake_stack(0);
	wall = malloc(1000);
	memset(at, 'x', 1000);
	fake_stack(13);
	to = realloc(at, 100000);
	fake_stack(0);
	assert_ptr_not_equal(to, at);
	assert_int_equal(to[999], 'x');
	ASSERT_SUMS(12, 1, 1000, 0, 0);
	ASSERT_SUMS(13, 1, 100000, 1, 100000);
	free(to);
	free(wall);
	ASSERT_SUMS(13, 1, 100000, 0, 0);
}

static void realloc_of_nothing_is_malloc_and_to_nothing_is_free(void **state)
{
	void *at;

	fake_stack(14);
	at = realloc(NULL, 50);
	ASSERT_SUMS(14, 1, 50, 1, 50);
	at = realloc(at, 0);
	fake_stack(0);
	/* mimalloc gives an empty block instead. */
	assert_int_equal(sums_of(14).live_bytes, 0);
	assert_int_equal(sums_of(14).live_objects, at != NULL);
	free(at);
	assert_int_equal(sums_of(14).live_objects, 0);
}

static void a_realloc_that_fails_changes_nothing(void **state)
{
	volatile size_t far_too_much = (size_t)1 << 62;
	char *volatile at;

	fake_stack(15);
	at = malloc(500);
	fake_stack(16);
	assert_null(realloc(at, far_too_much));
	assert_null(reallocarray(at, far_too_much, far_too_much));
	fake_stack(0);
	ASSERT_SUMS(15, 1, 500, 1, 500);
	ASSERT_SUMS(16, 0, 0, 0, 0);
	free(at);
	ASSERT_SUMS(15, 1, 500, 0, 0);
}

/* With room for a little more, but not for what is asked. */
static void a_realloc_that_hits_the_limit_changes_nothing(void **state)
{
	struct rlimit was, tight;
	char *volatile at;
	void *to;
	int error;

	fake_stack(18);
	at = malloc(1 << 20);
	fake_stack(19);
	getrlimit(RLIMIT_AS, &was);
	tight = was;
	tight.rlim_cur = 1 << 20;
	setrlimit(RLIMIT_AS, &tight);
	errno = 0;
	to = realloc(at, 1 << 30);
	error = errno;
	setrlimit(RLIMIT_AS, &was);
	fake_stack(0);
	assert_null(to);
	assert_int_equal(error, ENOMEM);
	ASSERT_SUMS(18, 1, 1 << 20, 1, 1 << 20);
	ASSERT_SUMS(19, 0, 0, 0, 0);
	free(at);
	ASSERT_SUMS(18, 1, 1 << 20, 0, 0);
}

/* Blocks of one stack that are now and then resized, a little or much, in place or not: what is in
 * use must come out right although only few are sampled. Each is sampled with at least the
 * probability of a quarter less than its size; five standard errors of that do not come by chance. */
static void resized_blocks_are_estimated_without_bias(void **state)
{
	enum { BLOCKS = 4000, RATE = 8192 };
	static char *blocks[BLOCKS];
	static size_t sizes[BLOCKS];
	uint32_t random = 12345;
	double truth = 0, variance = 0;

	disable(NULL);
	pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, RATE);
	assert_int_equal(pf_heap_enable(true), 0);
	pf_draw_start(99);
	fake_stack(31);
	for (int step = 0; step < 12; step++)
		for (int i = 0; i < BLOCKS; i++) {
			random = random * 1664525 + 1013904223;
			sizes[i] = random & 0x10000 ? sizes[i] + (random >> 24)
						    : sizes[i] / 2 + (random >> 20);
			blocks[i] = realloc(blocks[i], sizes[i] + 1);
		}
	fake_stack(0);
	for (int i = 0; i < BLOCKS; i++) {
		double size = (double)sizes[i] + 1, p = -expm1(-0.75 * size / RATE);

		truth += size;
		variance += size * size * (1 - p) / p;
	}
	assert_true(fabs((double)sums_of(31).live_bytes - truth) < 5 * sqrt(variance));
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	assert_int_equal(sums_of(31).live_objects, 0);
	assert_int_equal(sums_of(31).live_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    AT_RATE_1(a_block_that_stays_keeps_its_stack_and_gets_its_new_size),
	    AT_RATE_1(a_block_that_moves_belongs_to_who_moved_it),
	    AT_RATE_1(realloc_of_nothing_is_malloc_and_to_nothing_is_free),
	    AT_RATE_1(a_realloc_that_fails_changes_nothing),
	    AT_RATE_1(a_realloc_that_hits_the_limit_changes_nothing),
	    AT_RATE_1(resized_blocks_are_estimated_without_bias),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
