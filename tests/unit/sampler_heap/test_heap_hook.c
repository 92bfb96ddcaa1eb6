/* The hooks, at rate 1: every function of the family, and jemalloc's and tcmalloc's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sampler_heap/rate_1.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* libc's calls realloc, by a slot of its own that is bound the first time. */
static void a_resized_array_is_counted_once(void **state)
{
	char *at;

	for (int i = 0; i < 3; i++) {
		at = reallocarray(NULL, 3, 10);
		usleep(1000);
		assert_int_equal(disable(NULL), 0);
		free(at);
		assert_int_equal(enable_at_rate_1(NULL), 0);
	}
	fake_stack(39);
	at = reallocarray(NULL, 7, 100);
	ASSERT_SUMS(39, 1, 700, 1, 700);
	at = reallocarray(at, 7, 100000);
	fake_stack(0);
	ASSERT_SUMS(39, 2, 700700, 1, 700000);
	free(at);
	ASSERT_SUMS(39, 2, 700700, 0, 0);
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

/* ---- what cannot be had ---- */

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

	assert_non_null(mallocx);
	fake_stack(33);
	at = mallocx(100, 0);
	at = rallocx(at, 200000, 0);
	fake_stack(0);
	ASSERT_SUMS(33, 2, 200100, 1, 200000);
	sdallocx(at, 200000, 0);
	ASSERT_SUMS(33, 2, 200100, 0, 0);
}

size_t xallocx(void *at, size_t size, size_t extra, int flags) __attribute__((weak));
void dallocx(void *at, int flags) __attribute__((weak));

/* jemalloc gives whole classes: what it says it has is what counts, up to what was asked for. */
static void jemalloc_resizes_where_a_block_is(void **state)
{
	size_t has;
	void *at;

	assert_non_null(xallocx);
	fake_stack(35);
	at = mallocx(5 << 20, 0);
	has = xallocx(at, 4 << 20, 0, 0); /* smaller: that it can */
	assert_int_equal(has, 4 << 20);
	assert_int_equal(sums_of(35).live_bytes, 4 << 20);
	has = xallocx(at, (size_t)1 << 62, 0, 0); /* that it cannot */
	fake_stack(0);
	assert_int_equal(has, 4 << 20);
	assert_int_equal(sums_of(35).live_bytes, 4 << 20);
	assert_int_equal(sums_of(35).live_objects, 1);
	dallocx(at, 0);
	assert_int_equal(sums_of(35).live_bytes, 0);
}

#define WEAK __attribute__((weak))
void *tc_malloc(size_t size) WEAK;
void *tc_calloc(size_t count, size_t size) WEAK;
void *tc_realloc(void *at, size_t size) WEAK;
void *tc_memalign(size_t align, size_t size) WEAK;
int tc_posix_memalign(void **out, size_t align, size_t size) WEAK;
void *tc_new(size_t size) WEAK;
void *tc_newarray(size_t size) WEAK;
void tc_free(void *at) WEAK;
void tc_free_sized(void *at, size_t size) WEAK;
void tc_delete(void *at) WEAK;
void tc_deletearray_sized(void *at, size_t size) WEAK;

static void tcmallocs_own_functions_are_seen_where_they_are(void **state)
{
	void *at[6];

	assert_non_null(tc_malloc);
	fake_stack(36);
	at[0] = tc_malloc(100);
	at[1] = tc_calloc(2, 100);
	at[2] = tc_memalign(64, 300);
	assert_int_equal(tc_posix_memalign(&at[3], 64, 400), 0);
	at[4] = tc_new(500);
	at[5] = tc_newarray(600);
	ASSERT_SUMS(36, 6, 2100, 6, 2100);
	at[0] = tc_realloc(at[0], 100000);
	fake_stack(0);
	ASSERT_SUMS(36, 7, 102100, 6, 102000);
	tc_free(at[0]);
	tc_free_sized(at[1], 200);
	tc_free(at[2]);
	tc_free(at[3]);
	tc_delete(at[4]);
	tc_deletearray_sized(at[5], 600);
	ASSERT_SUMS(36, 7, 102100, 0, 0);
}

/* C23, which this libc may not have: a library of this test does (c23.c). */
void free_sized(void *at, size_t size);
void free_aligned_sized(void *at, size_t align, size_t size);

static void sized_frees_are_seen(void **state)
{
	void *one, *aligned;

	fake_stack(38);
	one = malloc(100);
	aligned = aligned_alloc(64, 128);
	fake_stack(0);
	ASSERT_SUMS(38, 2, 228, 2, 228);
	free_sized(one, 100);
	ASSERT_SUMS(38, 2, 228, 1, 128);
	free_aligned_sized(aligned, 64, 128);
	ASSERT_SUMS(38, 2, 228, 0, 0);
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

/* Has the test been told to run over this library? Then it must be there: a preload that is not
 * found is but a warning of the loader's. */
static bool is_over(const char *library)
{
	const char *preload = getenv("LD_PRELOAD");

	return !library || (preload && strstr(preload, library));
}

int main(void)
{
	static const char jemalloc[] = "libjemalloc", tcmalloc[] = "libtcmalloc";
	static const struct {
		const char *library; /* whose own functions it calls */
		struct CMUnitTest test;
	} all[] = {
	    {NULL, AT_RATE_1(two_leaking_sites_are_accounted_for_to_the_byte)},
	    {NULL, AT_RATE_1(every_function_of_the_family_is_seen)},
	    {NULL, AT_RATE_1(a_resized_array_is_counted_once)},
	    {NULL, AT_RATE_1(what_libc_allocates_for_the_program_is_seen)},
	    {NULL, AT_RATE_1(an_empty_block_is_an_object_of_no_bytes)},
	    {NULL, AT_RATE_1(a_table_of_functions_is_reached)},
	    {NULL, AT_RATE_1(what_cannot_be_had_is_not_counted_and_errno_is_the_allocators)},
	    {NULL, AT_RATE_1(operator_new_is_counted_once)},
	    {jemalloc, AT_RATE_1(jemallocs_own_functions_are_seen_where_they_are)},
	    {jemalloc, AT_RATE_1(jemalloc_resizes_where_a_block_is)},
	    {tcmalloc, AT_RATE_1(tcmallocs_own_functions_are_seen_where_they_are)},
	    {NULL, AT_RATE_1(sized_frees_are_seen)},
	    {NULL, AT_RATE_1(a_module_with_its_own_malloc_keeps_its_own_free)},
	};
	struct CMUnitTest tests[sizeof(all) / sizeof(all[0])];
	size_t count = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (is_over(all[i].library))
			tests[count++] = all[i].test;
	return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}
