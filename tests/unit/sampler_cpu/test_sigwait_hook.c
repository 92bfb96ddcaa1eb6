/* A thread that waits for all signals never gets ours, by whatever way it came to be pending. */
#include "base/clock.h"
#include "base/counter.h"
#include "life.h"
#include "sampler/cpu.h"
#include "sampler/signal.h"
#include "sampler/sigwait_hook.h"
#include "sampler/thread.h"
#include "sampler/threadcreate_hook.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t SECOND = 1000000000;

static void queue_ours(void)
{
	siginfo_t info = {0};

	info.si_signo = pf_signal_number();
	info.si_code = SI_QUEUE;
	info.si_value.sival_int = 1;
	assert_int_equal(
	    syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), info.si_signo, &info), 0);
}

static void block(sigset_t *set, sigset_t *before)
{
	assert_int_equal(pthread_sigmask(SIG_BLOCK, set, before), 0);
}

static void who_waits_for_all_signals_does_not_get_ours(void **state)
{
	struct timespec soon = {0, 1000000};
	sigset_t all, before;
	siginfo_t info;
	int signal, fd;
	struct signalfd_siginfo read_info;

	sigfillset(&all);
	block(&all, &before);
	queue_ours();
	assert_int_equal(pf_sigwait_timed(&all, &info, &soon), -1);
	assert_int_equal(errno, EAGAIN);
	fd = pf_sigwait_fd(-1, &all, SFD_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &read_info, sizeof(read_info)), -1);
	close(fd);
	/* Its own come through every way. */
	raise(SIGUSR1);
	assert_int_equal(pf_sigwait_wait(&all, &signal), 0);
	assert_int_equal(signal, SIGUSR1);
	raise(SIGUSR2);
	assert_int_equal(pf_sigwait_info(&all, &info), SIGUSR2);
	raise(SIGRTMIN);
	assert_int_equal(pf_sigwait_timed(&all, &info, &soon), SIGRTMIN);
	assert_int_equal(sigismember(&all, pf_signal_number()), 1); /* its set is not touched */
	assert_false(pf_sigwait_claimed());
	pthread_sigmask(SIG_SETMASK, &before, NULL); /* ours is delivered here, and counted */
}

static void who_waits_for_ours_by_name_gets_it_and_it_is_known(void **state)
{
	struct timespec soon = {0, 1000000};
	sigset_t few, before;
	siginfo_t info;

	sigemptyset(&few);
	sigaddset(&few, SIGTERM);
	sigaddset(&few, pf_signal_number());
	block(&few, &before);
	queue_ours();
	assert_int_equal(pf_sigwait_timed(&few, &info, &soon), pf_signal_number());
	assert_true(pf_sigwait_claimed());
	assert_false(pf_sigwait_claimed());
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void a_set_without_ours_is_passed_on(void **state)
{
	struct timespec soon = {0, 1000000};
	sigset_t few;
	siginfo_t info;

	sigemptyset(&few);
	sigaddset(&few, SIGTERM);
	assert_int_equal(pf_sigwait_timed(&few, &info, &soon), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(pf_sigwait_claimed());
}

static pid_t waiter; /* atomic */
static int unexpected;

/* The signal thread of many a program: it waits for all signals, then works. It calls the system
 * itself, past every hook, so it must have no timer at all; and while it waits, the kernel shows it
 * as one that blocks nothing. */
static void *wait_and_work(void *unused)
{
	struct timespec none = {0, 0};
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	__atomic_store_n(&waiter, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	if (syscall(SYS_rt_sigtimedwait, &all, NULL, NULL, 8) != SIGUSR1)
		unexpected++;
	life_burn(SECOND / 20);
	if (syscall(SYS_rt_sigtimedwait, &all, NULL, &none, 8) > 0)
		unexpected++;
	return unused;
}

static void a_thread_that_waits_for_signals_gets_no_timer(void **state)
{
	struct life life;
	pthread_t thread;

	assert_int_equal(pf_threadcreate_pthread(&thread, NULL, wait_and_work, NULL), 0);
	life_wait_asleep(&waiter);
	life_begin(&life, pf_cpu_collect, 1000);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	assert_int_equal(life_end(&life), 0);
	assert_int_equal(unexpected, 0);
	/* Its time is there all the same. */
	assert_true(life_sum(&life.profile, waiter, 1) > SECOND / 25);
	assert_true(life_at_leaf(&life.profile, PF_PC_NOT_SAMPLED, 1) > SECOND / 25);
	pf_profile_finish(&life.profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_waits_for_all_signals_does_not_get_ours),
	    cmocka_unit_test(who_waits_for_ours_by_name_gets_it_and_it_is_known),
	    cmocka_unit_test(a_set_without_ours_is_passed_on),
	    cmocka_unit_test(a_thread_that_waits_for_signals_gets_no_timer),
	};

	life_start();
	pf_thread_start();
	if (pf_signal_install() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
