/* Events in place of timers, each in a process of its own: more samples than the tick allows, and a
 * program that never notices, whatever it does with the signal and with its limits. */
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/lock.h"
#include "life.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"
#include "sampler/precise.h"
#include "sampler/timer.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t SECOND = 1000000000;

/* The knob as the tree writes it: by a thread of the crew. */
static struct {
	int64_t value;
	int rc;
	uint32_t over; /* atomic, a futex */
} writing;

static void *write_knob(void *unused)
{
	writing.rc = pf_knob_put(PF_KNOB_CPU_PRECISE, writing.value);
	__atomic_store_n(&writing.over, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&writing.over, INT_MAX);
	return unused;
}

static int put_precise(int64_t value)
{
	writing.value = value;
	writing.over = 0;
	if (pf_crew_start("write", write_knob, NULL) < 0)
		abort();
	while (!__atomic_load_n(&writing.over, __ATOMIC_ACQUIRE))
		pf_futex_wait(&writing.over, 0, -1);
	return writing.rc;
}

/* Is the feature, in a while, in this state? */
static bool comes_to(enum pf_feature_state state)
{
	for (int i = 0; i < 1000 && pf_features[PF_FEATURE_CPU_PRECISE].state != state; i++)
		usleep(10000);
	return pf_features[PF_FEATURE_CPU_PRECISE].state == state;
}

static int start(void)
{
	life_start();
	pf_knob_put(PF_KNOB_CPU_HZ, 2000);
	return pf_cpu_enable(true);
}

static bool has_event(pid_t tid)
{
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (t && t->tid == tid && pf_precise_has(t))
			return true;
	}
	return false;
}

/* Events on, and this thread has its own: one that is in the middle of pthread_create (glibc blocks every
 * signal there) when the drainer looks is taken at a later look. */
static bool start_precise(void)
{
	if (start() < 0 || put_precise(1) < 0 || !comes_to(PF_FEATURE_OK))
		return false;
	for (int i = 0; i < 1000; i++) {
		if (has_event(gettid()))
			return true;
		usleep(10000);
	}
	return false;
}

/* Samples of half a second of work. */
static int64_t samples(void)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_SAMPLES);

	life_burn(SECOND / 2);
	return (int64_t)(pf_counter_get(PF_COUNTER_CPU_SAMPLES) - before);
}

/* Half a second at 2000 Hz is 1000; the tick would allow 125. */
static bool is_precise(int64_t count)
{
	int64_t by_tick = SECOND / 2 / pf_timer_tick_ns();

	return count > 2 * by_tick;
}

static int switched_on_and_off(void)
{
	if (!start_precise())
		return 1;
	if (!is_precise(samples()))
		return 2;
	if (put_precise(0) < 0 || !comes_to(PF_FEATURE_OFF))
		return 3;
	return is_precise(samples()) ? 4 : 0;
}

static void events_come_more_often_than_the_tick(void **state)
{
	if (pf_timer_tick_ns() < 4000000)
		skip(); /* a tick of 1000 Hz is as fast as the events asked for */
	assert_int_equal(life_apart(switched_on_and_off), 0);
}

/* The nearest that two may be is 2/3 of 50 ms: 15 in half a second, and one at its edge. */
static bool is_slow(void)
{
	return samples() <= 16;
}

static int the_rate_changes(void)
{
	if (!start_precise())
		return 1;
	if (is_slow())
		return 2;
	pf_knob_put(PF_KNOB_CPU_HZ, 20);
	return life_until(is_slow) ? 0 : 3;
}

static void events_follow_the_rate(void **state)
{
	assert_int_equal(life_apart(the_rate_changes), 0);
}

static int without_events(void)
{
	life_forbid(SYS_perf_event_open);
	if (start() < 0 || put_precise(1) != -EOPNOTSUPP)
		return 1;
	if (pf_features[PF_FEATURE_CPU_PRECISE].state != PF_FEATURE_NONE ||
	    !pf_features[PF_FEATURE_CPU_PRECISE].reason)
		return 2;
	return pf_knob_get(PF_KNOB_CPU_PRECISE) == 0 && samples() > 20 ? 0 : 3;
}

static void where_events_are_forbidden_the_writer_is_told_and_timers_go_on(void **state)
{
	assert_int_equal(life_apart(without_events), 0);
}

static int without_events_from_the_start(void)
{
	life_forbid(SYS_perf_event_open);
	pf_knob_put(PF_KNOB_CPU_PRECISE, 1);
	if (start() < 0 || !comes_to(PF_FEATURE_NONE))
		return 1;
	return samples() > 20 ? 0 : 2;
}

static void where_it_was_asked_for_before_the_start_timers_go_on_too(void **state)
{
	assert_int_equal(life_apart(without_events_from_the_start), 0);
}

/* pf_cpu_enable as the tree does it. */
static void *enable(void *rc)
{
	*(int *)rc = pf_cpu_enable(true);
	__atomic_store_n(&writing.over, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&writing.over, INT_MAX);
	return NULL;
}

static int without_timers(void)
{
	int rc = -1;

	life_forbid(SYS_timer_create);
	life_start();
	pf_knob_put(PF_KNOB_CPU_HZ, 2000);
	writing.over = 0;
	if (pf_crew_start("enable", enable, &rc) < 0)
		abort();
	while (!__atomic_load_n(&writing.over, __ATOMIC_ACQUIRE))
		pf_futex_wait(&writing.over, 0, -1);
	if (rc != 0)
		return 1;
	/* Perhaps at a later look only: this thread was in pthread_create, its signals blocked. */
	if (!comes_to(PF_FEATURE_OK))
		return 2;
	if (pf_features[PF_FEATURE_CPU].state != PF_FEATURE_DEGRADED)
		return 3;
	return samples() > 20 ? 0 : 4;
}

static void where_timers_are_forbidden_events_stand_in_for_them(void **state)
{
	assert_int_equal(life_apart(without_timers), 0);
}

static bool over; /* atomic */

static void *burn(void *tid)
{
	__atomic_store_n((pid_t *)tid, gettid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		life_burn(SECOND / 100);
	return NULL;
}

static pid_t later_tid; /* atomic */

static bool later_has_event(void)
{
	return has_event(__atomic_load_n(&later_tid, __ATOMIC_ACQUIRE));
}

static bool so_have_i(void)
{
	return has_event(gettid());
}

static int without_timers_later(void)
{
	pthread_t later;

	if (start() < 0 || samples() == 0 || pf_features[PF_FEATURE_CPU].state != PF_FEATURE_OK)
		return 1;
	life_forbid_everybody(SYS_timer_create);
	if (pthread_create(&later, NULL, burn, &later_tid) != 0)
		return 2;
	if (!life_until(later_has_event) || !life_until(so_have_i))
		return 3;
	if (pf_features[PF_FEATURE_CPU].state != PF_FEATURE_DEGRADED)
		return 4;
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(later, NULL);
	return samples() > 20 ? 0 : 5;
}

static void where_they_are_forbidden_later_events_stand_in_for_them_too(void **state)
{
	assert_int_equal(life_apart(without_timers_later), 0);
}

static void of_the_program(int signal)
{
	_exit(99);
}

static int the_program_has_the_signal(void)
{
	struct sigaction mine = {.sa_handler = of_the_program}, now;

	sigaction(SIGURG, &mine, NULL);
	if (start() < 0 || put_precise(1) != -EOPNOTSUPP)
		return 1;
	sigaction(SIGURG, NULL, &now);
	return now.sa_handler == of_the_program && samples() > 20 ? 0 : 2;
}

static void a_program_that_handles_the_signal_keeps_it(void **state)
{
	assert_int_equal(life_apart(the_program_has_the_signal), 0);
}

static int the_program_sends_the_signal(void)
{
	int64_t before;

	if (!start_precise())
		return 1;
	before = (int64_t)pf_counter_get(PF_COUNTER_CPU_SAMPLES);
	for (int i = 0; i < 5000; i++)
		raise(SIGURG);
	return (int64_t)pf_counter_get(PF_COUNTER_CPU_SAMPLES) - before < 2500 ? 0 : 2;
}

static void the_programs_own_signals_are_not_samples(void **state)
{
	assert_int_equal(life_apart(the_program_sends_the_signal), 0);
}

/* A queue without room is where perf's other way of telling ends a program. */
static int no_signal_can_be_queued(void)
{
	struct rlimit none = {0, 0};

	if (!start_precise())
		return 1;
	setrlimit(RLIMIT_SIGPENDING, &none);
	return is_precise(samples()) ? 0 : 2;
}

static void a_program_without_room_for_signals_lives_and_is_sampled(void **state)
{
	assert_int_equal(life_apart(no_signal_can_be_queued), 0);
}

static int the_signal_is_blocked(void)
{
	struct rlimit few = {10, 10};
	sigset_t all;

	setrlimit(RLIMIT_SIGPENDING, &few);
	if (!start_precise())
		return 1;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (samples() > 0)
		return 2;
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	life_burn(SECOND / 10);
	return 0;
}

static void signals_do_not_pile_up_behind_a_blocked_one(void **state)
{
	assert_int_equal(life_apart(the_signal_is_blocked), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(events_come_more_often_than_the_tick),
	    cmocka_unit_test(events_follow_the_rate),
	    cmocka_unit_test(where_events_are_forbidden_the_writer_is_told_and_timers_go_on),
	    cmocka_unit_test(where_it_was_asked_for_before_the_start_timers_go_on_too),
	    cmocka_unit_test(where_timers_are_forbidden_events_stand_in_for_them),
	    cmocka_unit_test(where_they_are_forbidden_later_events_stand_in_for_them_too),
	    cmocka_unit_test(a_program_that_handles_the_signal_keeps_it),
	    cmocka_unit_test(the_programs_own_signals_are_not_samples),
	    cmocka_unit_test(a_program_without_room_for_signals_lives_and_is_sampled),
	    cmocka_unit_test(signals_do_not_pile_up_behind_a_blocked_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
