/* Sixteen threads with unequal load on whatever processors there are. Thread k ("load_KK") sleeps
 * less the larger k is. After SECONDS (argument) prints one line per thread: NAME CPU_NS, by its
 * own clock.
 */
#include "busy.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 16 };

static int64_t used[THREADS];
static int64_t end_ns;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *load(void *arg)
{
	unsigned k = (unsigned)(uintptr_t)arg;
	char name[16];

	snprintf(name, sizeof(name), "load_%02u", k);
	pthread_setname_np(pthread_self(), name);
	while (now_ns() < end_ns) {
		busy_work(k + 1);
		usleep((THREADS - k) * 400);
	}
	used[k] = busy_thread_cpu_ns();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	end_ns = now_ns() + (int64_t)(argc > 1 ? atoi(argv[1]) : 10) * 1000000000;
	for (uintptr_t k = 0; k < THREADS; k++)
		pthread_create(&threads[k], NULL, load, (void *)k);
	for (unsigned k = 0; k < THREADS; k++) {
		pthread_join(threads[k], NULL);
		printf("load_%02u %lld\n", k, (long long)used[k]);
	}
	return 0;
}
