#include "sampler/tally.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 500, THREADS = 4, ROUNDS = 20000 };

struct seen {
	uint64_t counts[KEYS + 1];
	uint64_t total, other;
	size_t rows;
};

static void see(void *arg, const struct pf_tally_row *row, uint64_t count)
{
	struct seen *seen = arg;

	seen->rows++;
	seen->total += count;
	if (row->key == 0)
		seen->other += count;
	else
		seen->counts[row->key] += count;
}

static void each_key_has_its_count(void **state)
{
	static struct pf_tally tally = {.table_count = PF_TALLY_TABLES};
	struct seen seen = {.rows = 0};

	for (uint64_t key = 1; key <= KEYS; key++)
		for (uint64_t i = 0; i < key; i++)
			pf_tally_add(pf_tally_find(&tally, key), 1);
	pf_tally_for_each(&tally, see, &seen);
	assert_int_equal(seen.rows, KEYS);
	for (uint64_t key = 1; key <= KEYS; key++)
		assert_int_equal(seen.counts[key], key);
	assert_int_equal(seen.other, 0);
}

static void what_does_not_fit_is_counted_in_one_row(void **state)
{
	static struct pf_tally tally = {.table_count = 1};
	struct seen seen = {.rows = 0};

	for (uint64_t key = 1; key <= KEYS; key++)
		pf_tally_add(pf_tally_find(&tally, key), 2);
	pf_tally_for_each(&tally, see, &seen);
	assert_int_equal(seen.total, 2 * KEYS);
	assert_true(seen.other > 0);
	assert_true(seen.rows > 1);
}

static void what_was_added_can_be_taken_away(void **state)
{
	static struct pf_tally tally = {.table_count = PF_TALLY_TABLES};
	struct seen seen = {.rows = 0};

	pf_tally_add(pf_tally_find(&tally, 5), 1);
	pf_tally_add(pf_tally_find(&tally, 5), (uint64_t)-1);
	pf_tally_for_each(&tally, see, &seen);
	assert_int_equal(seen.rows, 0);
}

static void a_note_is_written_once_and_read_when_it_is_whole(void **state)
{
	static struct pf_tally tally = {.note_bytes = 20, .table_count = PF_TALLY_TABLES};
	struct pf_tally_row *row = pf_tally_find(&tally, 7);

	assert_true(pf_tally_wants_note(row));
	assert_null(pf_tally_note(row));
	assert_true(pf_tally_note_begin(row));
	assert_false(pf_tally_note_begin(row));
	assert_null(pf_tally_note(row));
	strcpy(row->note, "nineteen letters..!");
	pf_tally_note_end(row);
	assert_false(pf_tally_wants_note(row));
	assert_string_equal(pf_tally_note(pf_tally_find(&tally, 7)), "nineteen letters..!");
	/* Its neighbours are untouched. */
	for (uint64_t key = 1; key <= KEYS; key++)
		if (key != 7)
			assert_true(pf_tally_wants_note(pf_tally_find(&tally, key)));
}

static void clearing_forgets_counts_and_notes(void **state)
{
	static struct pf_tally tally = {.note_bytes = 8, .table_count = 2};
	struct seen seen = {.rows = 0};
	struct pf_tally_row *row = pf_tally_find(&tally, 9);

	pf_tally_clear(&tally);
	row = pf_tally_find(&tally, 9);
	pf_tally_add(row, 3);
	pf_tally_note_begin(row);
	pf_tally_note_end(row);
	pf_tally_clear(&tally);
	pf_tally_for_each(&tally, see, &seen);
	assert_int_equal(seen.rows, 0);
	assert_true(pf_tally_wants_note(pf_tally_find(&tally, 9)));
}

static struct pf_tally shared = {.table_count = PF_TALLY_TABLES};

static void *add_all_keys(void *unused)
{
	for (uint64_t i = 0; i < ROUNDS; i++)
		pf_tally_add(pf_tally_find(&shared, 1 + i % KEYS), 1);
	return unused;
}

static void threads_that_bring_the_same_keys_at_once_lose_nothing(void **state)
{
	struct seen seen = {.rows = 0};
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_all_keys, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pf_tally_for_each(&shared, see, &seen);
	assert_int_equal(seen.total, THREADS * ROUNDS);
	assert_int_equal(seen.rows, KEYS);
	for (uint64_t key = 1; key <= KEYS; key++)
		assert_int_equal(seen.counts[key], THREADS * ROUNDS / KEYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_key_has_its_count),
	    cmocka_unit_test(what_does_not_fit_is_counted_in_one_row),
	    cmocka_unit_test(what_was_added_can_be_taken_away),
	    cmocka_unit_test(a_note_is_written_once_and_read_when_it_is_whole),
	    cmocka_unit_test(clearing_forgets_counts_and_notes),
	    cmocka_unit_test(threads_that_bring_the_same_keys_at_once_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
