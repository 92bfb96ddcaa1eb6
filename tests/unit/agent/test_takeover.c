/* Takeover: what the dead held is taken, what is waited for until a deadline is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/takeover.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In a process of its own, which ends with what `body` returns: 0 is well. */
static int outcome_of(int seconds, int (*body)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		pf_takeover_begin(seconds);
		_exit(body());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static void *die_with_them(void *unused)
{
	pthread_mutex_lock(&plain);
	pthread_mutex_lock(&recursive);
	pthread_mutex_lock(&recursive);
	return unused;
}

static int take_both(void)
{
	return pthread_mutex_lock(&plain) || pthread_mutex_lock(&recursive) ||
	       pthread_mutex_unlock(&recursive) || pthread_mutex_unlock(&plain) ||
	       recursive.__data.__count;
}

static void mutexes_of_the_dead_are_free(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, die_with_them, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(outcome_of(60, take_both), 0);
	assert_int_equal(plain.__data.__lock != 0, 1);
}

/* As malloc's list_lock: a word, and an address behind it. */
static struct {
	uint32_t word, count;
	const void *next;
} bare = {.word = 2, .next = &bare};

static int wait_for_word(void)
{
	while (__atomic_load_n(&bare.word, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &bare.word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
	return bare.next != &bare;
}

static void of_a_bare_word_only_the_word_is_touched(void **state)
{
	assert_int_equal(outcome_of(60, wait_for_word), 0);
}

static int wait_until_a_deadline(void)
{
	static uint32_t word = 1;
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec++;
	while (syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 1, &at, NULL,
		   FUTEX_BITSET_MATCH_ANY) < 0 &&
	       errno == EINTR)
		;
	return errno != ETIMEDOUT || word != 1;
}

static void a_wait_with_a_deadline_is_left_alone(void **state)
{
	assert_int_equal(outcome_of(60, wait_until_a_deadline), 0);
}

static int wait_for_ever(void)
{
	while (pause() < 0)
		;
	return 0;
}

/* The alarms cannot come to who waits for its child of vfork. */
static int wait_for_child(void)
{
	if (vfork() == 0) {
		sleep(3);
		_exit(0);
	}
	return 0;
}

static void it_ends_in_the_end(void **state)
{
	assert_int_not_equal(outcome_of(1, wait_for_ever), 0);
}

static void it_ends_beside_a_child_that_has_its_memory(void **state)
{
	int status = outcome_of(1, wait_for_child);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mutexes_of_the_dead_are_free),
	    cmocka_unit_test(of_a_bare_word_only_the_word_is_touched),
	    cmocka_unit_test(a_wait_with_a_deadline_is_left_alone),
	    cmocka_unit_test(it_ends_in_the_end),
	    cmocka_unit_test(it_ends_beside_a_child_that_has_its_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
