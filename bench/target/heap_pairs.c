/* Nanoseconds of one malloc and free, a stretch at a time: whoever asks has several such programs take turns.
 * With PLAIN nothing of proffs is linked: the program is alone, or beside a thread that sleeps, since
 * glibc's malloc takes short cuts while there is only one.
 *
 * For each line `PATTERN WAY` on stdin, nanoseconds. WAY is on (the heap profile, for that stretch) or off.
 * Usage: heap_pairs; heap_pairs_plain alone|beside */
#include <stdbool.h>
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

enum { PAIRS = 500000, BATCH = 1000, HELD = 20000 };

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

static void change(const char *word)
{
}
#else
static void start(const char *way)
{
	toggle_start("enable", NULL);
}

static void change(const char *word)
{
	toggle_write(word);
}
#endif

static void measure(const struct pattern *pattern, bool on)
{
	int64_t start;

	if (on)
		change("+heap");
	start = busy_thread_cpu_ns();
	pattern->work();
	printf("%.4f\n", (double)(busy_thread_cpu_ns() - start) / PAIRS);
	fflush(stdout);
	if (on)
		change("-heap");
}

int main(int argc, char **argv)
{
	char name[32], way[8];

	start(argc > 1 ? argv[1] : "alone");
	while (scanf("%31s %7s", name, way) == 2)
		for (int p = 0; p < PATTERNS; p++)
			if (strcmp(name, patterns[p].name) == 0)
				measure(&patterns[p], strcmp(way, "on") == 0);
	return 0;
}
