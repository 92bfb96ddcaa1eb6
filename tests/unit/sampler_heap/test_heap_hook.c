/* The hooks, at rate 1, where every number is exact. This program's own calls lead through its own
 * slots to the library under test; what cmocka allocates has stack 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"
#include "base/knob.h"
#include "sampler/heap.h"
#include "sampler/heap_live.h"
#include "tests/unit/sampler_heap/fake.h"
#include "tests/unit/sampler_heap/sums.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int enable_at_rate_1(void **state)
{
	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 1), 0);
	return pf_heap_enable(true);
}

static int disable(void **state)
{
	fake_stack(0);
	return pf_heap_enable(false);
}

/* Allocated objects and bytes, then those in use. */
#define ASSERT_SUMS(stack_id, n, bytes, live_n, live_bytes_now)                                    \
	do {                                                                                       \
		struct sums is = sums_of(stack_id);                                                \
                                                                                                   \
		assert_int_equal(is.alloc_objects, n);                                             \
		assert_int_equal(is.alloc_bytes, bytes);                                           \
		assert_int_equal(is.live_objects, live_n);                                         \
		assert_int_equal(is.live_bytes, live_bytes_now);                                   \
	} while (0)

static void two_leaking_sites_are_accounted_for_to_the_byte(void **state)
{
	static void *blocks[2][1000];

	for (int i = 0; i < 1000; i++) {
		fake_stack(1);
		blocks[0][i] = malloc(1024);
		fake_stack(2);
		blocks[1][i] = calloc(3, 11);
	}
	fake_stack(0);
	ASSERT_SUMS(1, 1000, 1024000, 1000, 1024000);
	ASSERT_SUMS(2, 1000, 33000, 1000, 33000);
	for (int i = 0; i < 1000; i += 2)
		free(blocks[0][i]);
	ASSERT_SUMS(1, 1000, 1024000, 500, 512000);
	for (int i = 1; i < 1000; i += 2)
		free(blocks[0][i]);
	for (int i = 0; i < 1000; i++)
		free(blocks[1][i]);
	ASSERT_SUMS(1, 1000, 1024000, 0, 0);
	ASSERT_SUMS(2, 1000, 33000, 0, 0);
}

static void every_function_of_the_family_is_seen(void **state)
{
	void *at[8] = {0};
	int64_t bytes = 100 + 200 + 300 + 64 + 128 + 5000 + 6000 + 700;

	fake_stack(3);
	at[0] = malloc(100);
	at[1] = calloc(2, 100);
	assert_int_equal(posix_memalign(&at[2], 64, 300), 0);
	at[3] = aligned_alloc(64, 64);
	at[4] = memalign(32, 128);
	at[5] = valloc(5000);
	at[6] = pvalloc(6000);
	at[7] = reallocarray(NULL, 7, 100);
	fake_stack(0);
	ASSERT_SUMS(3, 8, bytes, 8, bytes);
	assert_int_equal((uintptr_t)at[2] % 64, 0);
	assert_int_equal((uintptr_t)at[5] % 4096, 0);
	for (int i = 0; i < 8; i++)
		free(at[i]);
	ASSERT_SUMS(3, 8, bytes, 0, 0);
}

static void what_libc_allocates_for_the_program_is_seen(void **state)
{
	char *copy, *line = NULL;
	size_t size = 0;
	FILE *file = fmemopen((char[]){" a line\n"}, 8, "r");

	fgetc(file); /* its buffer is not ours to count */
	fake_stack(4);
	copy = strdup("sixteen letters.");
	assert_true(getline(&line, &size, file) == 7);
	fake_stack(0);
	assert_int_equal(sums_of(4).live_objects, 2);
	assert_int_equal(sums_of(4).live_bytes, 17 + (int64_t)size);
	free(copy);
	free(line);
	fclose(file);
	assert_int_equal(sums_of(4).live_objects, 0);
}

static void an_empty_block_is_an_object_of_no_bytes(void **state)
{
	void *at;

	fake_stack(5);
	at = malloc(0);
	fake_stack(0);
	ASSERT_SUMS(5, 1, 0, 1, 0);
	free(at);
	ASSERT_SUMS(5, 1, 0, 0, 0);
}

static void a_table_of_functions_is_reached(void **state)
{
	static struct {
		void *(*allocate)(size_t);
		void (*give_back)(void *);
	} volatile table = {malloc, free};
	void *at;

	fake_stack(6);
	at = table.allocate(77);
	fake_stack(0);
	ASSERT_SUMS(6, 1, 77, 1, 77);
	table.give_back(at);
	ASSERT_SUMS(6, 1, 77, 0, 0);
}

/* ---- realloc ---- */

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
	assert_null(realloc(at, 0));
	fake_stack(0);
	ASSERT_SUMS(14, 1, 50, 0, 0);
}

static void a_realloc_that_fails_changes_nothing(void **state)
{
	volatile size_t far_too_much = (size_t)1 << 46;
	char *volatile at;

	fake_stack(15);
	at = malloc(500);
	fake_stack(16);
	errno = 0;
	assert_null(realloc(at, far_too_much));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(reallocarray(at, far_too_much, far_too_much));
	assert_int_equal(errno, ENOMEM);
	fake_stack(0);
	ASSERT_SUMS(15, 1, 500, 1, 500);
	ASSERT_SUMS(16, 0, 0, 0, 0);
	free(at);
	ASSERT_SUMS(15, 1, 500, 0, 0);
}

static void what_cannot_be_had_is_not_counted(void **state)
{
	volatile size_t far_too_much = (size_t)1 << 46;
	void *at = NULL;

	fake_stack(17);
	errno = 0;
	assert_null(malloc(far_too_much));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(calloc(far_too_much, far_too_much));
	assert_int_equal(errno, ENOMEM);
	assert_null(malloc(SIZE_MAX - far_too_much));
	assert_int_equal(posix_memalign(&at, 3, 10), EINVAL);
	fake_stack(0);
	ASSERT_SUMS(17, 0, 0, 0, 0);
}

/* ---- many ---- */

enum { THREADS = 8, ROUNDS = 20000, SLOTS = 512 };
static void *shared[SLOTS]; /* atomic: blocks that any thread may take and free */

static void *allocate_and_pass_on(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	uint32_t random = id * 2654435761u + 1;

	fake_stack(20 + id);
	for (int i = 0; i < ROUNDS; i++) {
		random = random * 1664525 + 1013904223;
		free(__atomic_exchange_n(
		    &shared[random >> 8 & (SLOTS - 1)], malloc(100 + id), __ATOMIC_ACQ_REL));
	}
	fake_stack(0);
	return NULL;
}

static void threads_that_free_each_others_blocks_are_accounted_for(void **state)
{
	uint64_t missed = pf_counter_get(PF_COUNTER_HEAP_MISSED_FREES);
	pthread_t threads[THREADS];
	int64_t live = 0;

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, allocate_and_pass_on, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		struct sums is = sums_of(20 + i);

		assert_int_equal(is.alloc_objects, ROUNDS);
		assert_int_equal(is.alloc_bytes, ROUNDS * (100 + i));
		assert_int_equal(is.live_bytes, is.live_objects * (100 + i));
		live += is.live_objects;
	}
	for (int i = 0; i < SLOTS; i++) {
		live -= shared[i] != NULL;
		free(shared[i]);
		shared[i] = NULL;
	}
	assert_int_equal(live, 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(sums_of(20 + i).live_objects, 0);
	assert_int_equal(pf_counter_get(PF_COUNTER_HEAP_MISSED_FREES), missed);
}

static void ten_million_pairs_leave_nothing_behind(void **state)
{
	uint64_t before;

	fake_stack(30);
	before = pf_live_count();
	for (int i = 0; i < 5000000; i++) {
		void *volatile at = malloc((size_t)i % 700);

		free(at);
	}
	pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 524288);
	for (int i = 0; i < 5000000; i++) {
		void *volatile at = malloc((size_t)i % 700);

		free(at);
	}
	fake_stack(0);
	assert_int_equal(pf_live_count(), before);
	assert_int_equal(sums_of(30).live_objects, 0);
	assert_int_equal(sums_of(30).live_bytes, 0);
}

/* ---- on and off ---- */

static void blocks_older_than_the_profile_are_no_matter(void **state)
{
	char *older[3];

	for (int i = 0; i < 3; i++)
		older[i] = malloc(100);
	assert_int_equal(enable_at_rate_1(NULL), 0);
	fake_stack(40);
	free(older[0]);
	older[1] = realloc(older[1], 100000);
	fake_stack(0);
	ASSERT_SUMS(40, 1, 100000, 1, 100000);
	free(older[1]);
	free(older[2]);
	ASSERT_SUMS(40, 1, 100000, 0, 0);
	disable(NULL);
}

static void switched_on_again_it_starts_afresh(void **state)
{
	char *first, *second;

	assert_int_equal(enable_at_rate_1(NULL), 0);
	fake_stack(41);
	first = malloc(100);
	disable(NULL);
	fake_stack(41);
	second = malloc(200);
	assert_int_equal(enable_at_rate_1(NULL), 0);
	fake_stack(0);
	ASSERT_SUMS(41, 0, 0, 0, 0);
	free(first);
	free(second);
	ASSERT_SUMS(41, 0, 0, 0, 0);
	disable(NULL);
}

/* Threads count down from a larger rate; at rate 1 not one block may be missed for that. */
static void rate_1_is_exact_at_once(void **state)
{
	void *at;

	pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 1 << 30);
	assert_int_equal(pf_heap_enable(true), 0);
	free(malloc(10));
	pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 1);
	fake_stack(42);
	at = malloc(10);
	fake_stack(0);
	ASSERT_SUMS(42, 1, 10, 1, 10);
	free(at);
	disable(NULL);
}

static void at_rate_0_nothing_is_sampled(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_HEAP_SAMPLES);

	pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 0);
	assert_int_equal(pf_heap_enable(true), 0);
	for (int i = 0; i < 10000; i++)
		free(malloc(100000));
	assert_int_equal(pf_counter_get(PF_COUNTER_HEAP_SAMPLES), before);
	disable(NULL);
}

/* The child's own allocations and frees touch nothing, and it may start a profile of its own. */
static void a_forked_child_passes_through_and_may_start_anew(void **state)
{
	void *at;
	int status;
	pid_t child;

	fake_stack(43);
	at = malloc(100);
	child = fork();
	if (child == 0) {
		pf_heap_fork_child();
		free(at);
		at = malloc(300);
		if (sums_of(43).live_bytes != 100 || enable_at_rate_1(NULL) != 0)
			_exit(1);
		fake_stack(44);
		at = malloc(400);
		_exit(sums_of(44).live_bytes == 400 && sums_of(43).live_bytes == 0 ? 0 : 2);
	}
	fake_stack(0);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	ASSERT_SUMS(43, 1, 100, 1, 100);
	free(at);
}

int main(void)
{
#define AT_RATE_1(test) cmocka_unit_test_setup_teardown(test, enable_at_rate_1, disable)
	const struct CMUnitTest tests[] = {
	    AT_RATE_1(two_leaking_sites_are_accounted_for_to_the_byte),
	    AT_RATE_1(every_function_of_the_family_is_seen),
	    AT_RATE_1(what_libc_allocates_for_the_program_is_seen),
	    AT_RATE_1(an_empty_block_is_an_object_of_no_bytes),
	    AT_RATE_1(a_table_of_functions_is_reached),
	    AT_RATE_1(a_block_that_stays_keeps_its_stack_and_gets_its_new_size),
	    AT_RATE_1(a_block_that_moves_belongs_to_who_moved_it),
	    AT_RATE_1(realloc_of_nothing_is_malloc_and_to_nothing_is_free),
	    AT_RATE_1(a_realloc_that_fails_changes_nothing),
	    AT_RATE_1(what_cannot_be_had_is_not_counted),
	    AT_RATE_1(threads_that_free_each_others_blocks_are_accounted_for),
	    AT_RATE_1(ten_million_pairs_leave_nothing_behind),
	    cmocka_unit_test(blocks_older_than_the_profile_are_no_matter),
	    cmocka_unit_test(switched_on_again_it_starts_afresh),
	    cmocka_unit_test(rate_1_is_exact_at_once),
	    cmocka_unit_test(at_rate_0_nothing_is_sampled),
	    AT_RATE_1(a_forked_child_passes_through_and_may_start_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
