#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/birth.h"
#include "base/clock.h"
#include "base/lock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

static int start_anew(void **state)
{
	pf_birth_fork_child();
	pf_birth_start();
	return 0;
}

static void *exec_comes(void *passed)
{
	errno = E2BIG;
	pf_birth_exec_comes();
	__atomic_store_n((bool *)passed, errno == E2BIG, __ATOMIC_RELEASE);
	return NULL;
}

static void wait_for_the_exec_to_be_told(void)
{
	while (__atomic_load_n(&pf_birth_shared()->until_ns, __ATOMIC_ACQUIRE) == 0)
		usleep(100);
}

static void an_exec_waits_for_a_birth(void **state)
{
	bool passed = false;
	pthread_t thread;

	pf_birth_begin();
	pf_birth_begin();
	pthread_create(&thread, NULL, exec_comes, &passed);
	wait_for_the_exec_to_be_told();
	pf_birth_end();
	/* Its patience is a second: where that has passed, this says nothing, and is still true. */
	assert_int_equal(pf_birth_shared()->going, 1);
	pf_birth_end();
	pthread_join(thread, NULL);
	assert_true(passed);
	assert_int_equal(pf_birth_shared()->going, 0);
}

static void *be_born(void *began_ns)
{
	pf_birth_begin();
	*(int64_t *)began_ns = pf_clock_now_ns();
	pf_birth_end();
	return NULL;
}

static void no_birth_begins_before_an_exec_that_has_come(void **state)
{
	int64_t began_ns = 0;
	pthread_t thread;

	pf_birth_exec_comes();
	pthread_create(&thread, NULL, be_born, &began_ns);
	pthread_join(thread, NULL);
	assert_true(began_ns >= pf_birth_shared()->until_ns);
}

static void who_execs_in_vain_for_ever_does_not_stop_births(void **state)
{
	int64_t began_ns = pf_clock_now_ns();

	pf_birth_shared()->until_ns = INT64_MAX;
	pf_birth_begin();
	pf_birth_end();
	assert_true(pf_clock_now_ns() > began_ns);
}

static void another_process_passes_at_once(void **state)
{
	pf_birth_shared()->program = getppid();
	pf_birth_begin();
	pf_birth_exec_comes();
	assert_int_equal(pf_birth_shared()->until_ns, 0);
	pf_birth_end();
}

/* The birth lasts until its helper is dead, and nobody but the exec kills it. */
static void an_exec_ends_a_helper_that_works(void **state)
{
	pid_t *place = pf_birth_claim();
	bool passed = false;
	pthread_t thread;
	int status;
	pid_t pid;

	assert_non_null(place);
	pf_birth_begin();
	pthread_create(&thread, NULL, exec_comes, &passed); /* nobody is there yet */
	wait_for_the_exec_to_be_told();
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	__atomic_store_n(place, pid, __ATOMIC_RELEASE);
	/* On a machine so slow that the exec lost its patience another one comes. */
	while (waitpid(pid, &status, WNOHANG) == 0) {
		pf_birth_exec_comes();
		usleep(100);
	}
	pf_birth_give_back(place);
	pf_birth_end();
	pthread_join(thread, NULL);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(passed);
	assert_int_equal(*place, 0);
}

static void there_is_an_end_of_places_and_they_come_back(void **state)
{
	pid_t *places[PF_BIRTH_ENDED_BY_EXEC_MAX];

	for (size_t i = 0; i < PF_COUNT(places); i++)
		assert_non_null(places[i] = pf_birth_claim());
	assert_null(pf_birth_claim());
	pf_birth_give_back(places[3]);
	assert_ptr_equal(pf_birth_claim(), places[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(an_exec_waits_for_a_birth, start_anew),
	    cmocka_unit_test_setup(no_birth_begins_before_an_exec_that_has_come, start_anew),
	    cmocka_unit_test_setup(who_execs_in_vain_for_ever_does_not_stop_births, start_anew),
	    cmocka_unit_test_setup(another_process_passes_at_once, start_anew),
	    cmocka_unit_test_setup(an_exec_ends_a_helper_that_works, start_anew),
	    cmocka_unit_test_setup(there_is_an_end_of_places_and_they_come_back, start_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
