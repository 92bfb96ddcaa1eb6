/* operator new of a library that is not the allocator (own_new.c), at rate 1: by whatever form, over a pool
 * or over malloc, with libstdc++'s forms beside it or without: each block is counted once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sampler_heap/rate_1.h"

#include <stdlib.h>

void *_Znwm(size_t size);
void *_Znam(size_t size);
void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);
void _ZdlPv(void *at);
void _ZdlPvm(void *at, size_t size);
void _ZdaPv(void *at);
void _ZdaPvSt11align_val_t(void *at, size_t align);

/* First of all: libstdc++'s slots are not bound yet. */
static void a_form_of_libstdcxx_is_counted_once_from_its_first_call_on(void **state)
{
	void *array, *quiet;

	fake_stack(1);
	array = _Znam(100);
	quiet = _ZnwmRKSt9nothrow_t(200, "");
	fake_stack(0);
	ASSERT_SUMS(1, 2, 300, 2, 300);
	_ZdaPv(array);
	ASSERT_SUMS(1, 2, 300, 1, 200);
	_ZdlPvm(quiet, 200);
	ASSERT_SUMS(1, 2, 300, 0, 0);
}

static void a_thousand_blocks_are_a_thousand(void **state)
{
	void *blocks[1000];

	fake_stack(2);
	for (int i = 0; i < 1000; i++)
		blocks[i] = _Znwm(1000);
	fake_stack(0);
	ASSERT_SUMS(2, 1000, 1000000, 1000, 1000000);
	for (int i = 0; i < 1000; i += 2)
		_ZdlPv(blocks[i]);
	ASSERT_SUMS(2, 1000, 1000000, 500, 500000);
	for (int i = 1; i < 1000; i += 2)
		_ZdlPvm(blocks[i], 1000);
	ASSERT_SUMS(2, 1000, 1000000, 0, 0);
}

static void aligned_forms_are_counted_once(void **state)
{
	void *at;

	fake_stack(3);
	at = _ZnamSt11align_val_tRKSt9nothrow_t(256, 64, "");
	fake_stack(0);
	assert_int_equal(sums_of(3).alloc_objects, 1);
	assert_int_equal(sums_of(3).live_objects, 1);
	_ZdaPvSt11align_val_t(at, 64);
	assert_int_equal(sums_of(3).live_objects, 0);
}

static void malloc_beside_it_is_what_it_was(void **state)
{
	void *at;

	fake_stack(4);
	at = malloc(100);
	fake_stack(0);
	ASSERT_SUMS(4, 1, 100, 1, 100);
	free(at);
	ASSERT_SUMS(4, 1, 100, 0, 0);
}

static void at_a_rate_it_is_estimated_and_nothing_stays(void **state)
{
	void *at;

	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 4096), 0);
	fake_stack(5);
	for (int i = 0; i < 10000; i++) {
		at = _Znwm(1000);
		_ZdlPvm(at, 1000);
	}
	fake_stack(0);
	/* 10,000,000 in 2,441 samples: a standard deviation of 2 % and a little. */
	assert_in_range(sums_of(5).alloc_bytes, 8500000, 11500000);
	assert_int_equal(sums_of(5).live_objects, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    AT_RATE_1(a_form_of_libstdcxx_is_counted_once_from_its_first_call_on),
	    AT_RATE_1(a_thousand_blocks_are_a_thousand),
	    AT_RATE_1(aligned_forms_are_counted_once),
	    AT_RATE_1(malloc_beside_it_is_what_it_was),
	    AT_RATE_1(at_a_rate_it_is_estimated_and_nothing_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
