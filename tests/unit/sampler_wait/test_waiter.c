#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"
#include "base/knob.h"
#include "base/mark.h"
#include "sampler/guard.h"
#include "sampler/stack.h"
#include "sampler/thread.h"
#include "sampler/tick.h"
#include "sampler/wait_site.h"
#include "sampler/waiter.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

/* ---- the neighbours: a "stack" is a number, threads are slots that the test chooses ---- */

PF_TLS uint32_t pf_guard_depth;
PF_TLS struct pf_thread *pf_thread_self;
static PF_TLS uint32_t here;
static struct pf_thread slots[64];

PF_SIGSAFE uint32_t pf_stack_capture_here(void)
{
	return here;
}

PF_HOOK struct pf_thread *pf_thread_enrol_self(void)
{
	return NULL;
}

PF_SIGSAFE struct pf_thread *pf_thread_at(uint32_t number)
{
	return &slots[number];
}

uint32_t pf_thread_limit(void)
{
	return PF_COUNT(slots);
}

struct sums {
	uint32_t stack; /* 0: all */
	int64_t count, delay_ns;
};

static void sum(void *arg, uint32_t kind, uint32_t stack, int64_t count, int64_t delay_ns)
{
	struct sums *s = arg;

	if (s->stack && s->stack != stack)
		return;
	s->count += count;
	s->delay_ns += delay_ns;
}

static struct sums sums_of(enum pf_wait_profile profile, uint32_t stack)
{
	struct sums s = {.stack = stack};

	pf_wait_site_for_each(profile, sum, &s);
	return s;
}

static int64_t counter(enum pf_counter which)
{
	pf_waiter_flush();
	return (int64_t)pf_counter_get(which);
}

static void pass_us(long us)
{
	struct timespec t = {0, us * 1000};

	nanosleep(&t, NULL);
}

/* Ticks are added up as such or as nanoseconds: each time one may be lost. */
static void assert_same_time(int64_t a_ns, int64_t b_ns, int64_t roundings)
{
	assert_in_range(a_ns - b_ns + roundings, 0, 2 * roundings);
}

static char locks[4096]; /* their addresses alone */

static void begin(struct pf_wait_turn *turn, int slot, const void *lock)
{
	pf_thread_self = &slots[slot];
	pf_waiter_begin(turn, lock, PF_WAIT_MUTEX, true);
}

static void end(struct pf_wait_turn *turn, int slot, enum pf_wait_outcome got)
{
	pf_thread_self = &slots[slot];
	pf_waiter_end(turn, got);
}

static void charge(int slot, uint32_t stack, const void *lock)
{
	pf_thread_self = &slots[slot];
	here = stack;
	pf_waiter_charge(lock, PF_WAIT_MUTEX);
}

static int start(void **state)
{
	pf_knob_put(PF_KNOB_MUTEX_FRACTION, 1);
	pf_knob_put(PF_KNOB_BLOCK_RATE_NS, 1);
	pf_tick_start();
	pf_waiter_watch(PF_WATCH_MUTEX | PF_WATCH_SYNC | PF_WATCH_IO);
	return 0;
}

/* ---- */

static void a_release_is_charged_with_the_waiting_of_all(void **state)
{
	struct pf_wait_turn a, b;
	int64_t waited = counter(PF_COUNTER_MUTEX_WAITED_NS);
	struct sums s;

	begin(&a, 1, &locks[0]);
	pass_us(2000);
	begin(&b, 2, &locks[0]);
	pass_us(1000);
	charge(3, 100, &locks[0]);
	s = sums_of(PF_WAIT_OF_MUTEX, 100);
	assert_int_equal(s.count, 1);
	assert_true(s.delay_ns >= 4000000); /* 3 ms and 1 ms */
	end(&a, 1, true);
	charge(1, 101, &locks[0]);
	end(&b, 2, true);
	/* Every nanosecond once: what b still had to wait is the second one's. */
	waited = counter(PF_COUNTER_MUTEX_WAITED_NS) - waited;
	assert_same_time(
	    sums_of(PF_WAIT_OF_MUTEX, 100).delay_ns + sums_of(PF_WAIT_OF_MUTEX, 101).delay_ns,
	    waited, 4);
	assert_int_equal(sums_of(PF_WAIT_OF_MUTEX, 101).count, 1);
	charge(2, 102, &locks[0]); /* nobody waits any more */
	assert_int_equal(sums_of(PF_WAIT_OF_MUTEX, 102).count, 0);
}

static void who_gives_up_is_charged_to_the_next_release(void **state)
{
	struct pf_wait_turn a, b;
	int64_t waited = counter(PF_COUNTER_MUTEX_WAITED_NS);

	begin(&a, 1, &locks[8]);
	begin(&b, 2, &locks[8]);
	pass_us(1000);
	end(&a, 1, false);
	charge(3, 110, &locks[8]);
	end(&b, 2, true);
	waited = counter(PF_COUNTER_MUTEX_WAITED_NS) - waited;
	assert_same_time(sums_of(PF_WAIT_OF_MUTEX, 110).delay_ns, waited, 4);
}

static void what_nobody_released_is_counted_as_such(void **state)
{
	int64_t unblamed = counter(PF_COUNTER_MUTEX_UNBLAMED_NS);
	struct pf_wait_turn a;

	begin(&a, 1, &locks[16]);
	pass_us(500);
	end(&a, 1, true); /* whoever held it did so unseen */
	assert_true(counter(PF_COUNTER_MUTEX_UNBLAMED_NS) - unblamed >= 500000);
}

static void a_word_that_had_changed_was_perhaps_not_waited_for(void **state)
{
	struct pf_wait_turn first, second;
	int64_t unblamed = counter(PF_COUNTER_MUTEX_UNBLAMED_NS);
	int64_t brief = counter(PF_COUNTER_WAIT_SHORT), waited;

	/* Its holder is about to charge, and finds the other one. */
	begin(&first, 1, &locks[900]);
	begin(&second, 2, &locks[900]);
	pass_us(500);
	end(&first, 1, PF_WAIT_CHANGED);
	charge(3, 901, &locks[900]);
	end(&second, 2, PF_WAIT_GOT);
	assert_true(sums_of(PF_WAIT_OF_MUTEX, 901).delay_ns >= 2 * 500000);
	assert_same_time(counter(PF_COUNTER_MUTEX_UNBLAMED_NS), unblamed, 8);
	/* Its holder has found nobody, and it did not sleep; once that this thread is not stopped in between. */
	do {
		waited = counter(PF_COUNTER_MUTEX_WAITED_NS);
		unblamed = counter(PF_COUNTER_MUTEX_UNBLAMED_NS);
		begin(&first, 1, &locks[900]);
		end(&first, 1, PF_WAIT_CHANGED);
	} while (counter(PF_COUNTER_WAIT_SHORT) == brief);
	assert_int_equal(counter(PF_COUNTER_MUTEX_WAITED_NS), waited);
	assert_int_equal(counter(PF_COUNTER_MUTEX_UNBLAMED_NS), unblamed);
}

static void a_fraction_is_scaled_and_long_ones_are_all_kept(void **state)
{
	struct pf_wait_turn a;

	pf_knob_put(PF_KNOB_MUTEX_FRACTION, 10);
	for (int i = 0; i < 100; i++) {
		begin(&a, 1, &locks[24]);
		charge(3, 120, &locks[24]);
		end(&a, 1, true);
	}
	assert_int_equal(sums_of(PF_WAIT_OF_MUTEX, 120).count, 100);
	begin(&a, 1, &locks[24]);
	pass_us(1500);
	charge(3, 121, &locks[24]);
	end(&a, 1, true);
	assert_int_equal(sums_of(PF_WAIT_OF_MUTEX, 121).count, 1);
	pf_knob_put(PF_KNOB_MUTEX_FRACTION, 1);
}

static void a_frame_that_vanished_is_charged_to_nobody_for_long(void **state)
{
	uint64_t settled = pf_counter_get(PF_COUNTER_WAIT_SETTLED);
	struct pf_wait_turn gone, next;

	begin(&gone, 1, &locks[32]); /* and longjmp */
	begin(&next, 1, &locks[40]);
	assert_int_equal(pf_counter_get(PF_COUNTER_WAIT_SETTLED), settled + 1);
	charge(3, 130, &locks[32]);
	assert_int_equal(sums_of(PF_WAIT_OF_MUTEX, 130).count, 0);
	/* An outer wait, that a handler's settled, ends as if it had not been entered. */
	end(&next, 1, true);
	end(&gone, 1, true);
	charge(3, 131, &locks[32]);
	assert_int_equal(sums_of(PF_WAIT_OF_MUTEX, 131).count, 0);
	assert_false(slots[1].waits_for);
}

static void waits_are_kept_whole_or_by_chance(void **state)
{
	struct sums before, after;

	pf_thread_self = &slots[1];
	here = 140;
	pf_knob_put(PF_KNOB_BLOCK_RATE_NS, 1000000);
	before = sums_of(PF_WAIT_OF_BLOCK, 140);
	pf_waiter_note(5000000, PF_WAIT_IO);
	after = sums_of(PF_WAIT_OF_BLOCK, 140);
	assert_int_equal(after.count - before.count, 1);
	assert_int_equal(after.delay_ns - before.delay_ns, 5000000);
	here = 141;
	for (int i = 0; i < 1000; i++)
		pf_waiter_note(100000, PF_WAIT_IO);
	after = sums_of(PF_WAIT_OF_BLOCK, 141);
	assert_in_range(after.delay_ns, 99000000, 101000000);
	assert_in_range(after.count, 990, 1010);
	pf_waiter_note(100000, PF_WAIT_SLEEP); /* not watched */
	assert_int_equal(sums_of(PF_WAIT_OF_BLOCK, 141).count, after.count);
	pf_knob_put(PF_KNOB_BLOCK_RATE_NS, 1);
}

static void a_stack_is_taken_before_the_lock_is_in_hand_where_a_sleep_would_be_sampled(void **state)
{
	struct pf_wait_turn turn;

	here = 150;
	begin(&turn, 1, &locks[24]);
	here = 151;
	end(&turn, 1, true);
	assert_int_equal(sums_of(PF_WAIT_OF_BLOCK, 150).count, 1);
	assert_int_equal(sums_of(PF_WAIT_OF_BLOCK, 151).count, 0);
	/* For nobody's lock: it is waited for in peace. */
	pf_thread_self = &slots[1];
	here = 152;
	pf_waiter_begin(&turn, &locks[24], PF_WAIT_SEM, false);
	here = 153;
	pf_waiter_end(&turn, true);
	assert_int_equal(sums_of(PF_WAIT_OF_BLOCK, 153).count, 1);
}

static void more_locks_than_room_are_counted(void **state)
{
	static struct pf_wait_turn turns[63];
	int queued = 0;

	/* All in one place of the table, whatever its size: the same lock but for bits that do not count. */
	for (int i = 0; i < 63; i++) {
		begin(&turns[i], i, (const void *)(uintptr_t)(0x1000 + i * 8ul));
		queued += turns[i].queued != 0;
	}
	for (int i = 0; i < 63; i++)
		end(&turns[i], i, true);
	assert_true(queued > 0);
	assert_int_equal(pf_counter_get(PF_COUNTER_WAIT_LOST_TABLE), 63 - queued);
}

static void errno_is_kept_and_nothing_is_done_inside_our_own_code(void **state)
{
	struct pf_wait_turn a;

	errno = 77;
	begin(&a, 1, &locks[48]);
	charge(3, 150, &locks[48]);
	end(&a, 1, true);
	pf_waiter_note(100, PF_WAIT_IO);
	assert_int_equal(errno, 77);
	assert_true(pf_guard_enter());
	begin(&a, 1, &locks[48]);
	assert_int_equal(a.start, 0);
	end(&a, 1, true);
	pf_guard_leave();
}

static void a_forked_child_starts_with_nobody_waiting(void **state)
{
	struct pf_wait_turn a, b;

	begin(&a, 1, &locks[56]);
	pf_waiter_fork_child();
	start(NULL);
	memset(slots, 0, sizeof(slots));
	charge(3, 160, &locks[56]);
	assert_int_equal(sums_of(PF_WAIT_OF_MUTEX, 160).count, 0);
	begin(&b, 2, &locks[56]);
	charge(3, 161, &locks[56]);
	end(&b, 2, true);
	assert_int_equal(sums_of(PF_WAIT_OF_MUTEX, 161).count, 1);
}

/* ---- many at once, around a real lock ---- */

enum { FIGHTERS = 8, FIGHTS = 1000 };
static pthread_mutex_t ring = PTHREAD_MUTEX_INITIALIZER;

static void *fight(void *slot)
{
	pf_thread_self = slot;
	here = 170;
	for (int i = 0; i < FIGHTS; i++) {
		struct pf_wait_turn turn;

		pf_waiter_begin(&turn, &ring, PF_WAIT_MUTEX, true);
		pthread_mutex_lock(&ring);
		pf_waiter_end(&turn, true);
		if (i % 50 == 0)
			pass_us(20);
		pf_waiter_charge(&ring, PF_WAIT_MUTEX);
		pthread_mutex_unlock(&ring);
	}
	return NULL;
}

/* False: somebody was preempted for long in the table, and the table gave up what was in it. */
static bool fight_it_out(void)
{
	uint64_t lost = pf_counter_get(PF_COUNTER_WAIT_LOST_TABLE);
	int64_t waited = counter(PF_COUNTER_MUTEX_WAITED_NS);
	int64_t unblamed = counter(PF_COUNTER_MUTEX_UNBLAMED_NS);
	int64_t charged = sums_of(PF_WAIT_OF_MUTEX, 170).delay_ns;
	pthread_t threads[FIGHTERS];

	for (int i = 0; i < FIGHTERS; i++)
		pthread_create(&threads[i], NULL, fight, &slots[i]);
	for (int i = 0; i < FIGHTERS; i++)
		pthread_join(threads[i], NULL);
	waited = counter(PF_COUNTER_MUTEX_WAITED_NS) - waited;
	unblamed = counter(PF_COUNTER_MUTEX_UNBLAMED_NS) - unblamed;
	charged = sums_of(PF_WAIT_OF_MUTEX, 170).delay_ns - charged;
	if (pf_counter_get(PF_COUNTER_WAIT_LOST_TABLE) != lost)
		return false;
	assert_same_time(charged + unblamed, waited, 2 * FIGHTERS * FIGHTS);
	assert_true(unblamed * 20 < waited); /* at least 95 % are somebody's */
	return true;
}

static void a_lock_is_remembered_as_waited_for_between_one_and_two_seconds(void **state)
{
	const void *quiet = &locks[1024];
	struct pf_wait_turn a;

	while (pf_waiter_lately())
		pf_waiter_cool();
	assert_false(pf_waiter_was_lately(&locks[0]));
	begin(&a, 1, &locks[0]);
	for (int seconds = 0; seconds < 2; seconds++) {
		assert_true(pf_waiter_was_lately(&locks[0]));
		pf_waiter_cool();
	}
	assert_false(pf_waiter_lately()); /* the word tells of who waits still */
	end(&a, 1, true);
	pf_thread_self = &slots[1];
	pf_waiter_begin(&a, &locks[0], PF_WAIT_RWLOCK, true);
	for (int seconds = 0; seconds < 5; seconds++)
		pf_waiter_cool();
	assert_true(pf_waiter_lately()); /* that of a rwlock may not */
	assert_true(pf_waiter_was_lately(&locks[0]));
	end(&a, 1, true);
	while (pf_waiter_shard_of((uintptr_t)quiet) == pf_waiter_shard_of((uintptr_t)locks))
		quiet = (const char *)quiet + 8;
	for (int seconds = 0; seconds < 2; seconds++) {
		assert_true(pf_waiter_lately());
		assert_true(pf_waiter_was_lately(&locks[0]));
		assert_false(pf_waiter_was_lately(quiet));
		pf_waiter_cool();
	}
	assert_false(pf_waiter_lately());
	assert_false(pf_waiter_was_lately(&locks[0]));
}

static void every_nanosecond_waited_is_charged_once(void **state)
{
	int rounds = 1;

	while (!fight_it_out())
		assert_true(++rounds <= 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_release_is_charged_with_the_waiting_of_all),
	    cmocka_unit_test(who_gives_up_is_charged_to_the_next_release),
	    cmocka_unit_test(what_nobody_released_is_counted_as_such),
	    cmocka_unit_test(a_word_that_had_changed_was_perhaps_not_waited_for),
	    cmocka_unit_test(a_fraction_is_scaled_and_long_ones_are_all_kept),
	    cmocka_unit_test(a_frame_that_vanished_is_charged_to_nobody_for_long),
	    cmocka_unit_test(waits_are_kept_whole_or_by_chance),
	    cmocka_unit_test(
		a_stack_is_taken_before_the_lock_is_in_hand_where_a_sleep_would_be_sampled),
	    cmocka_unit_test(more_locks_than_room_are_counted),
	    cmocka_unit_test(errno_is_kept_and_nothing_is_done_inside_our_own_code),
	    cmocka_unit_test(a_lock_is_remembered_as_waited_for_between_one_and_two_seconds),
	    cmocka_unit_test(every_nanosecond_waited_is_charged_once),
	    cmocka_unit_test(a_forked_child_starts_with_nobody_waiting),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
