/* Many threads and many blocks; on, off and on again while they are at work; across fork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"
#include "sampler/heap_book.h"
#include "sampler/heap_live.h"
#include "tests/unit/sampler_heap/rate_1.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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

static bool stop; /* atomic */

static void *allocate_until_stopped(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		char *at = malloc(100);

		at = realloc(at, 200);
		free(__atomic_exchange_n(&shared[(uintptr_t)arg], at, __ATOMIC_ACQ_REL));
	}
	return NULL;
}

/* Whoever is inside while it is switched off must neither break nor leave anything behind. */
static void switching_under_load_is_harmless(void **state)
{
	pthread_t threads[THREADS];

	stop = false;
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, allocate_until_stopped, (void *)(i / 2));
	for (int i = 0; i < 200; i++) {
		pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, i % 3 ? 1 : 4096);
		assert_int_equal(pf_heap_enable(true), 0);
		usleep(1000);
		assert_int_equal(pf_heap_enable(false), 0);
		assert_false(pf_book_is_open());
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		free(__atomic_exchange_n(&shared[i], NULL, __ATOMIC_ACQ_REL));
	assert_int_equal(enable_at_rate_1(NULL), 0);
	assert_int_equal(sums_of(0).live_objects, 0);
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
		pf_heap_fork_child(false);
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

/* The block is in the child's memory, too: it is in use there until the child frees it. */
static void a_forked_child_that_stays_knows_the_blocks_of_its_parent(void **state)
{
	void *kept;
	void *at;
	int status;
	pid_t child;

	fake_stack(45);
	at = malloc(100);
	child = fork();
	if (child == 0) {
		pf_heap_fork_child(true);
		if (!pf_heap_enabled() || sums_of(45).live_bytes != 100)
			_exit(1);
		fake_stack(46);
		kept = malloc(300);
		free(at);
		_exit(kept && sums_of(46).live_bytes == 300 && sums_of(45).live_bytes == 0 ? 0 : 2);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	ASSERT_SUMS(45, 1, 100, 1, 100);
	free(at);
	fake_stack(0);
}

static void switched_off_it_stays_off_in_a_forked_child(void **state)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		pf_heap_fork_child(true);
		_exit(pf_heap_enabled() || pf_book_is_open() ? 1 : 0);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    AT_RATE_1(threads_that_free_each_others_blocks_are_accounted_for),
	    AT_RATE_1(ten_million_pairs_leave_nothing_behind),
	    cmocka_unit_test(blocks_older_than_the_profile_are_no_matter),
	    cmocka_unit_test(switched_on_again_it_starts_afresh),
	    cmocka_unit_test(rate_1_is_exact_at_once),
	    cmocka_unit_test(at_rate_0_nothing_is_sampled),
	    cmocka_unit_test(switching_under_load_is_harmless),
	    AT_RATE_1(a_forked_child_passes_through_and_may_start_anew),
	    AT_RATE_1(a_forked_child_that_stays_knows_the_blocks_of_its_parent),
	    cmocka_unit_test(switched_off_it_stays_off_in_a_forked_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
