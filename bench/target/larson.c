/* larson: THREADS threads, each replaces random ones of its 1,000 blocks of 16..1024 bytes; now and
 * then a thread hands its blocks to the next generation (Larson & Krishnan, ISMM 1998).
 * The threads have processors of their own, so two that run at once have as much of each.
 * Usage: larson THREADS GENERATIONS OPERATIONS */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 1000, THREADS_MAX = 64 };

static unsigned threads, operations;
static void *blocks[THREADS_MAX][BLOCKS];

static void *replace(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint32_t random = me * 2654435761u + 1;

	for (unsigned i = 0; i < operations; i++) {
		unsigned victim;

		random = random * 1664525 + 1013904223;
		victim = (random >> 8) % BLOCKS;
		free(blocks[me][victim]);
		blocks[me][victim] = malloc(16 + (random >> 20) % 1009);
		if (blocks[me][victim])
			*(char *)blocks[me][victim] = 1;
	}
	return NULL;
}

/* The processors of this program in turn. */
static int place(uintptr_t thread)
{
	cpu_set_t all;
	int left;

	sched_getaffinity(0, sizeof(all), &all);
	left = (int)(thread % (uintptr_t)CPU_COUNT(&all));
	for (int i = 0;; i++)
		if (CPU_ISSET(i, &all) && left-- == 0)
			return i;
}

/* A generation of threads; the next one frees what this one allocated, elsewhere. */
static void generation(void)
{
	pthread_t all[THREADS_MAX];
	void *first[BLOCKS];

	for (uintptr_t i = 0; i < threads; i++) {
		cpu_set_t where;
		pthread_attr_t how;

		CPU_ZERO(&where);
		CPU_SET(place(i), &where);
		pthread_attr_init(&how);
		pthread_attr_setaffinity_np(&how, sizeof(where), &where);
		pthread_create(&all[i], &how, replace, (void *)i);
		pthread_attr_destroy(&how);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(all[i], NULL);
	memcpy(first, blocks[0], sizeof(first));
	memmove(blocks[0], blocks[1], (threads - 1) * sizeof(blocks[0]));
	memcpy(blocks[threads - 1], first, sizeof(first));
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	threads = (unsigned)atoi(argv[1]);
	operations = (unsigned)atoi(argv[3]);
	if (threads < 1 || threads > THREADS_MAX)
		return 2;
	for (int i = 0; i < atoi(argv[2]); i++)
		generation();
	return 0;
}
