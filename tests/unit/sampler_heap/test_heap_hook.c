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
#include "sampler/heap_book.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_live.h"
#include "tests/unit/sampler_heap/fake.h"
#include "tests/unit/sampler_heap/sums.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

/* jemalloc has no pvalloc, so the program gets glibc's, and may not free what it gave. */
static bool has_its_own(const char *symbol)
{
	Dl_info its, malloc_s;

	dladdr(dlsym(RTLD_DEFAULT, symbol), &its);
	dladdr(dlsym(RTLD_DEFAULT, "malloc"), &malloc_s);
	return its.dli_fbase == malloc_s.dli_fbase;
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
	at[6] = has_its_own("pvalloc") ? pvalloc(6000) : malloc(6000);
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

enum { HOPELESS = 6 };

/* What errno is after calls that must fail. */
static void ask_for_too_much(int errnos[HOPELESS])
{
	volatile size_t far_too_much = (size_t)1 << 62;
	void *at = NULL;
	int n = 0;

#define TRY(call)                                                                                  \
	do {                                                                                       \
		errno = 77;                                                                        \
		assert_true((call));                                                               \
		errnos[n++] = errno;                                                               \
	} while (0)

	TRY(!malloc(far_too_much));
	TRY(!malloc(SIZE_MAX - far_too_much));
	TRY(!calloc(far_too_much, far_too_much));
	TRY(!realloc(NULL, far_too_much));
	TRY(!reallocarray(NULL, far_too_much, far_too_much));
	TRY(posix_memalign(&at, 3, 10) == EINVAL);
}

static void what_cannot_be_had_is_not_counted_and_errno_is_the_allocators(void **state)
{
	int plain[HOPELESS], hooked[HOPELESS];

	disable(NULL);
	ask_for_too_much(plain);
	enable_at_rate_1(NULL);
	fake_stack(17);
	ask_for_too_much(hooked);
	fake_stack(0);
	ASSERT_SUMS(17, 0, 0, 0, 0);
	assert_memory_equal(hooked, plain, sizeof(plain));
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

/* ---- operator new, and jemalloc's own functions ---- */

void *_Znwm(size_t size);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);
void _ZdlPvm(void *at, size_t size);
void _ZdaPvSt11align_val_t(void *at, size_t align);

/* libstdc++'s ends in malloc, an allocator's own does not: counted once in either case. */
static void operator_new_is_counted_once(void **state)
{
	void *one, *aligned;

	fake_stack(32);
	one = _Znwm(100);
	aligned = _ZnamSt11align_val_tRKSt9nothrow_t(256, 64, "");
	fake_stack(0);
	assert_int_equal(sums_of(32).live_objects, 2);
	assert_true(sums_of(32).live_bytes >= 356 && sums_of(32).live_bytes < 356 + 64);
	_ZdlPvm(one, 100);
	_ZdaPvSt11align_val_t(aligned, 64);
	assert_int_equal(sums_of(32).live_objects, 0);
}

void *mallocx(size_t size, int flags) __attribute__((weak));
void *rallocx(void *at, size_t size, int flags) __attribute__((weak));
void sdallocx(void *at, size_t size, int flags) __attribute__((weak));

static void jemallocs_own_functions_are_seen_where_they_are(void **state)
{
	void *at;

	if (!mallocx)
		return;
	fake_stack(33);
	at = mallocx(100, 0);
	at = rallocx(at, 200000, 0);
	fake_stack(0);
	ASSERT_SUMS(33, 2, 200100, 1, 200000);
	sdallocx(at, 200000, 0);
	ASSERT_SUMS(33, 2, 200100, 0, 0);
}

/* Opened with RTLD_DEEPBIND, it has malloc and free of its own; free is not bound yet. Were it
 * pointed at ours, glibc would be asked to free what is not on its heap. */
static void a_module_with_its_own_malloc_keeps_its_own_free(void **state)
{
	void *module, *at, *(*allocate)(size_t);
	void (*give_back)(void *);
	int *frees;

	disable(NULL);
	module = dlopen("libheap_module_bound.so", RTLD_LAZY | RTLD_DEEPBIND);
	assert_non_null(module);
	allocate = (void *(*)(size_t))dlsym(module, "module_malloc");
	give_back = (void (*)(void *))dlsym(module, "module_free");
	frees = dlsym(module, "own_frees");
	at = allocate(10);
	enable_at_rate_1(NULL);
	give_back(at);
	assert_int_equal(*frees, 1);
	fake_stack(34);
	give_back(allocate(10));
	fake_stack(0);
	assert_int_equal(*frees, 2);
	ASSERT_SUMS(34, 0, 0, 0, 0);
	dlclose(module);
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
	    AT_RATE_1(a_realloc_that_hits_the_limit_changes_nothing),
	    AT_RATE_1(what_cannot_be_had_is_not_counted_and_errno_is_the_allocators),
	    AT_RATE_1(threads_that_free_each_others_blocks_are_accounted_for),
	    AT_RATE_1(ten_million_pairs_leave_nothing_behind),
	    AT_RATE_1(resized_blocks_are_estimated_without_bias),
	    AT_RATE_1(operator_new_is_counted_once),
	    AT_RATE_1(jemallocs_own_functions_are_seen_where_they_are),
	    AT_RATE_1(a_module_with_its_own_malloc_keeps_its_own_free),
	    cmocka_unit_test(blocks_older_than_the_profile_are_no_matter),
	    cmocka_unit_test(switched_on_again_it_starts_afresh),
	    cmocka_unit_test(rate_1_is_exact_at_once),
	    cmocka_unit_test(at_rate_0_nothing_is_sampled),
	    cmocka_unit_test(switching_under_load_is_harmless),
	    AT_RATE_1(a_forked_child_passes_through_and_may_start_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
