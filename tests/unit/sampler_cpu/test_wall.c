/* Wall-clock samples: every thread is somewhere all the time, whether it runs or not. */
#include "base/clock.h"
#include "base/counter.h"
#include "life.h"
#include "sampler/sampler.h"
#include "sampler/threadcreate_hook.h"
#include "sampler/wall.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t SECOND = 1000000000;

static int over; /* atomic */

struct actor {
	pthread_t thread;
	pid_t tid; /* atomic */
};

static void *sleep_on(void *arg)
{
	struct actor *a = arg;

	__atomic_store_n(&a->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		poll(NULL, 0, 300);
	return NULL;
}

static void *run_on(void *arg)
{
	struct actor *a = arg;

	__atomic_store_n(&a->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		life_burn(1000000);
	return NULL;
}

static void begin(struct actor *a, void *(*act)(void *))
{
	a->tid = 0;
	assert_int_equal(pf_threadcreate_pthread(&a->thread, NULL, act, a), 0);
	while (!__atomic_load_n(&a->tid, __ATOMIC_ACQUIRE))
		sched_yield();
}

/* Time of a thread in a state. */
static int64_t time_in(const struct pf_profile *p, pid_t tid, const char *what)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->sample_count; i++)
		if (life_number(p, &p->samples[i], "tid") == tid &&
		    strcmp(life_text(p, &p->samples[i], "state"), what) == 0)
			sum += p->samples[i].value[1];
	return sum;
}

static uint64_t samples_wanted;

static bool enough_samples(void)
{
	return pf_counter_get(PF_COUNTER_WALL_SAMPLES) >= samples_wanted;
}

static void every_thread_has_the_whole_time_in_its_state(void **state)
{
	struct actor sleeper, runner;
	struct life life;
	int64_t all;

	over = 0;
	begin(&sleeper, sleep_on);
	begin(&runner, run_on);
	samples_wanted = pf_counter_get(PF_COUNTER_WALL_SAMPLES) + 3 * 12;
	life_begin(&life, pf_wall_collect, 0);
	usleep(1000000);
	assert_true(life_until(enough_samples));
	assert_int_equal(life_end(&life), 0);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	all = life.profile.duration_ns;
	assert_true(all >= SECOND);
	assert_int_equal(life_sum(&life.profile, sleeper.tid, 1), all);
	assert_int_equal(life_sum(&life.profile, runner.tid, 1), all);
	/* A thread asleep is asleep, but for the moments in which it wakes and looks. */
	assert_true(time_in(&life.profile, sleeper.tid, "poll") > all / 2);
	assert_true(time_in(&life.profile, runner.tid, "running") > all / 2);
	assert_true(life_sum(&life.profile, sleeper.tid, 0) >= 10);
	assert_string_equal(life.profile.types[1].type, "wall");
	assert_int_equal(life.profile.period, SECOND / 20);
	pf_profile_finish(&life.profile);
	pthread_join(sleeper.thread, NULL);
	pthread_join(runner.thread, NULL);
}

static uint32_t calls; /* atomic */

/* Each call is longer than a tick waits, and a thread answers on its way out of the kernel. */
static __attribute__((noinline)) void *stay_in_the_kernel(void *arg)
{
	enum { SIZE = 64 << 20 };
	struct actor *a = arg;

	__atomic_store_n(&a->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		munmap(memory, SIZE);
		__atomic_fetch_add(&calls, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void an_answer_that_comes_late_is_for_the_ticks_that_waited(void **state)
{
	struct actor sleeper, runner;
	struct life life;
	int64_t all;

	over = 0;
	begin(&sleeper, sleep_on);
	begin(&runner, stay_in_the_kernel);
	life_begin(&life, pf_wall_collect, 500);
	__atomic_store_n(&calls, 0, __ATOMIC_RELEASE);
	while (__atomic_load_n(&calls, __ATOMIC_ACQUIRE) < 20)
		usleep(10000);
	assert_int_equal(life_end(&life), 0);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	/* Nothing is lost and nothing counted twice. */
	all = life.profile.duration_ns;
	assert_int_equal(life_sum(&life.profile, runner.tid, 1), all);
	assert_int_equal(life_sum(&life.profile, sleeper.tid, 1), all);
	/* A tick of 2 ms waits for 1, and such a call takes 10 and more. */
	assert_true(life_at_leaf(&life.profile, PF_PC_NO_STACK, 1) < all / 4);
	pf_profile_finish(&life.profile);
	pthread_join(sleeper.thread, NULL);
	pthread_join(runner.thread, NULL);
}

static int64_t ran_ns; /* of one that runs for moments */

/* A tenth of the time, each time shorter than the kernel's tick of 4 ms and at another moment of ours. */
static __attribute__((noinline)) void *run_for_moments(void *arg)
{
	struct actor *a = arg;
	struct timespec used;

	__atomic_store_n(&a->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (useconds_t i = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); i++) {
		life_burn(1500000);
		usleep(9000 + i * 7919 % 9000);
	}
	syscall(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &used);
	ran_ns = used.tv_sec * SECOND + used.tv_nsec;
	return NULL;
}

/* The tick that meets it running has its answer when the kernel's tick meets it, some sleeps later. */
static void who_runs_for_moments_has_these_with_a_stack(void **state)
{
	struct actor runner;
	struct life life;
	int64_t running, unknown;

	over = 0;
	begin(&runner, run_for_moments);
	life_begin(&life, pf_wall_collect, 200);
	samples_wanted = pf_counter_get(PF_COUNTER_WALL_SAMPLES) + 2 * 200 * 4;
	sleep(3);
	assert_true(life_until(enough_samples));
	assert_int_equal(life_end(&life), 0);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	pthread_join(runner.thread, NULL);
	running = time_in(&life.profile, runner.tid, "running");
	unknown = life_at_leaf(&life.profile, PF_PC_NO_STACK, 1);
	print_message("ran %lld ms, met running %lld ms, of these without a stack %lld\n",
	    (long long)ran_ns / 1000000, (long long)running / 1000000,
	    (long long)unknown / 1000000);
	/* Some 80 of 800 ticks meet it. It waits for a processor, too. */
	assert_true(running > ran_ns / 2);
	assert_true(unknown < running / 4);
	assert_int_equal(life_sum(&life.profile, runner.tid, 1), life.profile.duration_ns);
	pf_profile_finish(&life.profile);
}

/* Says what it works for while it does. */
static void *run_with_a_label(void *arg)
{
	struct actor *a = arg;

	__atomic_store_n(&a->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (useconds_t i = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); i++) {
		pf_label_set("request", "one");
		life_burn(3000000);
		pf_label_clear("request");
		usleep(9000 + i * 7919 % 9000);
	}
	return NULL;
}

/* The answer's, not those of the tick that has it: then the thread sleeps, and works for nothing. */
static void an_answer_has_the_labels_of_its_moment(void **state)
{
	int64_t running = 0, labelled = 0;
	struct actor runner;
	struct life life;

	over = 0;
	begin(&runner, run_with_a_label);
	samples_wanted = pf_counter_get(PF_COUNTER_WALL_SAMPLES) + 2 * 20 * 6;
	life_begin(&life, pf_wall_collect, 20);
	sleep(5);
	assert_true(life_until(enough_samples));
	assert_int_equal(life_end(&life), 0);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	pthread_join(runner.thread, NULL);
	for (size_t i = 0; i < life.profile.sample_count; i++) {
		const struct pf_sample *s = &life.profile.samples[i];
		const char *request = life_text(&life.profile, s, "request");

		if (life_number(&life.profile, s, "tid") != runner.tid ||
		    strcmp(life_text(&life.profile, s, "state"), "running") != 0)
			continue;
		running += s->value[1];
		if (request && strcmp(request, "one") == 0)
			labelled += s->value[1];
	}
	print_message("running %lld ms, of these with its label %lld\n",
	    (long long)running / 1000000, (long long)labelled / 1000000);
	assert_true(labelled > running / 4 * 3);
	pf_profile_finish(&life.profile);
}

static int64_t lived_ns; /* one after another */

static void *live_for_a_moment(void *unused)
{
	int64_t begun_ns = pf_clock_now_ns();

	usleep(2000);
	lived_ns += pf_clock_now_ns() - begun_ns;
	return unused;
}

/* One after another: at nearly every tick there is one, and none is older than a fifth of a period. */
static void threads_that_live_shorter_than_a_period_have_their_time(void **state)
{
	struct life life;
	pthread_t thread;
	int64_t all;

	lived_ns = 0;
	life_begin(&life, pf_wall_collect, 100);
	while (lived_ns < SECOND) {
		assert_int_equal(
		    pf_threadcreate_pthread(&thread, NULL, live_for_a_moment, NULL), 0);
		pthread_join(thread, NULL);
	}
	assert_int_equal(life_end(&life), 0);
	all = life_sum(&life.profile, 0, 1) - life_sum(&life.profile, getpid(), 1);
	assert_true(all > lived_ns / 2);
	pf_profile_finish(&life.profile);
}

static void *sleep_for_ever(void *arg)
{
	struct actor *a = arg;

	__atomic_store_n(&a->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	poll(NULL, 0, -1);
	return NULL;
}

static uint64_t reuses_wanted;

static bool enough_reuses(void)
{
	return pf_counter_get(PF_COUNTER_WALL_REUSED) >= reuses_wanted;
}

static void a_thread_that_has_not_run_is_not_read_again(void **state)
{
	struct actor sleepers[50];
	uint64_t reads, reuses;
	struct life life;

	for (int i = 0; i < 50; i++) {
		begin(&sleepers[i], sleep_for_ever);
		life_wait_asleep(&sleepers[i].tid);
	}
	life_begin(&life, pf_wall_collect, 100);
	reads = pf_counter_get(PF_COUNTER_THREAD_READ);
	reuses = pf_counter_get(PF_COUNTER_WALL_REUSED);
	reuses_wanted = reuses + 50 * 5;
	usleep(500000);
	assert_true(life_until(enough_reuses));
	assert_int_equal(life_end(&life), 0);
	reads = pf_counter_get(PF_COUNTER_THREAD_READ) - reads;
	reuses = pf_counter_get(PF_COUNTER_WALL_REUSED) - reuses;
	/* The main thread alone has run meanwhile. */
	assert_true(reads <= reuses / 50 + 2);
	pf_profile_finish(&life.profile);
}

static uint64_t readings; /* atomic: of threads' CPU clocks, by anybody */

/* In libc's place, for this program alone. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
	if (clock < 0)
		__atomic_fetch_add(&readings, 1, __ATOMIC_RELAXED);
	return (int)syscall(SYS_clock_gettime, clock, time);
}

/* Before a thread is looked at, its clock is read. */
static void a_tick_at_which_nobody_has_run_looks_at_no_thread(void **state)
{
	enum { SLEEPERS = 400, TICKS = 40 };
	static struct actor sleepers[SLEEPERS];
	uint64_t quiet = 0, read = 0;
	struct life life;
	int64_t all;

	for (int i = 0; i < SLEEPERS; i++)
		begin(&sleepers[i], sleep_for_ever);
	life_begin(&life, pf_wall_collect, 100);
	/* We sleep longer and longer, until a sleep was long enough. */
	for (useconds_t us = 500000; quiet < TICKS && us < 20000000; us *= 2) {
		read = __atomic_load_n(&readings, __ATOMIC_RELAXED);
		quiet = pf_counter_get(PF_COUNTER_WALL_QUIET);
		usleep(us);
		quiet = pf_counter_get(PF_COUNTER_WALL_QUIET) - quiet;
		read = __atomic_load_n(&readings, __ATOMIC_RELAXED) - read;
	}
	assert_true(quiet >= TICKS);
	assert_true(read < quiet * SLEEPERS / 4);
	/* All the same, each has its time, and where it was. */
	assert_int_equal(life_end(&life), 0);
	all = life.profile.duration_ns;
	for (int i = 0; i < SLEEPERS; i++) {
		assert_int_equal(life_sum(&life.profile, sleepers[i].tid, 1), all);
		assert_int_equal(time_in(&life.profile, sleepers[i].tid, "poll"), all);
	}
	pf_profile_finish(&life.profile);
}

static void *sleep_until_over(void *arg)
{
	struct actor *a = arg;

	__atomic_store_n(&a->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &over, FUTEX_WAIT, 0, NULL, NULL, 0);
	return NULL;
}

/* Its samples wait to be told when it has gone. */
static void a_thread_that_ends_has_the_time_it_slept(void **state)
{
	enum { TICKS = 10 };
	struct actor sleeper;
	struct life life;
	uint64_t quiet;

	over = 0;
	begin(&sleeper, sleep_until_over);
	life_begin(&life, pf_wall_collect, 0);
	quiet = pf_counter_get(PF_COUNTER_WALL_QUIET);
	while (pf_counter_get(PF_COUNTER_WALL_QUIET) < quiet + TICKS)
		usleep(900000); /* ends before they are told, unless the machine is busy */
	quiet = pf_counter_get(PF_COUNTER_WALL_QUIET) - quiet;
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &over, FUTEX_WAKE, 1, NULL, NULL, 0);
	pthread_join(sleeper.thread, NULL);
	assert_int_equal(life_end(&life), 0);
	assert_true(life_sum(&life.profile, sleeper.tid, 0) >= (int64_t)quiet);
	assert_true(time_in(&life.profile, sleeper.tid, "futex") > 0);
	pf_profile_finish(&life.profile);
}

static void the_recorder_has_what_was_before_the_question(void **state)
{
	struct life life;

	assert_int_equal(life_collect(&life, pf_wall_collect, 0), -ENODATA);
	pf_profile_finish(&life.profile);
	assert_int_equal(pf_wall_enable(true), 0);
	assert_true(pf_wall_enabled());
	usleep(500000);
	assert_int_equal(life_collect(&life, pf_wall_collect, 0), 0);
	assert_true(life_sum(&life.profile, getpid(), 1) > SECOND / 4);
	assert_true(life_sum(&life.profile, getpid(), 1) < SECOND * 5);
	pf_profile_finish(&life.profile);
	assert_int_equal(pf_wall_enable(false), 0);
	assert_false(pf_wall_enabled());
}

/* For as long as ten ticks would take. */
static bool no_sample_comes(void)
{
	uint64_t samples = pf_counter_get(PF_COUNTER_WALL_SAMPLES);

	usleep(100000);
	return pf_counter_get(PF_COUNTER_WALL_SAMPLES) == samples;
}

static void a_cancelled_capture_is_interrupted(void **state)
{
	struct life life;

	life_begin(&life, pf_wall_collect, 100);
	pf_wait_cancel(&life.wait);
	assert_int_equal(life_end(&life), -EINTR);
	pf_profile_finish(&life.profile);
	assert_true(life_until(no_sample_comes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_thread_has_the_whole_time_in_its_state),
	    cmocka_unit_test(an_answer_that_comes_late_is_for_the_ticks_that_waited),
	    cmocka_unit_test(who_runs_for_moments_has_these_with_a_stack),
	    cmocka_unit_test(an_answer_has_the_labels_of_its_moment),
	    cmocka_unit_test(threads_that_live_shorter_than_a_period_have_their_time),
	    cmocka_unit_test(a_thread_that_has_not_run_is_not_read_again),
	    cmocka_unit_test(a_tick_at_which_nobody_has_run_looks_at_no_thread),
	    cmocka_unit_test(a_thread_that_ends_has_the_time_it_slept),
	    cmocka_unit_test(the_recorder_has_what_was_before_the_question),
	    cmocka_unit_test(a_cancelled_capture_is_interrupted),
	};

	life_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
