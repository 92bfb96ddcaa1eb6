#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sampler/tick.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTS = 40, INTERRUPTIONS_US = 150 };

/* How far 100 ms of ticks are from 100 ms of the monotonic clock, in millionths. Both are read at once:
 * of many readings the one with the least between its ends. */
static uint64_t read_both(int64_t *ns)
{
	uint64_t least = UINT64_MAX, tick = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t before = pf_tick();
		int64_t now = pf_clock_now_ns();
		uint64_t apart = pf_tick() - before;

		if (apart < least) {
			least = apart;
			tick = before;
			*ns = now;
		}
	}
	return tick;
}

static int64_t error_ppm(void)
{
	struct timespec pause = {0, 100 * PF_NS_PER_MS};
	int64_t start_ns, end_ns, by_tick;
	uint64_t start = read_both(&start_ns);

	nanosleep(&pause, NULL);
	by_tick = (int64_t)pf_tick_ns(read_both(&end_ns) - start);
	return (by_tick - (end_ns - start_ns)) * 1000000 / (end_ns - start_ns);
}

static void interrupt(int signal)
{
	int64_t until = pf_clock_now_ns() + INTERRUPTIONS_US * 1000;

	(void)signal;
	while (pf_clock_now_ns() < until)
		;
}

/* In a process of its own, since a tick is learnt once: exit code 1 when it is not what it says. */
static int learn_while_interrupted(void)
{
	struct sigevent tell = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct itimerspec every = {{0, 2 * INTERRUPTIONS_US * 1000}, {0, 1}};
	struct itimerspec never = {0};
	timer_t timer;
	int64_t ppm;

	signal(SIGALRM, interrupt);
	if (timer_create(CLOCK_MONOTONIC, &tell, &timer) < 0 ||
	    timer_settime(timer, 0, &every, NULL) < 0)
		return 2;
	pf_tick_start();
	timer_settime(timer, 0, &never, NULL);
	ppm = error_ppm();
	return ppm > -1000 && ppm < 1000 ? 0 : 1;
}

static void a_tick_is_learnt_right_by_a_thread_that_is_interrupted(void **state)
{
	for (int i = 0; i < STARTS; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(learn_while_interrupted());
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_tick_is_learnt_right_by_a_thread_that_is_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
