#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"

#include <malloc.h>
#include <stdbool.h>
#include <string.h>

enum { LARGE = 1 << 20 };

static bool is_zero(const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i])
			return false;
	return true;
}

static void it_is_zeroed_and_all_ours_to_write(void **state)
{
	static const size_t sizes[] = {
	    0, 1, 15, 500, 1000, 1008, 1024, 16000, 16368, 16384, 20000, LARGE};

	for (int round = 0; round < 2;
	     round++) /* what malloc hands out again is not zero by itself */
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			char *block = pf_memory_new(sizes[i], 1);

			assert_non_null(block);
			assert_int_equal((uintptr_t)block % 16, 0);
			assert_true(is_zero(block, sizes[i]));
			memset(block, 0xa5, sizes[i]);
			pf_memory_free(block);
		}
}

static void what_cannot_be_is_refused(void **state)
{
	int64_t before = pf_memory_held_bytes();

	assert_null(pf_memory_new(SIZE_MAX / 2, 3));
	assert_null(pf_memory_new(1, SIZE_MAX - 8));
	assert_null(pf_memory_new(SIZE_MAX / 4096, 2048));
	pf_memory_free(NULL);
	assert_int_equal(pf_memory_held_bytes(), before);
}

static void what_it_holds_is_counted(void **state)
{
	int64_t before = pf_memory_held_bytes();
	void *small = pf_memory_new(10, 10), *large = pf_memory_new(LARGE, 1);
	char *grown = pf_memory_resize(NULL, 0, 100);

	assert_in_range(pf_memory_held_bytes() - before, 200 + LARGE, 200 + LARGE + 64);
	memset(grown, 'x', 100);
	grown = pf_memory_resize(grown, 100, LARGE);
	grown = pf_memory_resize(grown, LARGE, 3 * LARGE);
	assert_int_equal(strspn(grown, "x"), 100);
	assert_in_range(pf_memory_held_bytes() - before, 100 + 4 * LARGE, 100 + 4 * LARGE + 64);
	pf_memory_release(grown, 3 * LARGE);
	pf_memory_free(large);
	pf_memory_free(small);
	assert_int_equal(pf_memory_held_bytes(), before);
}

#ifndef __SANITIZE_ADDRESS__
static void malloc_never_sees_large_ones(void **state)
{
	struct mallinfo2 before = mallinfo2(), now;
	void *large = pf_memory_new(LARGE, 1);

	now = mallinfo2();
	assert_int_equal(now.uordblks, before.uordblks);
	assert_int_equal(now.hblks, before.hblks);
	pf_memory_free(large);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_zeroed_and_all_ours_to_write),
	    cmocka_unit_test(what_cannot_be_is_refused),
	    cmocka_unit_test(what_it_holds_is_counted),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(malloc_never_sees_large_ones),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
