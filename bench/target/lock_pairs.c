/* Nanoseconds of one uncontended lock and unlock, and of a read that does not block: in one process, "plain"
 * before the agent has started, and then with the collectors switched off, on, off, ... Between two
 * processes a read() alone differed by several nanoseconds. A thread sleeps beside, since glibc's locks take
 * short cuts while there is only one. It has its own descriptor table, as ours have: who shares one pays
 * 10 ns more for each read. With PLAIN nothing of proffs is linked, for what others preload.
 *
 * Prints one line for each round: PATTERN WAY NANOSECONDS; what is on stands between its two offs.
 * Usage: lock_pairs ROUNDS; lock_pairs_plain ROUNDS */
#ifdef PLAIN
#include "busy.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#else
#include "toggle.h"
#endif
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

enum { PAIRS = 1000000, MANY = 16384, READS = 200000 };

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive;
static pthread_mutex_t many[MANY];
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static int zero;

static void mutex(void)
{
	for (int i = 0; i < PAIRS; i++) {
		pthread_mutex_lock(&one);
		pthread_mutex_unlock(&one);
	}
}

/* In an order that the processor does not foresee. */
static void mutex_of_many(void)
{
	uint32_t at = 1;

	for (int i = 0; i < PAIRS; i++) {
		at = at * 1664525 + 1013904223;
		pthread_mutex_lock(&many[at >> 18]);
		pthread_mutex_unlock(&many[at >> 18]);
	}
}

static void mutex_twice(void)
{
	for (int i = 0; i < PAIRS / 2; i++) {
		pthread_mutex_lock(&recursive);
		pthread_mutex_lock(&recursive);
		pthread_mutex_unlock(&recursive);
		pthread_mutex_unlock(&recursive);
	}
}

static void rwlock_read(void)
{
	for (int i = 0; i < PAIRS; i++) {
		pthread_rwlock_rdlock(&rw);
		pthread_rwlock_unlock(&rw);
	}
}

static void read_zero(void)
{
	char byte;

	for (int i = 0; i < READS; i++)
		if (read(zero, &byte, 1) != 1)
			abort();
}

static const struct pattern {
	const char *name;
	void (*work)(void);
	int count;
	const char *on, *off;
} patterns[] = {
    {"mutex", mutex, PAIRS, "+mutex +block", "-mutex -block"},
    {"mutex_of_many", mutex_of_many, PAIRS, "+mutex +block", "-mutex -block"},
    {"mutex_recursive", mutex_twice, PAIRS, "+mutex +block", "-mutex -block"},
    {"rwlock_read", rwlock_read, PAIRS, "+mutex +block", "-mutex -block"},
    {"read", read_zero, READS, "+block", "-block"},
};

enum { PATTERNS = sizeof(patterns) / sizeof(patterns[0]) };

static void measure(const struct pattern *pattern, const char *way)
{
	int64_t start = busy_thread_cpu_ns();

	pattern->work();
	printf("%s %s %.4f\n", pattern->name, way,
	    (double)(busy_thread_cpu_ns() - start) / pattern->count);
}

static void *sleep_on(void *unused)
{
	if (unshare(CLONE_FILES) != 0)
		abort();
	pause();
	return unused;
}

static void run_plain(int rounds)
{
	for (int p = 0; p < PATTERNS; p++) {
		patterns[p].work(); /* warm */
		for (int i = 0; i < rounds; i++)
			measure(&patterns[p], "plain");
	}
}

#ifdef PLAIN
static void run_switched(int rounds)
{
}
#else
static void run_switched(int rounds)
{
	toggle_start("enable", "block_kinds=sync+io");
	for (int p = 0; p < PATTERNS; p++) {
		patterns[p].work(); /* warm */
		for (int i = 0; i < rounds; i++) {
			measure(&patterns[p], "off");
			toggle_write(patterns[p].on);
			measure(&patterns[p], "on");
			toggle_write(patterns[p].off);
		}
		measure(&patterns[p], "off");
	}
}
#endif

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 0;
	pthread_mutexattr_t attr;
	pthread_t other;

	if (rounds < 1)
		return 2;
	zero = open("/dev/zero", O_RDONLY);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&recursive, &attr);
	for (int i = 0; i < MANY; i++)
		pthread_mutex_init(&many[i], NULL);
	pthread_create(&other, NULL, sleep_on, NULL);
	run_plain(rounds);
	run_switched(rounds);
	return 0;
}
