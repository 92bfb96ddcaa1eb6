/* What a write does, and what is said about the one that does nothing. */
#include "base/buf.h"
#include "base/counter.h"
#include "fake_door.h"
#include "fs/capture.h"
#include "fs/freeze.h"
#include "fs/live.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pf_live live;
static struct pf_buf text;

static int setup(void **state)
{
	fake_door_reset(true);
	return pf_live_init(&live, &fake.door);
}

static int teardown(void **state)
{
	assert_int_equal(pf_captures_stop(live.captures, INT64_MAX), 0);
	pf_live_finish(&live);
	pf_buf_finish(&text);
	return 0;
}

static uint32_t ready; /* atomic, a futex */

static void take_ready(struct pf_capture_waiter *waiter, struct pf_capture *capture, int rc)
{
	if (capture)
		pf_capture_drop(live.captures, capture);
	__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&ready, 1);
}

static int write_to(const char *path, const char *value)
{
	const struct pf_entry *entry = pf_tree_path(live.tree, path);

	assert_non_null(entry);
	return pf_control_write(&live, entry, value, strlen(value), NULL);
}

static const char *read_from(const char *path)
{
	const struct pf_entry *entry = pf_tree_path(live.tree, path);

	assert_non_null(entry);
	pf_buf_clear(&text);
	entry->show(&text, &live, entry->arg);
	return pf_buf_text(&text);
}

/* A capture of this name and so short, or what is left of the last one. Its number. */
static uint64_t capture(int64_t ns)
{
	struct pf_capture_key key = {.source = PF_SOURCE_HEAP, .seconds_ns = ns};
	struct pf_capture_waiter waiter = {.ready = take_ready};
	struct pf_capture *done = NULL;
	int rc;

	ready = 0;
	rc = pf_capture_join(live.captures, &key, &waiter, &done);
	while (rc == 1 && !__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
		pf_futex_wait(&ready, 0, -1);
	assert_true(rc >= 0);
	if (done)
		pf_capture_drop(live.captures, done);
	return pf_captures_started(live.captures);
}

static void what_was_captured_before_a_write_is_not_used_again(void **state)
{
	uint64_t first = capture(1000);

	assert_int_equal(write_to("enable", "nonsense"), -EINVAL);
	assert_int_equal(capture(1000), first); /* go tool pprof opens twice */
	assert_int_equal(write_to("enable", "+heap"), 0);
	assert_int_equal(capture(1000), first + 1);
	assert_int_equal(capture(1000), first + 1);
}

static void every_control_refuses_what_is_no_value(void **state)
{
	static const char *const bad[] = {"", "\n", "abc", "1x", "\x01", "1 2x"};

	for (size_t i = 0; i < live.tree->count; i++) {
		const struct pf_entry *entry = &live.tree->entries[i];
		char before[256];

		if (entry->kind != PF_KIND_CONTROL || entry->store == pf_freeze_store)
			continue; /* any word is a snapshot's name: test_freeze.c */
		pf_buf_clear(&text);
		entry->show(&text, &live, entry->arg);
		snprintf(before, sizeof(before), "%s", pf_buf_text(&text));
		for (size_t b = 0; b < PF_COUNT(bad); b++)
			assert_int_equal(
			    pf_control_write(&live, entry, bad[b], strlen(bad[b]), NULL), -EINVAL);
		pf_buf_clear(&text);
		entry->show(&text, &live, entry->arg);
		assert_string_equal(pf_buf_text(&text), before);
	}
}

static void a_setting_reads_back(void **state)
{
	assert_int_equal(write_to("cpu/hz", "500\n"), 0);
	assert_string_equal(read_from("cpu/hz"), "500\n");
	assert_int_equal(write_to("cpu/hz", "5000"), -ERANGE);
	assert_string_equal(read_from("cpu/hz"), "500\n");
}

static void seconds_start_a_capture_and_zero_ends_it(void **state)
{
	assert_string_equal(read_from("cpu/seconds"), "30\n");
	assert_int_equal(write_to("cpu/seconds", "0"), -ERANGE); /* there is none to end */
	assert_int_equal(write_to("cpu/seconds", "3600"), 0);
	assert_int_equal(write_to("cpu/seconds", "5"), -EBUSY);
	assert_int_equal(write_to("wall/seconds", "3600"), 0);
	assert_string_equal(read_from("cpu/seconds"), "3600\n");
	assert_string_equal(read_from("profile_seconds"), "3600\n");
	assert_int_equal(write_to("profile_seconds", "5"), -EBUSY);
	assert_int_equal(pf_captures_started(live.captures), 2);
	assert_int_equal(write_to("cpu/seconds", "0"), 0);
	assert_string_equal(read_from("cpu/seconds"), "3600\n");
}

static void without_a_thread_or_the_feature_nothing_starts(void **state)
{
	fake.fail_thread = EAGAIN;
	assert_int_equal(write_to("cpu/seconds", "5"), -EAGAIN);
	fake.fail_thread = 0;
	assert_string_equal(read_from("cpu/seconds"), "30\n");
	pf_feature_adopt(fake.door.features);
	pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_NONE, "no timers here");
	assert_int_equal(write_to("cpu/seconds", "5"), -EOPNOTSUPP);
}

static void enable_takes_words_in_every_form(void **state)
{
	assert_int_equal(write_to("enable", "+cpu -heap"), 0);
	assert_string_equal(read_from("enable"), "cpu on\nwall off\nheap off\n");
	assert_int_equal(write_to("enable", "heap\n-cpu\n"), 0);
	assert_string_equal(read_from("enable"), "cpu off\nwall off\nheap on\n");
	assert_int_equal(write_to("enable", "cpu on\nwall on\nheap off\n"), 0);
	assert_string_equal(read_from("enable"), "cpu on\nwall on\nheap off\n");
	assert_int_equal(write_to("enable", "0 +wall"), 0);
	assert_string_equal(read_from("enable"), "cpu off\nwall on\nheap off\n");
	assert_int_equal(write_to("enable", "+cpu,-wall, heap\n"), 0);
	assert_string_equal(read_from("enable"), "cpu on\nwall off\nheap on\n");
	assert_int_equal(write_to("enable", "-cpu,+wall,-heap"), 0);
	assert_int_equal(write_to("enable", ","), -EINVAL);
	assert_int_equal(write_to("enable", "on"), -EINVAL);
	assert_int_equal(write_to("enable", "cpu on off"), -EINVAL);
	assert_string_equal(read_from("enable"), "cpu off\nwall on\nheap off\n");
}

static void enable_is_all_or_nothing(void **state)
{
	fake.fail_enable = EIO; /* heap's, which is the last */
	assert_int_equal(write_to("enable", "+cpu +wall +heap"), -EIO);
	assert_string_equal(read_from("enable"), "cpu off\nwall off\nheap off\n");
	fake.fail_enable = EOPNOTSUPP;
	assert_int_equal(write_to("enable", "+cpu +heap"), -EOPNOTSUPP);
	assert_string_equal(read_from("enable"), "cpu off\nwall off\nheap off\n");
	/* But 1 means those that can. */
	assert_int_equal(write_to("enable", "1"), 0);
	assert_string_equal(read_from("enable"), "cpu on\nwall on\nheap off\n");
}

static void a_windows_enable_is_its_recorder(void **state)
{
	assert_int_equal(write_to("cpu/enable", "1"), 0);
	assert_string_equal(read_from("cpu/enable"), "1\n");
	assert_string_equal(read_from("enable"), "cpu on\nwall off\nheap off\n");
	assert_int_equal(write_to("cpu/enable", "2"), -ERANGE);
	assert_int_equal(write_to("cpu/enable", "0"), 0);
	assert_string_equal(read_from("cpu/enable"), "0\n");
}

static void gc_takes_one_and_says_what_came_of_it(void **state)
{
	assert_string_equal(read_from("gc"), "never\n");
	assert_int_equal(write_to("gc", "0"), -ERANGE);
	assert_int_equal(write_to("gc", "1\n"), 0);
	assert_int_equal(fake.released, 1);
	assert_non_null(strstr(read_from("gc"), "Z released 4096 bytes\n"));
}

static void refused_writes_are_logged_in_words_without_escapes(void **state)
{
	char value[32];

	pf_counter_adopt(fake.door.counters);
	assert_int_equal(write_to("cpu/hz", "\x1b[31mred\x7f"), -EINVAL);
	assert_non_null(strstr(read_from("error_log"), " cpu/hz: \"?[31mred?\": Invalid"));
	for (int i = 0; i < 20; i++) {
		snprintf(value, sizeof(value), "x%d", i);
		write_to("cpu/seconds", value);
	}
	assert_null(strstr(read_from("error_log"), "\"x3\""));
	assert_non_null(strstr(read_from("error_log"), "\"x4\""));
	assert_non_null(strstr(read_from("error_log"), "\"x19\""));
	assert_int_equal(pf_counter_get(PF_COUNTER_FS_REFUSED_WRITES), 21);
}

static void a_long_value_is_logged_by_its_beginning(void **state)
{
	enum { LONG = 100000 };
	char *digits = malloc(LONG);

	assert_non_null(digits);
	memset(digits, '7', LONG);
	assert_int_equal(
	    pf_control_write(&live, pf_tree_path(live.tree, "cpu/seconds"), digits, LONG, NULL),
	    -ERANGE);
	assert_non_null(strstr(read_from("error_log"), "777...\": Numerical"));
	free(digits);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_was_captured_before_a_write_is_not_used_again),
	    TEST(every_control_refuses_what_is_no_value),
	    TEST(a_setting_reads_back),
	    TEST(seconds_start_a_capture_and_zero_ends_it),
	    TEST(without_a_thread_or_the_feature_nothing_starts),
	    TEST(enable_takes_words_in_every_form),
	    TEST(enable_is_all_or_nothing),
	    TEST(a_windows_enable_is_its_recorder),
	    TEST(gc_takes_one_and_says_what_came_of_it),
	    TEST(refused_writes_are_logged_in_words_without_escapes),
	    TEST(a_long_value_is_logged_by_its_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
