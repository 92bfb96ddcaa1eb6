/* The gate: a child forked while one of our threads is in the loader can use the loader itself. */
#include "base/clock.h"
#include "sampler/gate.h"

#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uint32_t stop; /* atomic */

static int look(struct dl_phdr_info *module, size_t size, void *slow)
{
	if (slow)
		usleep(200);
	return 0;
}

/* What a thread of ours does: in the loader nearly all the time. */
static void *in_the_loader(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		pf_gate_enter();
		dl_iterate_phdr(look, &stop);
		pf_gate_leave();
	}
	return NULL;
}

static void a_child_forked_meanwhile_is_not_stuck_in_the_loader(void **state)
{
	pthread_t thread;

	pthread_atfork(pf_gate_fork_prepare, pf_gate_fork_parent, pf_gate_fork_child);
	assert_int_equal(pthread_create(&thread, NULL, in_the_loader, NULL), 0);
	for (int i = 0; i < 200; i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			alarm(5);
			dl_iterate_phdr(look, NULL);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

static void *stay_inside(void *leave)
{
	pf_gate_enter();
	while (!__atomic_load_n((uint32_t *)leave, __ATOMIC_ACQUIRE))
		usleep(1000);
	pf_gate_leave();
	return NULL;
}

static void a_fork_waits_a_bounded_time_only(void **state)
{
	uint32_t leave = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stay_inside, &leave), 0);
	usleep(10000);
	pf_gate_fork_prepare(); /* returns although the gate is never free */
	pf_gate_fork_parent();
	__atomic_store_n(&leave, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

static uint32_t passages; /* atomic */

static void *pass(void *unused)
{
	pf_gate_enter();
	__atomic_store_n(&passages, pf_gate_is_wanted() ? 2 : 1, __ATOMIC_RELEASE);
	pf_gate_leave();
	return NULL;
}

/* As the collector's handlers have it: ours are around them. */
static void it_is_closed_from_the_first_handler_to_the_last(void **state)
{
	pthread_t thread;

	pf_gate_fork_prepare();
	pf_gate_fork_prepare();
	assert_int_equal(pthread_create(&thread, NULL, pass, NULL), 0);
	pf_gate_fork_parent();
	assert_true(pf_gate_is_wanted());
	usleep(20000);
	assert_int_equal(__atomic_load_n(&passages, __ATOMIC_ACQUIRE), 0);
	pf_gate_fork_parent();
	assert_false(pf_gate_is_wanted());
	pthread_join(thread, NULL);
	assert_int_equal(passages, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_closed_from_the_first_handler_to_the_last),
	    cmocka_unit_test(a_fork_waits_a_bounded_time_only),
	    cmocka_unit_test(a_child_forked_meanwhile_is_not_stuck_in_the_loader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
