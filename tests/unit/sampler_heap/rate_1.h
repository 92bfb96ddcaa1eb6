/* Tests at rate 1, where every number is exact: the program's own calls lead through its own slots to
 * the library under test; what cmocka allocates has stack 0. */
#pragma once
#include "base/knob.h"
#include "sampler/heap.h"
#include "tests/unit/sampler_heap/fake.h"
#include "tests/unit/sampler_heap/sums.h"

static inline int enable_at_rate_1(void **state)
{
	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 1), 0);
	return pf_heap_enable(true);
}

static inline int disable(void **state)
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

#define AT_RATE_1(test) cmocka_unit_test_setup_teardown(test, enable_at_rate_1, disable)
