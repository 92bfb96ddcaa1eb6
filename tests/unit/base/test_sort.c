#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sort.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT_MAX = 20000 };

struct item {
	uint32_t key;
	uint32_t place; /* before */
	char rest[17];  /* a size that is no power of two */
};

static uint32_t chance = 1;

static uint32_t throw_dice(void)
{
	chance = chance * 1664525 + 1013904223;
	return chance >> 8;
}

static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int by_key_of(const void *a, const void *b, void *keys)
{
	uint32_t x = ((const uint32_t *)keys)[*(const uint32_t *)a];
	uint32_t y = ((const uint32_t *)keys)[*(const uint32_t *)b];

	return x < y ? -1 : x > y;
}

/* Equal ones stay as they stood, and nothing of an item is lost. */
static void items_are_sorted_and_equal_ones_stay(void **state)
{
	static const size_t counts[] = {0, 1, 2, 3, 36, 37, 100, 1000, 1001, COUNT_MAX};
	static struct item items[COUNT_MAX];

	for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
		for (uint32_t i = 0; i < counts[c]; i++) {
			items[i] = (struct item){.key = throw_dice() % 300, .place = i};
			memset(items[i].rest, (int)(items[i].key % 251), sizeof(items[i].rest));
		}
		pf_sort(items, counts[c], sizeof(*items), by_key);
		for (size_t i = 0; i < counts[c]; i++)
			for (size_t r = 0; r < sizeof(items[i].rest); r++)
				assert_int_equal(
				    (unsigned char)items[i].rest[r], items[i].key % 251);
		for (size_t i = 1; i < counts[c]; i++) {
			assert_true(items[i - 1].key <= items[i].key);
			if (items[i - 1].key == items[i].key)
				assert_true(items[i - 1].place < items[i].place);
		}
	}
}

static void what_is_passed_on_reaches_the_comparison(void **state)
{
	static uint32_t keys[COUNT_MAX], order[COUNT_MAX];

	for (uint32_t i = 0; i < COUNT_MAX; i++) {
		keys[i] = throw_dice();
		order[i] = i;
	}
	pf_sort_with(order, COUNT_MAX, sizeof(*order), by_key_of, keys);
	for (size_t i = 1; i < COUNT_MAX; i++)
		assert_true(keys[order[i - 1]] <= keys[order[i]]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(items_are_sorted_and_equal_ones_stay),
	    cmocka_unit_test(what_is_passed_on_reaches_the_comparison),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
