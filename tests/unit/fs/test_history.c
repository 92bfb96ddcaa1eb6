/* The ring of the history, fed with rows that are known, at times that are made up. */
#include "base/clock.h"
#include "fake_door.h"
#include "fs/history.h"
#include "fs/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const int64_t START_S = 1000;
static uint64_t random_state;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void add(struct pf_history *history, int64_t s, const int64_t *value)
{
	pf_history_add(history, s * PF_NS_PER_SECOND + 123, value);
}

static struct pf_history_rows rows_of(struct pf_history *history, int64_t seconds, size_t max)
{
	struct pf_history_rows rows = {0};

	assert_int_equal(pf_history_read(history, seconds, max, &rows), 0);
	return rows;
}

/* A second's row as a made-up program has it: whole grains, sometimes unknown, sometimes wild. */
static void next_row(int64_t *value)
{
	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++) {
		uint64_t r = random_number();
		int64_t grain = pf_history_columns[i].grain;

		if (r % 7 == 0)
			value[i] = PF_HISTORY_UNKNOWN;
		else if (r % 7 == 1)
			value[i] = INT64_MAX / grain * grain;
		else if (r % 7 < 5)
			value[i] = (int64_t)(r >> 40) * grain;
	}
}

static void what_is_read_is_what_was_added(void **state)
{
	enum { ROWS = 5000 };
	struct pf_history *history = pf_history_create();
	int64_t(*value)[PF_HISTORY_COLUMN_COUNT] = calloc(ROWS, sizeof(*value));
	struct pf_history_rows rows;

	random_state = 88172645463325252ull;
	for (int i = 0; i < ROWS; i++) {
		if (i)
			memcpy(value[i], value[i - 1], sizeof(value[i]));
		next_row(value[i]);
		add(history, START_S + i, value[i]);
	}
	rows = rows_of(history, 0, 0);
	assert_int_equal(rows.count, ROWS);
	assert_int_equal(rows.step_seconds, 1);
	for (size_t i = 0; i < ROWS; i++) {
		assert_memory_equal(rows.row[i].value, value[i], sizeof(value[i]));
		assert_int_equal(
		    rows.row[i].time_ns - rows.row[0].time_ns, (int64_t)i * PF_NS_PER_SECOND);
	}
	pf_history_rows_finish(&rows);
	pf_history_destroy(history);
	free(value);
}

static void finer_changes_than_a_grain_are_cut(void **state)
{
	struct pf_history *history = pf_history_create();
	int64_t value[PF_HISTORY_COLUMN_COUNT] = {[PF_HISTORY_HEAP] = 4095};
	struct pf_history_rows rows;

	add(history, START_S, value);
	rows = rows_of(history, 0, 0);
	assert_int_equal(rows.row[0].value[PF_HISTORY_HEAP], 3072);
	pf_history_rows_finish(&rows);
	pf_history_destroy(history);
}

static void nothing_yet_is_no_rows(void **state)
{
	struct pf_history *history = pf_history_create();
	struct pf_history_rows rows = rows_of(history, 0, 10);

	assert_int_equal(rows.count, 0);
	pf_history_rows_finish(&rows);
	pf_history_destroy(history);
}

static void a_second_counts_once_and_a_gap_stays_a_gap(void **state)
{
	struct pf_history *history = pf_history_create();
	int64_t value[PF_HISTORY_COLUMN_COUNT] = {0};
	const int64_t times[] = {0, 1, 1, 0, 2, 100, 101};
	struct pf_history_rows rows;

	for (size_t i = 0; i < PF_COUNT(times); i++) {
		value[PF_HISTORY_THREADS] = (int64_t)i;
		add(history, START_S + times[i], value);
	}
	rows = rows_of(history, 0, 0);
	assert_int_equal(rows.count, 5);
	assert_int_equal(rows.row[1].value[PF_HISTORY_THREADS], 1);
	assert_int_equal(rows.row[2].value[PF_HISTORY_THREADS], 4);
	assert_int_equal(rows.row[3].time_ns - rows.row[2].time_ns, 98 * (int64_t)PF_NS_PER_SECOND);
	pf_history_rows_finish(&rows);
	pf_history_destroy(history);
}

static void only_the_last_seconds_are_read(void **state)
{
	struct pf_history *history = pf_history_create();
	int64_t value[PF_HISTORY_COLUMN_COUNT] = {0};
	struct pf_history_rows rows;

	for (int i = 0; i < 100; i++) {
		value[PF_HISTORY_THREADS] = i;
		add(history, START_S + i, value);
	}
	rows = rows_of(history, 30, 0);
	assert_int_equal(rows.count, 30);
	assert_int_equal(rows.row[0].value[PF_HISTORY_THREADS], 70);
	pf_history_rows_finish(&rows);
	pf_history_destroy(history);
}

/* 1000 s in steps of 10 s: a gauge's highest, a counter's last. */
static void many_rows_become_few(void **state)
{
	struct pf_history *history = pf_history_create();
	int64_t value[PF_HISTORY_COLUMN_COUNT] = {0};
	struct pf_history_rows rows;

	for (int i = 0; i < 1000; i++) {
		value[PF_HISTORY_THREADS] = i % 10 == 3 ? 50 : 1;
		value[PF_HISTORY_CPU_USER] = i;
		value[PF_HISTORY_BLOCK_RECORDS] = PF_HISTORY_UNKNOWN;
		add(history, START_S + i, value);
	}
	rows = rows_of(history, 0, 100);
	assert_int_equal(rows.step_seconds, 10);
	assert_int_equal(rows.count, 100);
	for (size_t i = 0; i < rows.count; i++) {
		assert_int_equal(rows.row[i].value[PF_HISTORY_THREADS], 50);
		assert_int_equal(rows.row[i].value[PF_HISTORY_CPU_USER], 10 * i + 9);
		assert_int_equal(rows.row[i].value[PF_HISTORY_BLOCK_RECORDS], PF_HISTORY_UNKNOWN);
	}
	pf_history_rows_finish(&rows);
	pf_history_destroy(history);
}

static void there_are_never_more_rows_than_wanted_and_the_last_is_among_them(void **state)
{
	struct pf_history *history = pf_history_create();
	int64_t value[PF_HISTORY_COLUMN_COUNT] = {0};

	for (int i = 1; i <= 300; i++) {
		value[PF_HISTORY_CPU_USER] = i;
		add(history, START_S + i, value);
		for (size_t max = 1; max <= 20; max++) {
			struct pf_history_rows rows = rows_of(history, 0, max);

			assert_in_range(rows.count, 1, max);
			assert_int_equal(rows.row[rows.count - 1].value[PF_HISTORY_CPU_USER], i);
			pf_history_rows_finish(&rows);
		}
	}
	pf_history_destroy(history);
}

/* Two days: the second one is there, whole, the first one is gone, its memory too. */
static void a_day_is_kept_and_no_more(void **state)
{
	struct pf_history *history = pf_history_create();
	int64_t value[PF_HISTORY_COLUMN_COUNT] = {0};
	struct pf_history_rows rows;
	int64_t after_one_day = 0;

	for (int64_t i = 0; i < 2 * PF_HISTORY_DAY_SECONDS; i++) {
		value[PF_HISTORY_CPU_USER] = i;
		value[PF_HISTORY_RSS] = i % 3 * 4096;
		add(history, START_S + i, value);
		if (i == PF_HISTORY_DAY_SECONDS)
			after_one_day = pf_history_bytes(history);
	}
	rows = rows_of(history, 0, 0);
	assert_int_equal(rows.count, PF_HISTORY_DAY_SECONDS);
	assert_int_equal(rows.row[0].value[PF_HISTORY_CPU_USER], PF_HISTORY_DAY_SECONDS);
	pf_history_rows_finish(&rows);
	assert_true(after_one_day <= 512 * 1024);
	assert_true(pf_history_bytes(history) <= after_one_day + 2 * 16 * 1024);
	pf_history_destroy(history);
}

/* Rows that change wildly in every column take more than their share: the oldest go early, and what
 * is left is right. */
static void memory_is_bounded_whatever_comes(void **state)
{
	struct pf_history *history = pf_history_create();
	int64_t value[PF_HISTORY_COLUMN_COUNT];
	struct pf_history_rows rows;

	random_state = 88172645463325252ull;
	for (int64_t i = 0; i < PF_HISTORY_DAY_SECONDS; i++) {
		for (int k = 0; k < PF_HISTORY_COLUMN_COUNT; k++)
			value[k] = (int64_t)(random_number() >> 1) / pf_history_columns[k].grain *
				   pf_history_columns[k].grain;
		value[PF_HISTORY_THREADS] = i;
		add(history, START_S + i, value);
		assert_true(pf_history_bytes(history) <= PF_HISTORY_BYTES_MAX + 64 * 1024);
	}
	rows = rows_of(history, 0, 0);
	assert_in_range(rows.count, 20000, PF_HISTORY_DAY_SECONDS - 1);
	for (size_t i = 0; i < rows.count; i++)
		assert_int_equal(rows.row[i].value[PF_HISTORY_THREADS],
		    PF_HISTORY_DAY_SECONDS - (int64_t)rows.count + (int64_t)i);
	assert_memory_equal(rows.row[rows.count - 1].value, value, sizeof(value));
	pf_history_rows_finish(&rows);
	pf_history_destroy(history);
}

static void a_tick_adds_one_row_a_second_and_says_when_to_come_again(void **state)
{
	struct pf_live live;
	struct pf_history_rows rows;
	int64_t due_ns, now_ns = pf_clock_now_ns();

	fake_door_reset(true);
	assert_int_equal(pf_live_init(&live, &fake.door), 0);
	due_ns = pf_history_tick(live.history, &live, now_ns);
	assert_true(due_ns > now_ns && due_ns <= now_ns + PF_NS_PER_SECOND);
	assert_int_equal(pf_history_tick(live.history, &live, now_ns + 1), due_ns);
	rows = rows_of(live.history, 0, 0);
	assert_int_equal(rows.count, 1);
	assert_true(rows.row[0].value[PF_HISTORY_RSS] > 100 * 1024);
	assert_int_equal(rows.row[0].value[PF_HISTORY_HEAP_RECORDS], 7);
	assert_int_equal(rows.row[0].value[PF_HISTORY_AGENT_CPU], 1);
	assert_int_equal(rows.row[0].value[PF_HISTORY_HEAP], 2048);
	assert_int_equal(rows.row[0].value[PF_HISTORY_ALLOCATED], 1024 * 1024);
	pf_history_rows_finish(&rows);
	pf_live_finish(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_read_is_what_was_added),
	    cmocka_unit_test(finer_changes_than_a_grain_are_cut),
	    cmocka_unit_test(nothing_yet_is_no_rows),
	    cmocka_unit_test(a_second_counts_once_and_a_gap_stays_a_gap),
	    cmocka_unit_test(only_the_last_seconds_are_read),
	    cmocka_unit_test(many_rows_become_few),
	    cmocka_unit_test(there_are_never_more_rows_than_wanted_and_the_last_is_among_them),
	    cmocka_unit_test(a_day_is_kept_and_no_more),
	    cmocka_unit_test(memory_is_bounded_whatever_comes),
	    cmocka_unit_test(a_tick_adds_one_row_a_second_and_says_when_to_come_again),
	};

	return cmocka_run_group_tests_name("fs/history", tests, NULL, NULL);
}
