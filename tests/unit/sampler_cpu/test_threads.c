/* Thread dumps of threads whose place is known: parked, running, coming and going, two thousand. */
#include "base/clock.h"
#include "base/counter.h"
#include "life.h"
#include "sampler/threadcreate_hook.h"
#include "sampler/threads.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PARKS = 20 };

static int silent_pipe[2];
static sem_t never;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t go_on;

struct parked {
	pthread_t thread;
	pid_t tid;    /* atomic: set when it is about to sleep */
	void *marker; /* a return address in the function it is parked at */
	int way;
};

static const char *const states[] = {"futex", "sleep", "futex", "poll", "read"};

static __attribute__((noinline)) void sleep_one_way(int way)
{
	struct timespec long_time = {100000, 0};
	char byte;

	switch (way) {
	case 0:
		sem_wait(&never);
		break;
	case 1:
		nanosleep(&long_time, NULL);
		break;
	case 2:
		pthread_mutex_lock(&mutex);
		pthread_cond_wait(&condition, &mutex);
		pthread_mutex_unlock(&mutex);
		break;
	case 3:
		poll(NULL, 0, -1);
		break;
	default:
		if (read(silent_pipe[0], &byte, 1) < 0)
			abort();
	}
	__asm__ volatile("");
}

/* Twenty functions, each with a place of its own, known by the address its call returns to. */
#define PARK(n)                                                                                    \
	static __attribute__((noinline)) void here_##n(struct parked *p)                           \
	{                                                                                          \
		p->marker = __builtin_return_address(0);                                           \
		__atomic_store_n(&p->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);           \
		sleep_one_way(p->way);                                                             \
		__asm__ volatile("");                                                              \
	}                                                                                          \
	static __attribute__((noinline)) void *park_##n(void *parked)                              \
	{                                                                                          \
		here_##n(parked);                                                                  \
		__asm__ volatile("");                                                              \
		return NULL;                                                                       \
	}
#define EACH(X)                                                                                    \
	X(0)                                                                                       \
	X(1)                                                                                       \
	X(2)                                                                                       \
	X(3)                                                                                       \
	X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19)
EACH(PARK)
#define NAME(n) park_##n,
static void *(*const parks[PARKS])(void *) = {EACH(NAME)};

static void wait_for(const pid_t *tid)
{
	while (!__atomic_load_n(tid, __ATOMIC_ACQUIRE))
		sched_yield();
}

static struct parked parked[PARKS];

static void twenty_parked_threads_are_where_they_are_parked(void **state)
{
	struct life dump;

	for (int i = 0; i < PARKS; i++) {
		parked[i].way = i % 5;
		assert_int_equal(pthread_create(&parked[i].thread, NULL, parks[i], &parked[i]), 0);
		pthread_setname_np(parked[i].thread, "parked");
	}
	for (int i = 0; i < PARKS; i++)
		life_wait_asleep(&parked[i].tid);
	assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
	for (int i = 0; i < PARKS; i++) {
		const struct pf_sample *s = life_of_thread(&dump.profile, parked[i].tid);

		assert_non_null(s);
		assert_true(life_has_pc(&dump.profile, s, (uint64_t)parked[i].marker - 1));
		assert_string_equal(life_text(&dump.profile, s, "state"), states[i % 5]);
		assert_string_equal(life_text(&dump.profile, s, "thread"), "parked");
		assert_int_equal(s->value[0], 1);
		assert_true(dump.profile.pcs[s->pc_first + s->pc_count - 1] >= PF_PC_MARKER_END);
	}
	/* One sample a thread, ours left out: these and main. */
	assert_int_equal(dump.profile.sample_count, PARKS + 1);
	pf_profile_finish(&dump.profile);
}

static void a_sleeper_that_has_not_run_is_not_read_again(void **state)
{
	struct life dump;
	uint64_t before;

	assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
	pf_profile_finish(&dump.profile);
	usleep(50000);
	before = pf_counter_get(PF_COUNTER_THREAD_READ);
	assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
	/* All but the main thread, which has run to get here. */
	assert_true(pf_counter_get(PF_COUNTER_THREAD_READ) - before <= 1);
	for (int i = 0; i < PARKS; i++) {
		const struct pf_sample *s = life_of_thread(&dump.profile, parked[i].tid);

		assert_true(life_has_pc(&dump.profile, s, (uint64_t)parked[i].marker - 1));
		assert_true(life_number(&dump.profile, s, "age_ns") >= 50000000);
	}
	pf_profile_finish(&dump.profile);
}

static int spinning; /* atomic */
static pid_t spinner_tid;

static __attribute__((noinline)) void *spin(void *unused)
{
	__atomic_store_n(&spinner_tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (__atomic_load_n(&spinning, __ATOMIC_RELAXED))
		;
	return unused;
}

static void a_running_thread_answers_with_its_stack(void **state)
{
	const struct pf_sample *s;
	struct life dump;
	pthread_t thread;

	spinning = 1;
	assert_int_equal(pthread_create(&thread, NULL, spin, NULL), 0);
	wait_for(&spinner_tid);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
		s = life_of_thread(&dump.profile, spinner_tid);
		assert_non_null(s);
		assert_string_equal(life_text(&dump.profile, s, "state"), "running");
		assert_true(life_contains(&dump.profile, s, (const void *)spin, 64));
		pf_profile_finish(&dump.profile);
	}
	__atomic_store_n(&spinning, 0, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static void *block_signals_and_spin(void *unused)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	return spin(unused);
}

static void a_running_thread_that_cannot_answer_is_there_without_a_stack(void **state)
{
	const struct pf_sample *s;
	struct life dump;
	pthread_t thread;

	spinner_tid = 0;
	spinning = 1;
	assert_int_equal(pthread_create(&thread, NULL, block_signals_and_spin, NULL), 0);
	wait_for(&spinner_tid);
	assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
	s = life_of_thread(&dump.profile, spinner_tid);
	assert_non_null(s);
	assert_true(life_has_pc(&dump.profile, s, PF_PC_NO_STACK));
	pf_profile_finish(&dump.profile);
	__atomic_store_n(&spinning, 0, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static void *block_signals_spin_and_sleep(void *unused)
{
	block_signals_and_spin(unused);
	sem_wait(&go_on);
	return unused;
}

/* Met awake, never to be asked; it goes to sleep a moment later, and is read then. */
static void a_thread_that_cannot_answer_is_read_when_it_sleeps(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_THREAD_LOST);
	const struct pf_sample *s;
	struct life dump;
	pthread_t thread;

	spinner_tid = 0;
	spinning = 1;
	assert_int_equal(pthread_create(&thread, NULL, block_signals_spin_and_sleep, NULL), 0);
	wait_for(&spinner_tid);
	life_go(&dump, pf_threads_collect);
	usleep(5000);
	__atomic_store_n(&spinning, 0, __ATOMIC_RELAXED);
	assert_int_equal(life_end(&dump), 0);
	s = life_of_thread(&dump.profile, spinner_tid);
	assert_non_null(s);
	assert_string_equal(life_text(&dump.profile, s, "state"), "futex");
	assert_int_equal(pf_counter_get(PF_COUNTER_THREAD_LOST), before);
	pf_profile_finish(&dump.profile);
	sem_post(&go_on);
	pthread_join(thread, NULL);
}

/* It cannot answer, so the dump waits for it; and then it ends. True: that was counted. */
static bool end_during_a_dump(void)
{
	uint64_t before = pf_counter_get(PF_COUNTER_THREAD_GONE);
	struct life dump;
	pthread_t thread;

	spinning = 1;
	spinner_tid = 0;
	assert_int_equal(pthread_create(&thread, NULL, block_signals_and_spin, NULL), 0);
	wait_for(&spinner_tid);
	life_go(&dump, pf_threads_collect);
	usleep(20000);
	__atomic_store_n(&spinning, 0, __ATOMIC_RELAXED);
	assert_int_equal(life_end(&dump), 0);
	pthread_join(thread, NULL);
	pf_profile_finish(&dump.profile);
	return pf_counter_get(PF_COUNTER_THREAD_GONE) > before;
}

static void a_thread_that_ends_during_a_dump_is_counted(void **state)
{
	bool counted = false;

	/* On a busy machine a dump may begin late, and not meet it. */
	for (int i = 0; i < 20 && !counted; i++)
		counted = end_during_a_dump();
	assert_true(counted);
}

static pid_t born_tid;

static void *be_born(void *unused)
{
	__atomic_store_n(&born_tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	sem_wait(&go_on);
	return unused;
}

static __attribute__((noinline)) pthread_t create_here(void)
{
	pthread_t thread;

	assert_int_equal(pf_threadcreate_pthread(&thread, NULL, be_born, NULL), 0);
	return thread;
}

static void who_created_a_thread_is_known(void **state)
{
	const struct pf_sample *s;
	struct life dump;
	pthread_t thread = create_here();
	int64_t by;

	life_wait_asleep(&born_tid);
	assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
	s = life_of_thread(&dump.profile, born_tid);
	assert_non_null(s);
	by = life_number(&dump.profile, s, "created_by");
	assert_in_range((uintptr_t)by, (uintptr_t)create_here, (uintptr_t)create_here + 200);
	assert_int_equal(life_number(&dump.profile, s, "creator"), getpid());
	pf_profile_finish(&dump.profile);
	sem_post(&go_on);
	pthread_join(thread, NULL);
}

static int churning; /* atomic */

static void *short_life(void *unused)
{
	return unused;
}

static void *churn(void *unused)
{
	pthread_t thread;

	while (__atomic_load_n(&churning, __ATOMIC_RELAXED))
		if (pf_threadcreate_pthread(&thread, NULL, short_life, NULL) == 0)
			pthread_join(thread, NULL);
	return unused;
}

static void threads_that_end_meanwhile_are_no_error(void **state)
{
	pthread_t thread;
	struct life dump;

	churning = 1;
	assert_int_equal(pthread_create(&thread, NULL, churn, NULL), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
		for (int k = 0; k < PARKS; k++)
			assert_non_null(life_of_thread(&dump.profile, parked[k].tid));
		pf_profile_finish(&dump.profile);
	}
	__atomic_store_n(&churning, 0, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static void the_list_names_every_thread(void **state)
{
	struct pf_thread_view views[64];
	size_t count = pf_threads_list(views, 64);
	int found = 0;

	assert_int_equal(count, PARKS + 1);
	for (size_t i = 0; i < count; i++)
		if (strcmp(views[i].name, "parked") == 0) {
			found++;
			assert_true(views[i].cpu_ns > 0);
			assert_true(views[i].age_ns > 0);
		} else {
			assert_int_equal(views[i].tid, getpid());
		}
	assert_int_equal(found, PARKS);
	assert_int_equal(pf_threads_list(views, 1), PARKS + 1);
}

enum { MANY = 2000 };

static void two_thousand_threads_are_dumped(void **state)
{
	static struct parked many[MANY];
	static struct life dump;
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (int i = 0; i < MANY; i++) {
		many[i].way = 3;
		assert_int_equal(
		    pthread_create(&many[i].thread, &attributes, parks[i % PARKS], &many[i]), 0);
	}
	for (int i = 0; i < MANY; i++)
		life_wait_asleep(&many[i].tid);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
		for (int i = 0; i < MANY; i++) {
			const struct pf_sample *s = life_of_thread(&dump.profile, many[i].tid);

			assert_non_null(s);
			assert_true(life_has_pc(&dump.profile, s, (uint64_t)many[i].marker - 1));
		}
		pf_profile_finish(&dump.profile);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(twenty_parked_threads_are_where_they_are_parked),
	    cmocka_unit_test(a_sleeper_that_has_not_run_is_not_read_again),
	    cmocka_unit_test(a_running_thread_answers_with_its_stack),
	    cmocka_unit_test(a_running_thread_that_cannot_answer_is_there_without_a_stack),
	    cmocka_unit_test(a_thread_that_cannot_answer_is_read_when_it_sleeps),
	    cmocka_unit_test(a_thread_that_ends_during_a_dump_is_counted),
	    cmocka_unit_test(who_created_a_thread_is_known),
	    cmocka_unit_test(the_list_names_every_thread),
	    cmocka_unit_test(threads_that_end_meanwhile_are_no_error),
	    cmocka_unit_test(two_thousand_threads_are_dumped),
	};

	sem_init(&never, 0, 0);
	sem_init(&go_on, 0, 0);
	if (pipe(silent_pipe) != 0)
		return 1;
	life_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
