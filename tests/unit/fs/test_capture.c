/* A capture as an object: joined, left, reused, ended. Time is told to it, where time matters. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "fake_door.h"
#include "fs/capture.h"
#include "fs/kept.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pf_live live;

/* A reader who notes what it is told. */
struct reader {
	struct pf_capture_waiter waiter;
	struct pf_capture *capture;
	int rc;
	uint32_t told; /* atomic, futex */
};

static void on_ready(struct pf_capture_waiter *waiter, struct pf_capture *capture, int rc)
{
	struct reader *reader = (struct reader *)waiter;

	reader->capture = capture;
	reader->rc = rc;
	__atomic_store_n(&reader->told, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&reader->told, INT_MAX);
}

static struct reader new_reader(void)
{
	return (struct reader){.waiter.ready = on_ready};
}

static int wait_for(struct reader *reader)
{
	while (!__atomic_load_n(&reader->told, __ATOMIC_ACQUIRE))
		pf_futex_wait(&reader->told, 0, -1);
	return reader->rc;
}

static struct pf_capture_key key_of(enum pf_source source, int64_t ms)
{
	return (struct pf_capture_key){.source = source, .seconds_ns = ms * PF_NS_PER_MS};
}

static int join(struct reader *reader, const struct pf_capture_key *key)
{
	return pf_capture_join(live.captures, key, &reader->waiter, &reader->capture);
}

/* To its end, and lets the result go. */
static void take(const struct pf_capture_key *key)
{
	struct reader reader = new_reader();
	int rc = join(&reader, key);

	if (rc == 1)
		rc = wait_for(&reader);
	assert_int_equal(rc, 0);
	pf_capture_drop(live.captures, reader.capture);
}

static int setup(void **state)
{
	fake_door_reset(true);
	pf_counter_adopt(fake.door.counters);
	return pf_live_init(&live, &fake.door);
}

static int teardown(void **state)
{
	assert_int_equal(pf_captures_stop(live.captures, INT64_MAX), 0);
	pf_live_finish(&live);
	return 0;
}

static void readers_of_one_name_share_one_capture(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_CPU, 3600000);
	struct reader a = new_reader(), b = new_reader();

	assert_int_equal(join(&a, &key), 1);
	assert_int_equal(join(&b, &key), 1);
	pf_capture_end(live.captures, PF_SOURCE_CPU);
	assert_int_equal(wait_for(&a), 0);
	assert_int_equal(wait_for(&b), 0);
	assert_ptr_equal(a.capture, b.capture);
	assert_int_equal(pf_profile_total(pf_capture_profile(a.capture), 0), 360000);
	assert_int_equal(fake.cpu_windows, 1);
	pf_capture_drop(live.captures, a.capture);
	pf_capture_drop(live.captures, b.capture);
}

static void another_name_of_the_same_source_is_busy(void **state)
{
	struct pf_capture_key hour = key_of(PF_SOURCE_CPU, 3600000);
	struct pf_capture_key other = key_of(PF_SOURCE_CPU, 50);
	struct pf_capture_key wall = key_of(PF_SOURCE_WALL, 50);
	struct pf_capture_key heap = key_of(PF_SOURCE_HEAP, 50);
	struct reader a = new_reader(), b = new_reader();

	assert_int_equal(join(&a, &hour), 1);
	assert_int_equal(join(&b, &other), -EBUSY);
	other = hour;
	other.hz = 500;
	assert_int_equal(join(&b, &other), -EBUSY);
	assert_int_equal(pf_capture_begin(live.captures, &hour), -EBUSY);
	take(&wall);
	take(&heap);
	assert_true(pf_capture_leave(live.captures, &a.waiter));
}

static void a_result_is_reused_for_two_seconds(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_CPU, 10);
	int64_t now;

	take(&key);
	take(&key);
	assert_int_equal(fake.cpu_windows, 1);
	/* Another one becomes the latest, so that nothing else holds the first. */
	key.hz = 7;
	take(&key);
	assert_int_equal(fake.cpu_windows, 2);
	now = pf_clock_now_ns();
	assert_true(pf_captures_tick(live.captures, now) > now);
	assert_int_equal(pf_captures_tick(live.captures, now + 2ll * PF_NS_PER_SECOND), -1);
	key.hz = 0;
	take(&key);
	assert_int_equal(fake.cpu_windows, 3);
}

static void an_abandoned_capture_lives_on_for_a_second(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_CPU, 3600000);
	struct reader a = new_reader(), b = new_reader();
	int64_t now;

	assert_int_equal(join(&a, &key), 1);
	assert_true(pf_capture_leave(live.captures, &a.waiter));
	assert_false(pf_capture_leave(live.captures, &a.waiter));
	now = pf_clock_now_ns();
	assert_true(pf_captures_tick(live.captures, now) > now);
	/* It comes back in time: the same capture. */
	assert_int_equal(join(&b, &key), 1);
	assert_int_equal(pf_captures_tick(live.captures, now + 10ll * PF_NS_PER_SECOND), -1);
	assert_int_equal(pf_captures_started(live.captures), 1);
	assert_true(pf_capture_leave(live.captures, &b.waiter));
	assert_int_equal(pf_captures_tick(live.captures, now + 20ll * PF_NS_PER_SECOND), -1);
	assert_int_equal(pf_captures_stop(live.captures, INT64_MAX), 0);
	assert_int_equal(fake.cpu_windows, 1);
}

static void who_comes_while_it_is_being_cancelled_gets_a_new_one(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_CPU, 3600000);
	struct reader a = new_reader(), b = new_reader();

	assert_int_equal(join(&a, &key), 1);
	while (!__atomic_load_n(&fake.cpu_windows, __ATOMIC_ACQUIRE))
		;
	assert_true(pf_capture_leave(live.captures, &a.waiter));
	pf_captures_tick(live.captures, pf_clock_now_ns() + 2ll * PF_NS_PER_SECOND);
	/* Joined before or after its thread has noticed: served in any case. */
	while (join(&b, &key) == -EBUSY)
		;
	while (__atomic_load_n(&fake.cpu_windows, __ATOMIC_ACQUIRE) < 2)
		;
	pf_capture_end(live.captures, PF_SOURCE_CPU);
	assert_int_equal(wait_for(&b), 0);
	assert_int_equal(pf_profile_total(pf_capture_profile(b.capture), 0), 360000);
	assert_int_equal(fake.cpu_windows, 2);
	pf_capture_drop(live.captures, b.capture);
}

static void a_begun_capture_needs_no_reader_and_is_ended_early(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_CPU, 3600000);
	struct reader a = new_reader();

	assert_int_equal(pf_capture_begin(live.captures, &key), 0);
	assert_int_equal(pf_captures_tick(live.captures, INT64_MAX), -1);
	assert_int_equal(
	    pf_capture_join_any(live.captures, PF_SOURCE_CPU, &a.waiter, &a.capture), 1);
	pf_capture_end(live.captures, PF_SOURCE_CPU);
	assert_int_equal(wait_for(&a), 0);
	assert_string_equal(pf_capture_profile(a.capture)->comments[0], "early hz=0");
	pf_capture_drop(live.captures, a.capture);
}

static void the_latest_is_there_until_its_file_is_removed(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_CPU, 10);
	struct reader a = new_reader();
	struct pf_kept *kept = pf_captures_kept(live.captures);

	assert_int_equal(
	    pf_capture_join_any(live.captures, PF_SOURCE_CPU, &a.waiter, &a.capture), -ENODATA);
	take(&key);
	pf_captures_tick(live.captures, pf_clock_now_ns() + 3600ll * PF_NS_PER_SECOND);
	assert_int_equal(
	    pf_capture_join_any(live.captures, PF_SOURCE_CPU, &a.waiter, &a.capture), 0);
	pf_capture_drop(live.captures, a.capture);
	assert_int_equal(kept->count, 1);
	assert_int_equal(pf_kept_remove(&live, 0, kept->oldest->name), 0);
	assert_int_equal(
	    pf_capture_join_any(live.captures, PF_SOURCE_CPU, &a.waiter, &a.capture), -ENODATA);
	assert_int_equal(kept->count, 0);
	assert_int_equal(kept->bytes, 0);
}

static void a_collectors_error_is_the_readers(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_CPU, 10);
	struct reader a = new_reader();
	struct pf_buf text = PF_BUF_INIT;

	fake.fail_cpu = EOPNOTSUPP;
	assert_int_equal(join(&a, &key), 1);
	assert_int_equal(wait_for(&a), -EOPNOTSUPP);
	assert_null(a.capture);
	pf_captures_describe(live.captures, &text, PF_SOURCE_CPU);
	assert_non_null(strstr(pf_buf_text(&text), "cpu last failed"));
	pf_buf_finish(&text);
	/* And it is not reused. */
	fake.fail_cpu = 0;
	take(&key);
	assert_int_equal(pf_captures_kept(live.captures)->count, 1);
}

static void without_a_thread_nothing_is_left_behind(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_CPU, 10);
	struct reader a = new_reader();

	fake.fail_thread = EAGAIN;
	assert_int_equal(join(&a, &key), -EAGAIN);
	assert_int_equal(pf_capture_begin(live.captures, &key), -EAGAIN);
	assert_int_equal(a.told, 0);
	fake.fail_thread = 0;
	take(&key);
}

static void stopping_answers_everybody_with_eintr(void **state)
{
	struct pf_capture_key cpu = key_of(PF_SOURCE_CPU, 3600000);
	struct pf_capture_key heap = key_of(PF_SOURCE_HEAP, 3600000);
	struct reader a = new_reader(), b = new_reader(), c = new_reader();

	assert_int_equal(join(&a, &cpu), 1);
	assert_int_equal(join(&b, &heap), 1);
	assert_int_equal(pf_captures_stop(live.captures, INT64_MAX), 0);
	assert_int_equal(wait_for(&a), -EINTR);
	assert_int_equal(wait_for(&b), -EINTR);
	assert_int_equal(join(&c, &cpu), -EINTR);
}

static void differences_run_side_by_side_but_not_without_limit(void **state)
{
	struct reader readers[9];
	int rc = 1;

	for (int i = 0; i < 9; i++) {
		struct pf_capture_key key = key_of(PF_SOURCE_HEAP, 3600000 + i);

		readers[i] = new_reader();
		rc = join(&readers[i], &key);
		assert_int_equal(rc, i < 8 ? 1 : -EBUSY);
	}
	assert_int_equal(pf_captures_stop(live.captures, INT64_MAX), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(wait_for(&readers[i]), -EINTR);
}

static void gc_comes_first_when_asked_for(void **state)
{
	struct pf_capture_key key = key_of(PF_SOURCE_HEAP, 1);

	key.gc = true;
	take(&key);
	assert_int_equal(fake.released, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(readers_of_one_name_share_one_capture),
	    TEST(another_name_of_the_same_source_is_busy),
	    TEST(a_result_is_reused_for_two_seconds),
	    TEST(an_abandoned_capture_lives_on_for_a_second),
	    TEST(who_comes_while_it_is_being_cancelled_gets_a_new_one),
	    TEST(a_begun_capture_needs_no_reader_and_is_ended_early),
	    TEST(the_latest_is_there_until_its_file_is_removed),
	    TEST(a_collectors_error_is_the_readers),
	    TEST(without_a_thread_nothing_is_left_behind),
	    TEST(stopping_answers_everybody_with_eintr),
	    TEST(differences_run_side_by_side_but_not_without_limit),
	    TEST(gc_comes_first_when_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
