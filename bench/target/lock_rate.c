/* What threads that fight for one lock get done, with mutex and block off, on, off, ... in one process.
 *
 * Each of them works for about a microsecond or two with the lock and as long without, as often as it can.
 * One line for each stretch of 100 ms: off RATE, on RATE, null RATE (off, too: what the method cannot see).
 *
 * Without the lock it works as long as with it in the mean ("random": up to twice as long, by chance), or
 * always ("step"). In step two threads stand on a knife's edge: each comes back in the very moment in which
 * the other lets go, and whether it then sleeps, which costs ten times the work, is decided by nanoseconds,
 * whatever they are spent on. That measures who comes first, and not what a contention costs.
 *
 * With PLAIN nothing of proffs is linked, for what others preload: plain RATE.
 *
 * Usage: lock_rate THREADS ROUNDS random|step [SETTINGS]; lock_rate_plain THREADS ROUNDS random|step */
#ifdef PLAIN
#include "busy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#else
#include "toggle.h"
#endif

#include <pthread.h>
#include <stdbool.h>

enum { STRETCH_US = 100000, THREADS_MAX = 64, WORK = 800 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool in_step;
static uint64_t done[THREADS_MAX][8]; /* a cache line each */

static void *fight(void *mine)
{
	uint64_t *count = mine;
	uint32_t chance = (uint32_t)(count - &done[0][0]) + 1;

	for (;;) {
		pthread_mutex_lock(&lock);
		busy_leaf(WORK);
		pthread_mutex_unlock(&lock);
		chance = chance * 1664525 + 1013904223;
		busy_leaf(in_step ? WORK : (chance >> 16) % (2 * WORK));
		__atomic_store_n(count, *count + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static uint64_t total(int threads)
{
	uint64_t sum = 0;

	for (int i = 0; i < threads; i++)
		sum += __atomic_load_n(&done[i][0], __ATOMIC_RELAXED);
	return sum;
}

static void stretch(const char *way, int threads)
{
	struct timespec before, after;
	uint64_t first;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &before);
	first = total(threads);
	usleep(STRETCH_US);
	clock_gettime(CLOCK_MONOTONIC, &after);
	seconds =
	    (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
	printf("%s %.1f\n", way, (double)(total(threads) - first) / seconds);
}

#ifdef PLAIN
static void start(const char *set)
{
}

static void run(int threads, int rounds)
{
	for (int i = 0; i < rounds; i++)
		stretch("plain", threads);
}
#else
static void start(const char *set)
{
	toggle_start("enable", set);
}

static void run(int threads, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		stretch("off", threads);
		toggle_write("+mutex +block");
		stretch("on", threads);
		toggle_write("-mutex -block");
		stretch("off", threads);
		stretch("null", threads);
	}
	stretch("off", threads);
}
#endif

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 0, rounds = argc > 2 ? atoi(argv[2]) : 0;
	pthread_t thread;

	if (threads < 1 || threads > THREADS_MAX || rounds < 1 || argc < 4)
		return 2;
	in_step = strcmp(argv[3], "step") == 0;
	start(argc > 4 ? argv[4] : NULL);
	for (int i = 0; i < threads; i++)
		pthread_create(&thread, NULL, fight, &done[i][0]);
	usleep(STRETCH_US);
	run(threads, rounds);
	fflush(stdout);
	_exit(0);
}
