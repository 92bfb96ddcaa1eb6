/* Truth: none of these calls is ever interrupted, although the thread is dumped in a loop, watched by
 * the wall clock a hundred times a second, and sampled on the CPU with the others.
 *
 * They are the ones that a handler interrupts in spite of SA_RESTART. Each thread works a little
 * between its sleeps, so that it is often met on the edge of one.
 */
#include "base/clock.h"
#include "base/counter.h"
#include "life.h"
#include "sampler/cpu.h"
#include "sampler/thread.h"
#include "sampler/threadcreate_hook.h"
#include "sampler/threads.h"
#include "sampler/wall.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CALLS = 7 };

static int over;          /* atomic */
static long calls[CALLS]; /* atomic */
static long interrupted;  /* atomic */
static int sockets[2];
static int poller;
static sem_t never;

/* Each sleeps for two milliseconds and returns -1 with errno when it was interrupted. */
static int call_epoll_wait(void)
{
	struct epoll_event event;

	return epoll_wait(poller, &event, 1, 2);
}

static int call_poll(void)
{
	struct pollfd fd = {sockets[0], POLLIN, 0};

	return poll(&fd, 1, 2);
}

static int call_select(void)
{
	struct timeval time = {0, 2000};

	return select(0, NULL, NULL, NULL, &time);
}

static int call_nanosleep(void)
{
	struct timespec time = {0, 2000000};

	return nanosleep(&time, NULL);
}

static int call_clock_nanosleep(void)
{
	struct timespec time = {0, 2000000};

	errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
	return errno ? -1 : 0;
}

static int call_sem_timedwait(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	time.tv_nsec += 2000000;
	if (time.tv_nsec >= 1000000000) {
		time.tv_nsec -= 1000000000;
		time.tv_sec++;
	}
	return sem_timedwait(&never, &time);
}

static int call_recv(void)
{
	char byte;

	return (int)recv(sockets[0], &byte, 1, 0);
}

static int (*const kinds[CALLS])(void) = {call_epoll_wait, call_poll, call_select, call_nanosleep,
    call_clock_nanosleep, call_sem_timedwait, call_recv};

static void *sleep_and_work(void *number)
{
	size_t kind = (uintptr_t)number;

	for (int i = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); i++) {
		errno = 0;
		if (kinds[kind]() < 0 && errno == EINTR)
			__atomic_fetch_add(&interrupted, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&calls[kind], 1, __ATOMIC_RELAXED);
		life_burn(50000 + i % 7 * 100000);
	}
	return NULL;
}

static void no_sleep_is_interrupted(void **state)
{
	pthread_t threads[CALLS];
	struct life wall, cpu, dump;
	int64_t until_ns;

	for (size_t i = 0; i < CALLS; i++)
		assert_int_equal(
		    pf_threadcreate_pthread(&threads[i], NULL, sleep_and_work, (void *)i), 0);
	life_begin(&cpu, pf_cpu_collect, 1000);
	life_begin(&wall, pf_wall_collect, 100);
	until_ns = pf_clock_now_ns() + 5ll * PF_NS_PER_SECOND;
	while (pf_clock_now_ns() < until_ns) {
		assert_int_equal(life_collect(&dump, pf_threads_collect, 0), 0);
		pf_profile_finish(&dump.profile);
	}
	assert_int_equal(life_end(&wall), 0);
	assert_int_equal(life_end(&cpu), 0);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < CALLS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(calls[i] > 100);
	}
	/* They were looked at in every way there is. */
	assert_true(pf_counter_get(PF_COUNTER_CPU_SAMPLES) > 0);
	assert_true(pf_counter_get(PF_COUNTER_THREAD_READ) > 100);
	assert_true(pf_counter_get(PF_COUNTER_THREAD_SIGNALLED) > 0);
	assert_int_equal(interrupted, 0);
	pf_profile_finish(&wall.profile);
	pf_profile_finish(&cpu.profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_sleep_is_interrupted),
	};
	struct timeval timeout = {0, 2000};

	sem_init(&never, 0, 0);
	poller = epoll_create1(0);
	if (poller < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0 ||
	    setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return 1;
	life_start();
	pf_thread_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
