/* Whose malloc it is. Built several ways (meson.build): as a position independent program, at a
 * fixed address, with a malloc of its own, with AddressSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/feature.h"
#include "base/knob.h"
#include "sampler/heap.h"
#include "sampler/real.h"
#include "tests/unit/sampler_heap/fake.h"
#include "tests/unit/sampler_heap/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* At a fixed address this is the program's own PLT entry, and so is everybody's "malloc". */
static void *(*volatile allocate)(size_t);

static void its_home_is_known(void **state)
{
	assert_int_equal(pf_real_resolve(), 0);
	assert_int_equal(pf_real_home(), EXPECTED_HOME);
}

static void calls_by_pointer_reach_the_real_function(void **state)
{
	void *at;

	pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 1);
	assert_int_equal(pf_heap_enable(true), 0);
	allocate = malloc;
	fake_stack(1);
	at = allocate(100);
	memset(at, 1, 100);
	free(at);
	free(strdup("through libc's slots"));
	fake_stack(0);
	if (EXPECTED_HOME == PF_REAL_HOME_PROGRAM) {
		/* The program's own calls pass no slot: only strdup's is seen. */
		assert_int_equal(sums_of(1).alloc_objects, 1);
	} else {
		assert_int_equal(sums_of(1).alloc_objects, 2);
		assert_int_equal(sums_of(1).live_objects, 0);
	}
	assert_int_equal(pf_heap_enable(false), 0);
}

static void it_is_said_when_calls_are_hidden(void **state)
{
	assert_int_equal(pf_heap_enable(true), 0);
	if (EXPECTED_HOME == PF_REAL_HOME_PROGRAM) {
		assert_int_equal(pf_features[PF_FEATURE_HEAP].state, PF_FEATURE_DEGRADED);
		assert_non_null(strstr(pf_features[PF_FEATURE_HEAP].reason, "own malloc"));
	} else {
		assert_int_equal(pf_features[PF_FEATURE_HEAP].state, PF_FEATURE_OK);
	}
	assert_int_equal(pf_heap_enable(false), 0);
	assert_int_equal(pf_features[PF_FEATURE_HEAP].state, PF_FEATURE_OFF);
}

/* As Rust's tikv-jemallocator names it. */
__attribute__((used)) static void *_rjem_malloc(size_t size)
{
	return malloc(size);
}

static void an_allocator_inside_the_executable_is_said_at_the_first_reading(void **state)
{
	const struct pf_query plain = {.gc = false};
	struct pf_profile p;

	assert_non_null(_rjem_malloc);
	assert_int_equal(pf_heap_enable(true), 0);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &plain, NULL), 0);
	pf_profile_finish(&p);
	assert_int_equal(pf_features[PF_FEATURE_HEAP].state, PF_FEATURE_DEGRADED);
	if (EXPECTED_HOME != PF_REAL_HOME_PROGRAM)
		assert_non_null(strstr(pf_features[PF_FEATURE_HEAP].reason, "jemalloc"));
	assert_int_equal(pf_heap_enable(false), 0);
}

static void a_sanitizers_malloc_is_refused(void **state)
{
	assert_int_equal(pf_heap_enable(true), -EOPNOTSUPP);
	assert_false(pf_heap_enabled());
	assert_int_equal(pf_features[PF_FEATURE_HEAP].state, PF_FEATURE_NONE);
	assert_non_null(strstr(pf_features[PF_FEATURE_HEAP].reason, "AddressSanitizer"));
	free(malloc(10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(its_home_is_known),
	    cmocka_unit_test(calls_by_pointer_reach_the_real_function),
	    cmocka_unit_test(it_is_said_when_calls_are_hidden),
	    cmocka_unit_test(an_allocator_inside_the_executable_is_said_at_the_first_reading),
	};
	const struct CMUnitTest refused[] = {
	    cmocka_unit_test(its_home_is_known),
	    cmocka_unit_test(a_sanitizers_malloc_is_refused),
	};

	if (EXPECTED_HOME == PF_REAL_HOME_SANITIZER)
		return cmocka_run_group_tests(refused, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
