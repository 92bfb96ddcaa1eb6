#include "base/buf.h"
#include "render/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool same(const void *items, uint32_t number, const void *key)
{
	return ((const uint64_t *)items)[number] == *(const uint64_t *)key;
}

static uint32_t put(struct pf_index *index, uint64_t *keys, uint64_t key, uint64_t hash)
{
	uint32_t number = pf_index_put(index, hash, same, keys, &key);

	assert_int_not_equal(number, PF_INDEX_FULL);
	keys[number] = key;
	return number;
}

static void numbers_come_in_the_order_of_asking(void **state)
{
	static uint64_t keys[10000];
	struct pf_index index = {0};

	for (uint64_t i = 0; i < 10000; i++)
		assert_int_equal(put(&index, keys, i * 7, pf_hash_number(i * 7)), i);
	for (uint64_t i = 0; i < 10000; i++)
		assert_int_equal(put(&index, keys, i * 7, pf_hash_number(i * 7)), i);
	assert_int_equal(index.count, 10000);
	pf_index_finish(&index);
}

static void keys_of_equal_hash_stay_apart(void **state)
{
	uint64_t keys[200];
	struct pf_index index = {0};

	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(put(&index, keys, i, 1ull << 40), i);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(pf_index_get(&index, 1ull << 40, same, keys, &i), i);
	pf_index_finish(&index);
}

static void an_unknown_key_has_no_number(void **state)
{
	uint64_t keys[1] = {0};
	struct pf_index index = {0};
	uint64_t other = 2;

	assert_int_equal(pf_index_get(&index, 0, same, keys, &other), PF_INDEX_FULL);
	put(&index, keys, 1, pf_hash_number(1));
	assert_int_equal(
	    pf_index_get(&index, pf_hash_number(2), same, keys, &other), PF_INDEX_FULL);
	pf_index_finish(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_come_in_the_order_of_asking),
	    cmocka_unit_test(keys_of_equal_hash_stay_apart),
	    cmocka_unit_test(an_unknown_key_has_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
