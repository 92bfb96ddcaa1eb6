/* CPU samples: real timers on real threads, whose right answer is their own CPU clock. */
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "life.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"
#include "sampler/signal.h"
#include "sampler/threadcreate_hook.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t SECOND = 1000000000;

/* Of `got`, how much it misses of `truth`, in tenths of a percent. */
static int64_t off_by(int64_t got, int64_t truth)
{
	return llabs(got - truth) * 1000 / truth;
}

static volatile uint64_t sink;

#define BURNER(name, n)                                                                            \
	static __attribute__((noinline)) void name(int64_t until_ns)                               \
	{                                                                                          \
		while (life_own_cpu_ns() < until_ns)                                               \
			for (int i = 0; i < 20000; i++)                                            \
				sink = sink * 31 + n;                                              \
	}
BURNER(seventy, 1)
BURNER(thirty, 2)

/* Truth: seventy() has 70 % and thirty() 30 % of every stretch, whose lengths have no measure in
 * common, so that no frequency can fall in step with them. */
static void two_functions_have_their_shares(void **state)
{
	int64_t at = life_own_cpu_ns(), end = at + 5 * SECOND;
	int64_t of_seventy = 0, of_thirty = 0, total;
	size_t size = (size_t)labs((char *)thirty - (char *)seventy);
	uint32_t random = 1;
	struct life life;

	life_begin(&life, pf_cpu_collect, 1000);
	while (at < end) {
		int64_t length;

		random = random * 1664525 + 1013904223;
		length = 50000000 + random % 100000000;
		seventy(at + length * 7 / 10);
		thirty(at + length);
		at += length;
	}
	assert_int_equal(life_end(&life), 0);
	for (size_t i = 0; i < life.profile.sample_count; i++) {
		const struct pf_sample *s = &life.profile.samples[i];

		if (life_contains(&life.profile, s, (const void *)seventy, size))
			of_seventy += s->value[1];
		else if (life_contains(&life.profile, s, (const void *)thirty, size))
			of_thirty += s->value[1];
	}
	total = life_sum(&life.profile, 0, 1);
	assert_in_range(of_seventy * 1000 / total, 670, 730);
	assert_in_range(of_thirty * 1000 / total, 270, 330);
	assert_string_equal(life.profile.types[1].type, "cpu");
	assert_int_equal(life.profile.period, 1000000);
	pf_profile_finish(&life.profile);
}

static void time_of_a_thread_is_its_clock_to_a_thousandth(void **state)
{
	int64_t before, used;
	struct life life;

	life_begin(&life, pf_cpu_collect, 97);
	before = life_own_cpu_ns();
	life_burn(SECOND);
	used = life_own_cpu_ns() - before;
	assert_int_equal(life_end(&life), 0);
	assert_in_range(off_by(life_sum(&life.profile, getpid(), 1), used), 0, 1);
	assert_true(life.profile.sample_count > 0);
	assert_string_equal(life.profile.name, "cpu");
	assert_string_equal(
	    life_text(&life.profile, &life.profile.samples[0], "thread"), "test_cpu");
	pf_profile_finish(&life.profile);
}

enum { WORKERS = 16 };

struct worker {
	pthread_t thread;
	pid_t tid;
	int number;
	int64_t used_ns;
};

/* Truth: worker n works for n + 1 thousandths of a second of CPU at a time, then sleeps a little. */
static void *work(void *arg)
{
	struct worker *w = arg;
	int64_t before = life_own_cpu_ns();

	w->tid = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < 25; i++) {
		life_burn((w->number + 1) * 1000000ll);
		usleep(1000);
	}
	w->used_ns = life_own_cpu_ns() - before;
	return NULL;
}

static void sixteen_threads_have_their_shares(void **state)
{
	struct worker workers[WORKERS];
	int64_t total = 0;
	struct life life;

	life_begin(&life, pf_cpu_collect, 97);
	for (int i = 0; i < WORKERS; i++) {
		workers[i].number = i;
		assert_int_equal(
		    pf_threadcreate_pthread(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		total += workers[i].used_ns;
	}
	assert_int_equal(life_end(&life), 0);
	for (int i = 0; i < WORKERS; i++) {
		int64_t got = life_sum(&life.profile, workers[i].tid, 1);

		/* Within a point of all the time there was. */
		assert_true(llabs(got - workers[i].used_ns) * 100 < total);
	}
	pf_profile_finish(&life.profile);
}

static int64_t short_used_ns; /* atomic */

static __attribute__((noinline)) void *live_shortly(void *unused)
{
	life_burn(1500000);
	__atomic_fetch_add(&short_used_ns, life_own_cpu_ns(), __ATOMIC_RELAXED);
	return unused;
}

/* By all threads that ever were but this one and ours; the clock of a process counts what they used. */
static int64_t used_by_others(void)
{
	return pf_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - life_own_cpu_ns() - pf_crew_cpu_ns();
}

/* Truth: 2000 threads of 1.5 ms each, far shorter than a period and than a tick, all of it below
 * live_shortly(). How many of them a tick meets is chance (and not fair chance: on a busy machine
 * threads start right behind ticks); that nothing is missing is not. */
static void thousands_of_short_threads_lose_no_time(void **state)
{
	int64_t total = 0, all, most;
	struct life life;

	short_used_ns = 0;
	most = -used_by_others();
	life_begin(&life, pf_cpu_collect, 1000);
	for (int i = 0; i < 1000; i++) {
		pthread_t pair[2];

		for (int k = 0; k < 2; k++)
			assert_int_equal(
			    pf_threadcreate_pthread(&pair[k], NULL, live_shortly, NULL), 0);
		for (int k = 0; k < 2; k++)
			pthread_join(pair[k], NULL);
	}
	assert_int_equal(life_end(&life), 0);
	most += used_by_others();
	for (size_t i = 0; i < life.profile.sample_count; i++) {
		const struct pf_sample *s = &life.profile.samples[i];

		if (life_number(&life.profile, s, "tid") == getpid())
			continue;
		if (life_contains(&life.profile, s, (const void *)live_shortly, 256))
			total += s->value[1];
	}
	assert_true(total >= short_used_ns / 100 * 95);
	/* With its start and its end a thread uses a little more than it sees itself. */
	all = life_sum(&life.profile, 0, 1) - life_sum(&life.profile, getpid(), 1);
	assert_in_range(all, short_used_ns, most);
	pf_profile_finish(&life.profile);
}

static int64_t blocked_used_ns;
static pid_t blocked_tid;

static void *block_and_burn(void *counted)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_LOST_BLOCKED);
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	blocked_tid = (pid_t)syscall(SYS_gettid);
	while (pf_counter_get(PF_COUNTER_CPU_LOST_BLOCKED) == before)
		life_burn(SECOND / 50);
	blocked_used_ns = life_own_cpu_ns();
	return counted;
}

static void a_thread_that_blocks_the_signal_is_counted_and_its_time_shown(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_LOST_BLOCKED);
	struct life life;
	pthread_t thread;

	life_begin(&life, pf_cpu_collect, 97);
	assert_int_equal(pf_threadcreate_pthread(&thread, NULL, block_and_burn, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(life_end(&life), 0);
	assert_int_equal(pf_counter_get(PF_COUNTER_CPU_LOST_BLOCKED), before + 1);
	assert_true(life_sum(&life.profile, blocked_tid, 1) >= blocked_used_ns);
	assert_true(life_at_leaf(&life.profile, PF_PC_NOT_SAMPLED, 1) >= blocked_used_ns);
	pf_profile_finish(&life.profile);
}

static uint32_t let_go; /* atomic */
static int64_t used_after_ns;

/* Looks as one that blocks the signal for good, until it is let go; then it burns until a sample of
 * it has been taken, and notes how long that took of its CPU time. */
static void *block_for_a_moment(void *unused)
{
	sigset_t all, before;
	uint64_t samples;
	int64_t since;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	blocked_tid = (pid_t)syscall(SYS_gettid);
	while (!__atomic_load_n(&let_go, __ATOMIC_ACQUIRE))
		life_burn(SECOND / 1000);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	samples = pf_counter_get(PF_COUNTER_CPU_SAMPLES);
	since = life_own_cpu_ns();
	while (pf_counter_get(PF_COUNTER_CPU_SAMPLES) == samples)
		life_burn(SECOND / 1000);
	used_after_ns = life_own_cpu_ns() - since;
	return unused;
}

/* The window opens just while the thread blocks all signals, as inside pthread_create. */
static void who_blocks_the_signal_for_a_moment_is_sampled_soon_after(void **state)
{
	int64_t began_ns, blocked_ns;
	pthread_t thread;
	struct life life;

	blocked_tid = 0;
	let_go = 0;
	assert_int_equal(pthread_create(&thread, NULL, block_for_a_moment, NULL), 0);
	while (!__atomic_load_n(&blocked_tid, __ATOMIC_ACQUIRE))
		usleep(1000);
	began_ns = pf_clock_now_ns();
	life_begin(&life, pf_cpu_collect, 1000);
	blocked_ns = pf_clock_now_ns() - began_ns;
	__atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(life_end(&life), 0);
	/* Looked at again after about as long as it has been met so; the next look of all threads is
	 * a second after the first. */
	assert_true(used_after_ns < 2 * blocked_ns + SECOND / 4);
	pf_profile_finish(&life.profile);
}

static uint64_t samples_wanted;

static bool enough_samples(void)
{
	return pf_counter_get(PF_COUNTER_CPU_SAMPLES) >= samples_wanted;
}

static void without_room_for_timers_threads_are_counted_and_their_time_shown(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_LOST_TIMER);
	struct rlimit all, none = {0, 0};
	struct life life;
	int64_t used;

	assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &all), 0);
	none.rlim_max = all.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	life_begin(&life, pf_cpu_collect, 97);
	used = life_own_cpu_ns();
	life_burn(SECOND / 2);
	used = life_own_cpu_ns() - used;
	assert_int_equal(pf_counter_get(PF_COUNTER_CPU_LOST_TIMER), before + 1);
	/* The next scan finds room. */
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &all), 0);
	samples_wanted = pf_counter_get(PF_COUNTER_CPU_SAMPLES) + 10;
	assert_true(life_burn_until(enough_samples));
	assert_int_equal(life_end(&life), 0);
	assert_true(life_sum(&life.profile, getpid(), 0) > 5);
	assert_true(life_sum(&life.profile, getpid(), 1) >= used);
	pf_profile_finish(&life.profile);
}

static void the_recorder_has_what_was_before_the_question(void **state)
{
	struct life life;
	int64_t used;

	assert_int_equal(life_collect(&life, pf_cpu_collect, 0), -ENODATA);
	pf_profile_finish(&life.profile);
	assert_int_equal(pf_cpu_enable(true), 0);
	assert_int_equal(pf_cpu_enable(true), 0);
	assert_true(pf_cpu_enabled());
	used = life_own_cpu_ns();
	life_burn(SECOND / 2);
	used = life_own_cpu_ns() - used;
	assert_int_equal(life_collect(&life, pf_cpu_collect, 0), 0);
	assert_true(off_by(life_sum(&life.profile, getpid(), 1), used) < 10);
	pf_profile_finish(&life.profile);
	assert_int_equal(pf_cpu_enable(false), 0);
	assert_false(pf_cpu_enabled());
	assert_false(pf_cpu_active());
	assert_int_equal(life_collect(&life, pf_cpu_collect, 0), -ENODATA);
	pf_profile_finish(&life.profile);
}

static void two_windows_at_a_time_see_the_same(void **state)
{
	struct life slow, fast;
	int64_t used, used_before;

	life_begin(&slow, pf_cpu_collect, 97);
	used_before = life_own_cpu_ns();
	life_begin(&fast, pf_cpu_collect, 997);
	used = life_own_cpu_ns();
	used_before = used - used_before;
	life_burn(SECOND / 2);
	used = life_own_cpu_ns() - used;
	assert_int_equal(life_end(&fast), 0);
	assert_int_equal(life_end(&slow), 0);
	assert_true(off_by(life_sum(&fast.profile, getpid(), 1), used) < 10);
	assert_true(off_by(life_sum(&slow.profile, getpid(), 1), used_before + used) < 10);
	assert_int_equal(fast.profile.period, SECOND / 997);
	assert_int_equal(slow.profile.period, SECOND / 97);
	pf_profile_finish(&fast.profile);
	pf_profile_finish(&slow.profile);
}

static void a_cancelled_capture_is_interrupted_and_stops_the_timers(void **state)
{
	struct life life;

	life_begin(&life, pf_cpu_collect, 97);
	assert_true(pf_cpu_active());
	pf_wait_cancel(&life.wait);
	assert_int_equal(life_end(&life), -EINTR);
	assert_false(pf_cpu_active());
	pf_profile_finish(&life.profile);
}

static bool half_a_second_has_fifty(void)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_SAMPLES);

	life_burn(SECOND / 2);
	return pf_counter_get(PF_COUNTER_CPU_SAMPLES) - before > 50;
}

static void a_change_of_hz_changes_the_samples(void **state)
{
	struct life life;

	assert_int_equal(pf_knob_put(PF_KNOB_CPU_HZ, 10), 0);
	life_begin(&life, pf_cpu_collect, 0);
	assert_false(half_a_second_has_fifty());
	assert_int_equal(pf_knob_put(PF_KNOB_CPU_HZ, 200), 0);
	assert_true(life_until(half_a_second_has_fifty));
	assert_int_equal(life_end(&life), 0);
	assert_int_equal(pf_knob_put(PF_KNOB_CPU_HZ, 97), 0);
	pf_profile_finish(&life.profile);
}

static __attribute__((noinline)) void throw_signal(union sigval value)
{
	siginfo_t info = {0};

	info.si_signo = pf_signal_number();
	info.si_code = SI_QUEUE;
	info.si_value = value;
	assert_int_equal(
	    syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), info.si_signo, &info), 0);
}

static void a_foreign_signal_is_counted_and_does_no_harm(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_FOREIGN_SIGNAL);

	throw_signal((union sigval){.sival_int = 42});
	assert_int_equal(syscall(SYS_tgkill, getpid(), getpid(), pf_signal_number()), 0);
	assert_int_equal(pf_counter_get(PF_COUNTER_CPU_FOREIGN_SIGNAL), before + 2);
}

static int program_signals; /* atomic */

static void of_the_program(int signal)
{
	__atomic_fetch_add(&program_signals, 1, __ATOMIC_RELAXED);
}

static int first_signal;

static bool has_another_signal(void)
{
	return pf_signal_number() != first_signal &&
	       pf_features[PF_FEATURE_CPU].state == PF_FEATURE_DEGRADED;
}

static void a_program_that_takes_our_signal_keeps_it_and_sampling_goes_on(void **state)
{
	int first = pf_signal_number();
	struct sigaction mine = {.sa_handler = of_the_program}, now;
	struct life life;

	life_begin(&life, pf_cpu_collect, 97);
	assert_int_equal(sigaction(first, &mine, NULL), 0);
	first_signal = first;
	assert_true(life_until(has_another_signal)); /* the drainer looks once a second */
	program_signals = 0;
	life_burn(SECOND / 2);
	assert_int_equal(program_signals, 0);
	assert_int_equal(sigaction(first, NULL, &now), 0);
	assert_true(now.sa_handler == of_the_program);
	assert_int_equal(life_end(&life), 0);
	assert_true(life_sum(&life.profile, getpid(), 0) > 10);
	pf_profile_finish(&life.profile);
}

/* What the child of a sampled program sees. */
static int in_the_child(void)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_SAMPLES);

	pf_crew_forget();
	pf_cpu_fork_child();
	life_burn(SECOND / 10);
	if (pf_cpu_active() || pf_counter_get(PF_COUNTER_CPU_SAMPLES) != before)
		return 1;
	/* And it may be sampled anew. */
	life_start();
	if (pf_cpu_enable(true) != 0)
		return 2;
	samples_wanted = before + 5;
	return life_burn_until(enough_samples) ? 0 : 3;
}

static void a_child_is_not_sampled_until_it_starts_anew(void **state)
{
	struct life life;
	int status;
	pid_t child;

	life_begin(&life, pf_cpu_collect, 97);
	child = fork();
	if (child == 0)
		_exit(in_the_child());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(life_end(&life), 0);
	pf_profile_finish(&life.profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_functions_have_their_shares),
	    cmocka_unit_test(time_of_a_thread_is_its_clock_to_a_thousandth),
	    cmocka_unit_test(sixteen_threads_have_their_shares),
	    cmocka_unit_test(thousands_of_short_threads_lose_no_time),
	    cmocka_unit_test(a_thread_that_blocks_the_signal_is_counted_and_its_time_shown),
	    cmocka_unit_test(who_blocks_the_signal_for_a_moment_is_sampled_soon_after),
	    cmocka_unit_test(without_room_for_timers_threads_are_counted_and_their_time_shown),
	    cmocka_unit_test(the_recorder_has_what_was_before_the_question),
	    cmocka_unit_test(two_windows_at_a_time_see_the_same),
	    cmocka_unit_test(a_cancelled_capture_is_interrupted_and_stops_the_timers),
	    cmocka_unit_test(a_change_of_hz_changes_the_samples),
	    cmocka_unit_test(a_foreign_signal_is_counted_and_does_no_harm),
	    cmocka_unit_test(a_program_that_takes_our_signal_keeps_it_and_sampling_goes_on),
	    cmocka_unit_test(a_child_is_not_sampled_until_it_starts_anew),
	};

	life_start();
	pf_thread_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
