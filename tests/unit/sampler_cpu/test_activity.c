/* Has anybody run? Asked by a thread of the crew, as in the real thing, about a program whose every step
 * is known: its first thread waits for the answer, all others do what they are told. */
#include "base/clock.h"
#include "base/lock.h"
#include "life.h"
#include "sampler/activity.h"
#include "sampler/crew.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 50 };

static uint32_t asked, answered; /* atomic, futexes */

static void tell(uint32_t *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
	pf_futex_wake(word, INT_MAX);
}

static void await(uint32_t *word, uint32_t value)
{
	uint32_t now;

	while ((now = __atomic_load_n(word, __ATOMIC_ACQUIRE)) < value)
		pf_futex_wait(word, now, -1);
}

/* The program: runs when told, for a moment. */
static void *wake_for_a_moment(void *unused)
{
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		await(&asked, i);
		tell(&answered);
	}
	return unused;
}

/* Nobody but us runs now: that it is noticed takes until the last one of the program is asleep. */
static void await_rest(struct pf_activity *a)
{
	do
		pf_activity_mark(a);
	while (usleep(1000), !pf_activity_is_none(a));
}

/* ---- in the crew ---- */

static int misses; /* of ROUNDS */

static void *notice_each_waking(void *over)
{
	struct pf_activity a = {0};
	bool noticed;

	pf_activity_watch(&a, true);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		await_rest(&a);
		tell(&asked);
		await(&answered, i);
		/* It runs, or sleeps already: in the kernel's books when it does. Until then a look of ours that was
		 * interrupted says "perhaps", and the next one "none": noticed is what two of them say. */
		noticed = false;
		for (int64_t until_ns = pf_clock_now_ns() + 10ll * PF_NS_PER_SECOND;
		     !noticed && pf_clock_now_ns() < until_ns; usleep(1000))
			noticed = !pf_activity_is_none(&a) && !pf_activity_is_none(&a);
		misses += !noticed;
	}
	pf_activity_watch(&a, false);
	tell(over);
	return NULL;
}

static void who_only_wakes_and_sleeps_again_is_noticed(void **state)
{
	uint32_t over = 0;
	pthread_t waker;

	asked = answered = 0;
	misses = 0;
	pthread_create(&waker, NULL, wake_for_a_moment, NULL);
	assert_int_equal(pf_crew_start("ask", notice_each_waking, &over), 0);
	await(&over, 1);
	pthread_join(waker, NULL);
	assert_int_equal(misses, 0);
}

static bool unmarked, unwatched, forgotten;

static void *ask_without_watching(void *over)
{
	struct pf_activity a = {0};

	unmarked = pf_activity_is_none(&a);
	pf_activity_mark(&a);
	unwatched = pf_activity_is_none(&a);
	pf_activity_watch(&a, true);
	await_rest(&a);
	pf_activity_watch(&a, true);
	pf_activity_watch(&a, false);
	forgotten = pf_activity_is_none(&a);
	tell(over);
	return NULL;
}

static void without_a_watch_or_a_mark_the_answer_is_perhaps(void **state)
{
	uint32_t over = 0;

	unmarked = unwatched = forgotten = true;
	assert_int_equal(pf_crew_start("ask", ask_without_watching, &over), 0);
	await(&over, 1);
	assert_false(unmarked);
	assert_false(unwatched);
	assert_false(forgotten);
}

static void *two_at_a_time(void *over)
{
	struct pf_activity a = {0}, b = {0};

	pf_activity_watch(&a, true);
	pf_activity_watch(&b, true);
	await_rest(&b);
	pf_activity_watch(&a, false);
	/* Its own timer is there still. */
	await_rest(&b);
	pf_activity_watch(&b, false);
	tell(over);
	return NULL;
}

static void who_stops_watching_leaves_others_their_watch(void **state)
{
	uint32_t over = 0;

	assert_int_equal(pf_crew_start("ask", two_at_a_time, &over), 0);
	await(&over, 1);
}

static bool same_moment_same_stage, unwatched_goes_on, rest_keeps, busy_stops, runner_stops,
    calm_starts;

/* Looks that find what they are told to; returns whether it is watched then. */
static bool after_looks(struct pf_activity *a, int64_t *now_ns, int looks, bool ran, bool runs)
{
	for (int i = 0; i < looks; i++) {
		pf_activity_step(a, ++*now_ns);
		pf_activity_found(a, ran, runs);
	}
	pf_activity_step(a, ++*now_ns);
	return a->timer != 0;
}

static void *step_by_step(void *over)
{
	struct pf_activity a = {0};
	int64_t now_ns = 1;
	uint32_t stage = pf_activity_step(&a, now_ns);

	same_moment_same_stage = pf_activity_step(&a, now_ns) == stage;
	unwatched_goes_on = pf_activity_step(&a, ++now_ns) != stage;
	calm_starts = after_looks(&a, &now_ns, 1, false, false);
	do {
		stage = pf_activity_step(&a, ++now_ns);
		usleep(1000);
	} while (pf_activity_step(&a, ++now_ns) != stage); /* until the test's own thread sleeps */
	rest_keeps = a.timer != 0;
	busy_stops =
	    after_looks(&a, &now_ns, 3, true, false) && !after_looks(&a, &now_ns, 1, true, false);
	calm_starts = calm_starts && after_looks(&a, &now_ns, 1, false, false);
	runner_stops = !after_looks(&a, &now_ns, 1, true, true);
	pf_activity_rest(&a);
	tell(over);
	return NULL;
}

static void steps_watch_while_looks_find_that_nobody_had_run(void **state)
{
	uint32_t over = 0;

	assert_int_equal(pf_crew_start("ask", step_by_step, &over), 0);
	await(&over, 1);
	assert_true(same_moment_same_stage);
	assert_true(unwatched_goes_on);
	assert_true(rest_keeps);
	assert_true(busy_stops);
	assert_true(calm_starts);
	assert_true(runner_stops);
}

static int refused_is_perhaps(void)
{
	struct pf_activity a = {0};

	life_forbid(SYS_timer_create);
	pf_activity_watch(&a, true);
	pf_activity_mark(&a);
	return a.timer == 0 && !pf_activity_is_none(&a) ? 0 : 1;
}

static void behind_a_filter_the_answer_is_perhaps(void **state)
{
	assert_int_equal(life_apart(refused_is_perhaps), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_only_wakes_and_sleeps_again_is_noticed),
	    cmocka_unit_test(without_a_watch_or_a_mark_the_answer_is_perhaps),
	    cmocka_unit_test(who_stops_watching_leaves_others_their_watch),
	    cmocka_unit_test(steps_watch_while_looks_find_that_nobody_had_run),
	    cmocka_unit_test(behind_a_filter_the_answer_is_perhaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
