#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/forbid.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 20000 };

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_SHARD);
static volatile long guarded; /* by lock; volatile so that each step is a load and a store */

static void *add_under_the_lock(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		pf_lock_take(&lock);
		guarded = guarded + 1;
		pf_lock_give(&lock);
	}
	return unused;
}

static void threads_that_contend_lose_no_step(void **state)
{
	pthread_t threads[THREADS];

	guarded = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_under_the_lock, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(guarded, THREADS * ROUNDS);
	assert_int_equal(lock.word, 0);
}

static pid_t sleepers[THREADS]; /* atomic */

static void *take_and_give(void *slot)
{
	__atomic_store_n((pid_t *)slot, gettid(), __ATOMIC_RELEASE);
	pf_lock_take(&lock);
	pf_lock_give(&lock);
	return NULL;
}

static bool is_asleep(pid_t tid)
{
	char path[64], state = '?';
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	stat = fopen(path, "re");
	if (!stat || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (stat)
		fclose(stat);
	return state == 'S';
}

static void *sleep_for_ever(void *slot)
{
	__atomic_store_n((pid_t *)slot, gettid(), __ATOMIC_RELEASE);
	while (__atomic_load_n(&lock.word, __ATOMIC_ACQUIRE) == 2)
		pf_futex_wait(&lock.word, 2, -1);
	return NULL;
}

/* This one does not look again by itself, as who takes the lock does. */
static void to_give_wakes(void **state)
{
	pthread_t thread;

	pf_lock_take(&lock);
	lock.word = 2;
	sleepers[0] = 0;
	assert_int_equal(pthread_create(&thread, NULL, sleep_for_ever, &sleepers[0]), 0);
	while (!is_asleep(__atomic_load_n(&sleepers[0], __ATOMIC_ACQUIRE)))
		sched_yield();
	pf_lock_give(&lock);
	pthread_join(thread, NULL);
}

static void sleep_until_given(bool wake)
{
	pthread_t threads[THREADS];

	memset(sleepers, 0, sizeof(sleepers));
	pf_lock_take(&lock);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &sleepers[i]), 0);
	for (int i = 0; i < THREADS; i++)
		while (!is_asleep(__atomic_load_n(&sleepers[i], __ATOMIC_ACQUIRE)))
			sched_yield();
	assert_int_equal(__atomic_load_n(&lock.word, __ATOMIC_ACQUIRE), 2);
	pf_forbidden_here = wake ? 0 : PF_FORBIDDEN_FUTEX;
	pf_lock_give(&lock);
	pf_forbidden_here = 0;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(lock.word, 0);
}

/* Each of them is in the kernel before the lock is given. */
static void whoever_sleeps_gets_it(void **state)
{
	sleep_until_given(true);
}

/* A filter (seccomp) of the giver's forbids the wake: they look again by themselves. */
static void whoever_sleeps_gets_it_without_a_wake(void **state)
{
	sleep_until_given(false);
}

static void *try_it(void *result)
{
	*(bool *)result = pf_lock_try(&lock);
	if (*(bool *)result)
		pf_lock_give(&lock);
	return NULL;
}

static bool another_thread_gets_it(void)
{
	bool result = false;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, try_it, &result), 0);
	pthread_join(thread, NULL);
	return result;
}

static void try_takes_a_free_lock_only(void **state)
{
	assert_true(another_thread_gets_it());
	assert_true(pf_lock_try(&lock));
	assert_false(another_thread_gets_it());
	pf_lock_give(&lock);
	assert_true(another_thread_gets_it());
}

static void reset_frees_what_a_vanished_thread_held(void **state)
{
	struct pf_lock orphan = {.word = 2, .rank = PF_LOCK_MAP};

	assert_false(pf_lock_try(&orphan));
	pf_lock_reset(&orphan);
	pf_lock_take(&orphan);
	pf_lock_give(&orphan);
	assert_int_equal(orphan.word, 0);
}

static void a_higher_rank_may_follow_a_lower(void **state)
{
	struct pf_lock low = PF_LOCK_INIT(PF_LOCK_AGENT), high = PF_LOCK_INIT(PF_LOCK_LEAF);

	for (int i = 0; i < 2; i++) {
		pf_lock_take(&low);
		pf_lock_take(&high);
		pf_lock_give(&low); /* given back in any order */
		pf_lock_give(&high);
	}
}

/* How a child that takes these two, one after the other, ends. */
static int end_of_taking(uint32_t first_rank, uint32_t second_rank)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct pf_lock first = PF_LOCK_INIT(first_rank);
		struct pf_lock second = PF_LOCK_INIT(second_rank);
		struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		pf_lock_take(&first);
		pf_lock_take(&second);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void a_wrong_order_stops_a_build_with_assertions(void **state)
{
#ifndef NDEBUG
	assert_true(WIFSIGNALED(end_of_taking(PF_LOCK_SHARD, PF_LOCK_FILE)));
	assert_int_equal(WTERMSIG(end_of_taking(PF_LOCK_SHARD, PF_LOCK_FILE)), SIGABRT);
	/* Two of one rank have no order either. */
	assert_true(WIFSIGNALED(end_of_taking(PF_LOCK_MAP, PF_LOCK_MAP)));
#else
	assert_int_equal(end_of_taking(PF_LOCK_SHARD, PF_LOCK_FILE), 0);
#endif
	assert_int_equal(end_of_taking(PF_LOCK_FILE, PF_LOCK_SHARD), 0);
}

static void errno_is_kept(void **state)
{
	uint32_t word = 1;

	errno = EXDEV;
	pf_futex_wait(&word, 0, -1); /* another value: returns at once, EAGAIN inside */
	pf_futex_wake(&word, 1);
	pf_futex_wait(&word, 1, pf_clock_now_ns() - 1); /* long over: ETIMEDOUT inside */
	assert_int_equal(errno, EXDEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_that_contend_lose_no_step),
	    cmocka_unit_test(to_give_wakes),
	    cmocka_unit_test(whoever_sleeps_gets_it),
	    cmocka_unit_test(whoever_sleeps_gets_it_without_a_wake),
	    cmocka_unit_test(try_takes_a_free_lock_only),
	    cmocka_unit_test(reset_frees_what_a_vanished_thread_held),
	    cmocka_unit_test(a_higher_rank_may_follow_a_lower),
	    cmocka_unit_test(a_wrong_order_stops_a_build_with_assertions),
	    cmocka_unit_test(errno_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
