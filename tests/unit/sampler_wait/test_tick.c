#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sampler/tick.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTS = 10, READINGS_A_PAUSE = 5, PAUSE_NS = 150 * 1000 };

/* Every fifth reading of the clock is followed by a pause, as if the thread had been interrupted just
 * there. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
	static int readings;
	struct timespec now;
	int rc = (int)syscall(SYS_clock_gettime, clock, out);

	if (++readings % READINGS_A_PAUSE)
		return rc;
	do
		syscall(SYS_clock_gettime, clock, &now);
	while (
	    (now.tv_sec - out->tv_sec) * PF_NS_PER_SECOND + now.tv_nsec - out->tv_nsec < PAUSE_NS);
	return rc;
}

/* How far 100 ms of ticks are from 100 ms of the monotonic clock, in millionths. Both are read at once:
 * of many readings the one with the least between its ends. */
static uint64_t read_both(int64_t *ns)
{
	uint64_t least = UINT64_MAX, tick = 0;

	for (int i = 0; i < 100; i++) {
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

/* In a process of its own, since a tick is learnt once: exit code 1 when it is not what it says. */
static int learn_while_interrupted(int readings_before)
{
	struct timespec unused;
	int64_t ppm;

	for (int i = 0; i < readings_before; i++)
		clock_gettime(CLOCK_MONOTONIC, &unused);
	pf_tick_start();
	ppm = error_ppm();
	return ppm > -1000 && ppm < 1000 ? 0 : 1;
}

static void a_tick_is_learnt_right_by_a_thread_that_is_interrupted(void **state)
{
	for (int i = 0; i < STARTS; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(learn_while_interrupted(i));
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
