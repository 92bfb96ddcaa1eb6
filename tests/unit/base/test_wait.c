#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

static const int64_t FOR_EVER = INT64_MAX / 2;

static void a_wait_lasts_until_its_deadline(void **state)
{
	struct pf_wait wait = PF_WAIT_INIT;
	int64_t deadline = pf_clock_now_ns() + 20 * PF_NS_PER_MS;

	assert_int_equal(pf_wait_until(&wait, deadline), 0);
	assert_true(pf_clock_now_ns() >= deadline);
}

static void without_an_owner_the_deadline_counts(void **state)
{
	int64_t deadline = pf_clock_now_ns() + 5 * PF_NS_PER_MS;

	assert_int_equal(pf_wait_until(NULL, deadline), 0);
	assert_true(pf_clock_now_ns() >= deadline);
	assert_int_equal(pf_wait_until(NULL, 0), 0);
}

static void an_ended_wait_does_not_sleep(void **state)
{
	struct pf_wait stopped = PF_WAIT_INIT, cancelled = PF_WAIT_INIT;

	pf_wait_stop(&stopped);
	pf_wait_cancel(&cancelled);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pf_wait_until(&stopped, FOR_EVER), 1);
		assert_int_equal(pf_wait_until(&cancelled, FOR_EVER), -EINTR);
	}
	/* Even when the deadline has passed, what its owner said comes first. */
	assert_int_equal(pf_wait_until(&stopped, 0), 1);
	assert_int_equal(pf_wait_until(&cancelled, 0), -EINTR);
}

static void a_stop_may_become_a_cancel_and_never_the_other_way(void **state)
{
	struct pf_wait wait = PF_WAIT_INIT;

	pf_wait_stop(&wait);
	pf_wait_cancel(&wait);
	assert_int_equal(pf_wait_until(&wait, FOR_EVER), -EINTR);
	pf_wait_stop(&wait);
	assert_int_equal(pf_wait_until(&wait, FOR_EVER), -EINTR);
}

struct sleeper {
	struct pf_wait *wait;
	bool about_to; /* atomic */
	int rc;
};

static void *sleep_for_ever(void *arg)
{
	struct sleeper *me = arg;

	__atomic_store_n(&me->about_to, true, __ATOMIC_RELEASE);
	me->rc = pf_wait_until(me->wait, FOR_EVER);
	return NULL;
}

/* Three sleepers on one wait, ended at no particular moment: before they sleep, or while. */
static void end_sleepers(void (*end)(struct pf_wait *), int rc)
{
	struct pf_wait wait = PF_WAIT_INIT;
	struct sleeper sleepers[3];
	pthread_t threads[3];

	for (int i = 0; i < 3; i++) {
		sleepers[i] = (struct sleeper){.wait = &wait, .rc = 99};
		assert_int_equal(
		    pthread_create(&threads[i], NULL, sleep_for_ever, &sleepers[i]), 0);
	}
	while (!__atomic_load_n(&sleepers[0].about_to, __ATOMIC_ACQUIRE))
		sched_yield();
	end(&wait);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(sleepers[i].rc, rc);
	}
}

static void stop_wakes_everybody(void **state)
{
	for (int i = 0; i < 200; i++)
		end_sleepers(pf_wait_stop, 1);
}

static void cancel_wakes_everybody(void **state)
{
	for (int i = 0; i < 200; i++)
		end_sleepers(pf_wait_cancel, -EINTR);
}

static void *stop_it(void *wait)
{
	pf_wait_stop(wait);
	return NULL;
}

static void a_cancel_beside_a_stop_is_never_lost(void **state)
{
	for (int i = 0; i < 500; i++) {
		struct pf_wait wait = PF_WAIT_INIT;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, stop_it, &wait), 0);
		pf_wait_cancel(&wait);
		pthread_join(thread, NULL);
		assert_int_equal(pf_wait_until(&wait, FOR_EVER), -EINTR);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_wait_lasts_until_its_deadline),
	    cmocka_unit_test(without_an_owner_the_deadline_counts),
	    cmocka_unit_test(an_ended_wait_does_not_sleep),
	    cmocka_unit_test(a_stop_may_become_a_cancel_and_never_the_other_way),
	    cmocka_unit_test(stop_wakes_everybody),
	    cmocka_unit_test(cancel_wakes_everybody),
	    cmocka_unit_test(a_cancel_beside_a_stop_is_never_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
