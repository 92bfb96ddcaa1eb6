/* The crew: threads the program does not notice. */
#include "base/clock.h"
#include "base/lock.h"
#include "sampler/crew.h"
#include "sampler/guard.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
	uint32_t done;  /* atomic futex word */
	uint32_t leave; /* atomic */
	char name[16];
	sigset_t mask;
	bool guarded;
	pid_t tid;
};

static void *look_around(void *arg)
{
	struct seen *seen = arg;

	prctl(PR_GET_NAME, seen->name);
	pthread_sigmask(SIG_BLOCK, NULL, &seen->mask);
	seen->guarded = pf_guard_held();
	seen->tid = (pid_t)syscall(SYS_gettid);
	__atomic_store_n(&seen->done, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&seen->done, 1);
	while (!__atomic_load_n(&seen->leave, __ATOMIC_ACQUIRE))
		usleep(1000);
	return NULL;
}

static void start_and_look(struct seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	assert_int_equal(pf_crew_start("test", look_around, seen), 0);
	while (!__atomic_load_n(&seen->done, __ATOMIC_ACQUIRE))
		pf_futex_wait(&seen->done, 0, -1);
}

static void leave(struct seen *seen)
{
	__atomic_store_n(&seen->leave, 1, __ATOMIC_RELEASE);
	assert_int_equal(pf_crew_wait_gone(pf_clock_now_ns() + 60ll * PF_NS_PER_SECOND), 0);
}

static void a_member_has_a_name_blocks_signals_and_holds_the_guard(void **state)
{
	static const int deadly[] = {SIGTERM, SIGINT, SIGPROF, SIGCHLD, SIGUSR1, SIGALRM};
	struct seen seen;

	start_and_look(&seen);
	assert_string_equal(seen.name, "proffs/test");
	assert_true(seen.guarded);
	for (size_t i = 0; i < PF_COUNT(deadly); i++)
		assert_int_equal(sigismember(&seen.mask, deadly[i]), 1);
	leave(&seen);
}

static void the_starting_threads_mask_and_guard_are_as_before(void **state)
{
	sigset_t before, after;
	struct seen seen;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	start_and_look(&seen);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	for (int signal = 1; signal < SIGRTMAX; signal++)
		assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
	assert_false(pf_guard_held());
	leave(&seen);
}

static bool is_in_proc(pid_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) == 0;
}

static void a_member_is_known_as_long_as_the_kernel_shows_it(void **state)
{
	struct seen seen;

	start_and_look(&seen);
	assert_true(pf_crew_has(seen.tid));
	assert_false(pf_crew_has((pid_t)syscall(SYS_gettid)));
	__atomic_store_n(&seen.leave, 1, __ATOMIC_RELEASE);
	while (is_in_proc(seen.tid)) { /* also when it is done */
		assert_true(pf_crew_has(seen.tid));
		usleep(100);
	}
	pf_crew_settle();
	assert_false(pf_crew_has(seen.tid));
}

static void a_number_that_the_program_has_now_is_none_of_ours(void **state)
{
	struct seen seen, other;

	start_and_look(&other);
	start_and_look(&seen);
	pf_crew_pass_on(seen.tid);
	assert_true(pf_crew_has(seen.tid)); /* it lives, so nobody can have it */
	__atomic_store_n(&seen.leave, 1, __ATOMIC_RELEASE);
	while (is_in_proc(seen.tid))
		usleep(100);
	assert_true(pf_crew_has(seen.tid)); /* nobody has settled */
	pf_crew_pass_on(seen.tid);
	assert_false(pf_crew_has(seen.tid));
	assert_true(pf_crew_has(other.tid));
	leave(&other);
}

static void who_is_alone_with_the_dead_starts_nobody_and_waits_for_nobody(void **state)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		pf_crew_bury();
		pf_crew_settle();
		_exit(pf_crew_start("test", look_around, NULL) == -ESRCH && pf_crew_count() == 0 &&
			      pf_crew_any() == 0
			  ? 0
			  : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void cpu_time_of_the_gone_is_kept(void **state)
{
	struct seen seen;
	int64_t before;

	start_and_look(&seen);
	before = pf_crew_cpu_ns();
	assert_true(before > 0);
	leave(&seen);
	assert_true(pf_crew_cpu_ns() >= before);
}

static void waiting_for_a_member_that_stays_times_out(void **state)
{
	struct seen seen;

	start_and_look(&seen);
	assert_int_equal(pf_crew_wait_gone(pf_clock_now_ns() + 20 * PF_NS_PER_MS), -ETIMEDOUT);
	leave(&seen);
}

static pthread_key_t slow_key;

static void end_slowly(void *unused)
{
	usleep(100000);
}

static void *be_slow_to_end(void *tid)
{
	pthread_setspecific(slow_key, tid);
	__atomic_store_n((pid_t *)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	return NULL;
}

/* What comes after a member's last step is libc's and the kernel's, and may take long. */
static void who_waits_for_the_end_finds_no_thread_afterwards(void **state)
{
	pid_t tid = 0;

	assert_int_equal(pthread_key_create(&slow_key, end_slowly), 0);
	assert_int_equal(pf_crew_start("slow", be_slow_to_end, &tid), 0);
	assert_int_equal(pf_crew_wait_gone(pf_clock_now_ns() + 60ll * PF_NS_PER_SECOND), 0);
	assert_int_not_equal(tid, 0);
	assert_false(is_in_proc(tid));
	pthread_key_delete(slow_key);
}

static void more_than_the_table_holds_are_refused(void **state)
{
	static struct seen seen[PF_CREW_MAX];
	struct seen one_more = {0};

	for (size_t i = 0; i < PF_CREW_MAX; i++)
		start_and_look(&seen[i]);
	assert_int_equal(pf_crew_start("more", look_around, &one_more), -EAGAIN);
	for (size_t i = 0; i < PF_CREW_MAX; i++)
		__atomic_store_n(&seen[i].leave, 1, __ATOMIC_RELEASE);
	assert_int_equal(pf_crew_wait_gone(pf_clock_now_ns() + 60ll * PF_NS_PER_SECOND), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_member_has_a_name_blocks_signals_and_holds_the_guard),
	    cmocka_unit_test(the_starting_threads_mask_and_guard_are_as_before),
	    cmocka_unit_test(a_member_is_known_as_long_as_the_kernel_shows_it),
	    cmocka_unit_test(a_number_that_the_program_has_now_is_none_of_ours),
	    cmocka_unit_test(who_is_alone_with_the_dead_starts_nobody_and_waits_for_nobody),
	    cmocka_unit_test(cpu_time_of_the_gone_is_kept),
	    cmocka_unit_test(waiting_for_a_member_that_stays_times_out),
	    cmocka_unit_test(who_waits_for_the_end_finds_no_thread_afterwards),
	    cmocka_unit_test(more_than_the_table_holds_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
