/* Nanoseconds of one malloc and free. The heap profile is switched off, on, off, ... in one process.
 * With PLAIN nothing of proffs is linked: the program is alone, or beside a thread that sleeps, since
 * glibc's malloc takes short cuts while there is only one.
 *
 * Prints one line for each round: PATTERN WAY NANOSECONDS; what is on stands between its two offs.
 * Usage: heap_pairs ROUNDS; heap_pairs_plain ROUNDS alone|beside */
#ifdef PLAIN
#include "busy.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#else
#include "toggle.h"
#endif

enum { PAIRS = 1000000, BATCH = 1000, HELD = 20000 };

static void *volatile sink; /* the compiler shall not see through a pair */
static void *held[HELD];
static uint32_t dice = 1;

static uint32_t draw(void)
{
	return (dice = dice * 1664525 + 1013904223) >> 8;
}

/* One size, freed at once. */
static void lifo_64(void)
{
	for (int i = 0; i < PAIRS; i++) {
		sink = malloc(64);
		free(sink);
	}
}

/* 16 to 512 bytes, freed at once. */
static void lifo_mixed(void)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		sink = malloc(16 + (i * 7 & 31) * 16);
		free(sink);
	}
}

/* A thousand, then all freed. */
static void batch_1000(void)
{
	for (int i = 0; i < PAIRS / BATCH; i++) {
		for (unsigned k = 0; k < BATCH; k++)
			held[k] = malloc(16 + (k * 7 & 31) * 16);
		for (int k = 0; k < BATCH; k++)
			free(held[k]);
	}
	for (int k = 0; k < BATCH; k++)
		held[k] = NULL;
}

/* Twenty thousand live ones of 16 to 512 bytes, replaced at random. */
static void replace_20000(void)
{
	for (int i = 0; i < PAIRS; i++) {
		void **victim = &held[draw() % HELD];

		free(*victim);
		*victim = malloc(16 + draw() % 497);
	}
}

static const struct pattern {
	const char *name;
	void (*work)(void);
} patterns[] = {
    {"lifo_64", lifo_64},
    {"lifo_mixed", lifo_mixed},
    {"batch_1000", batch_1000},
    {"replace_20000", replace_20000},
};

enum { PATTERNS = sizeof(patterns) / sizeof(patterns[0]) };

static void measure(const struct pattern *pattern, const char *way)
{
	int64_t start = busy_thread_cpu_ns();

	pattern->work();
	printf("%s %s %.4f\n", pattern->name, way, (double)(busy_thread_cpu_ns() - start) / PAIRS);
}

#ifdef PLAIN
static void *sleep_on(void *unused)
{
	pause();
	return unused;
}

static void start(const char *way)
{
	pthread_t other;

	if (strcmp(way, "beside") == 0)
		pthread_create(&other, NULL, sleep_on, NULL);
}

static void run(const struct pattern *pattern, int rounds, const char *way)
{
	for (int i = 0; i < rounds; i++)
		measure(pattern, way);
}
#else
static void start(const char *way)
{
	toggle_start("enable", NULL);
}

static void run(const struct pattern *pattern, int rounds, const char *way)
{
	for (int i = 0; i < rounds; i++) {
		measure(pattern, "off");
		toggle_write("+heap");
		measure(pattern, "on");
		toggle_write("-heap");
	}
}
#endif

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 0;
	const char *way = argc > 2 ? argv[2] : "alone";

	if (rounds < 1)
		return 2;
	start(way);
	for (int p = 0; p < PATTERNS; p++) {
		patterns[p].work(); /* warm */
		run(&patterns[p], rounds, way);
	}
	return 0;
}
