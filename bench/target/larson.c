/* larson: THREADS threads, each replaces random ones of its 1,000 blocks of 16..1024 bytes; now and
 * then a thread hands its blocks to the next generation (Larson & Krishnan, ISMM 1998). Phases are
 * switched as in toggle.h, by the CPU time of all threads together. With PLAIN nothing of proffs is
 * linked and nothing switched: for profilers that start with the process.
 * Usage: larson THREADS ROUNDS OPERATIONS */
#ifdef PLAIN
#include "busy.h"

#include <stdlib.h>
#include <string.h>
#else
#include "toggle.h"
#endif

#include <pthread.h>

enum { BLOCKS = 1000, THREADS_MAX = 64 };

static unsigned threads, operations;
static void *blocks[THREADS_MAX][BLOCKS];
static int64_t used_ns; /* atomic */

static void *replace(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint32_t random = me * 2654435761u + 1;
	int64_t start = busy_thread_cpu_ns();

	for (unsigned i = 0; i < operations; i++) {
		unsigned victim;

		random = random * 1664525 + 1013904223;
		victim = (random >> 8) % BLOCKS;
		free(blocks[me][victim]);
		blocks[me][victim] = malloc(16 + (random >> 20) % 1009);
		if (blocks[me][victim])
			*(char *)blocks[me][victim] = 1;
	}
	__atomic_fetch_add(&used_ns, busy_thread_cpu_ns() - start, __ATOMIC_RELAXED);
	return NULL;
}

/* A generation of threads; the next one frees what this one allocated, elsewhere. */
static int64_t generation(void)
{
	pthread_t all[THREADS_MAX];
	void *first[BLOCKS];

	used_ns = 0;
	for (uintptr_t i = 0; i < threads; i++)
		pthread_create(&all[i], NULL, replace, (void *)i);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(all[i], NULL);
	memcpy(first, blocks[0], sizeof(first));
	memmove(blocks[0], blocks[1], (threads - 1) * sizeof(blocks[0]));
	memcpy(blocks[threads - 1], first, sizeof(first));
	return used_ns;
}

#ifdef PLAIN
static int run(int rounds)
{
	for (int i = 0; i < rounds; i++)
		generation();
	return 0;
}
#else
static int run(int rounds)
{
	int64_t before, after, took;

	toggle_start("enable", NULL);
	generation();
	before = generation();
	for (int i = 0; i < rounds; i++) {
		if (i % 2)
			toggle_write("+heap");
		generation(); /* a switch leaves cold caches: what is on costs, not the switch */
		took = generation();
		if (i % 2)
			toggle_write("-heap");
		generation();
		after = generation();
		printf("%s %.6f\n", i % 2 ? "proffs" : "null",
		    (double)took / ((double)(before + after) / 2));
		before = after;
	}
	return proffs_stop() == 0 ? 0 : 1;
}
#endif

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	threads = (unsigned)atoi(argv[1]);
	operations = (unsigned)atoi(argv[3]);
	if (threads < 1 || threads > THREADS_MAX)
		return 2;
	return run(atoi(argv[2]));
}
