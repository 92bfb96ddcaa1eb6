/* Truth for the benches: hold() sleeps 5 ms with the lock, a hundred times; three others want it all the
 * while, for a moment each. Waits a second first, for the agent; then prints how many milliseconds the
 * others have waited, by their own clocks, in all and while hold() had it, and stays. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 100, WAITERS = 3 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t gate;
static int64_t waited_ns, waited_held_ns; /* atomic */
static int64_t released_ns;               /* by hold(); guarded by lock */

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static __attribute__((noinline)) void hold(void)
{
	pthread_mutex_lock(&lock);
	pthread_barrier_wait(&gate);
	usleep(5000);
	released_ns = now_ns();
	pthread_mutex_unlock(&lock);
	__asm__ volatile("");
}

static void *want(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		int64_t start;

		pthread_barrier_wait(&gate);
		start = now_ns();
		pthread_mutex_lock(&lock);
		__atomic_fetch_add(&waited_ns, now_ns() - start, __ATOMIC_RELAXED);
		__atomic_fetch_add(&waited_held_ns, released_ns - start, __ATOMIC_RELAXED);
		pthread_mutex_unlock(&lock);
		pthread_barrier_wait(&gate);
	}
	return unused;
}

int main(void)
{
	pthread_t threads[WAITERS];

	sleep(1);
	pthread_barrier_init(&gate, NULL, WAITERS + 1);
	for (int i = 0; i < WAITERS; i++)
		pthread_create(&threads[i], NULL, want, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		hold();
		pthread_barrier_wait(&gate);
	}
	for (int i = 0; i < WAITERS; i++)
		pthread_join(threads[i], NULL);
	printf("%.3f %.3f\n", (double)waited_ns / 1e6, (double)waited_held_ns / 1e6);
	fflush(stdout);
	for (;;)
		pause();
}
