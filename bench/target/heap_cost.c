/* What the heap profile costs besides the hot path (toggle.h). One line each: NAME VALUE.
 *
 *   heap_cost switch ROUNDS LIBRARY...   microseconds to switch it on and off, with these opened
 *   heap_cost sample ROUNDS              nanoseconds of one malloc and free under 30 frames, sampled
 *   heap_cost memory MIB                 holds so much in small blocks, prints "ready", waits
 *   heap_cost pairs ROUNDS               as "sample", but nothing of ours is started: for others
 *   heap_cost resident MIB               KiB resident with so much in small blocks, the same
 */
#include "toggle.h"

#include <dlfcn.h>
#include <link.h>
#include <time.h>

enum { FRAMES = 30, PAIRS = 20000 };

static void *volatile sink;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int count_module(struct dl_phdr_info *info, size_t size, void *count)
{
	++*(int *)count;
	return 0;
}

static void switch_it(int rounds, char **libraries)
{
	int modules = 0;

	for (; *libraries; libraries++)
		dlopen(*libraries, RTLD_NOW | RTLD_LOCAL);
	dl_iterate_phdr(count_module, &modules);
	printf("modules %d\n", modules);
	for (int i = 0; i < rounds; i++) {
		int64_t start = now_ns(), middle, end;

		toggle_write("+heap");
		middle = now_ns();
		toggle_write("-heap");
		end = now_ns();
		/* The same way for nothing: what is left is the switching. */
		toggle_write("-heap");
		printf("enable %.3f\ndisable %.3f\nnothing %.3f\n", (double)(middle - start) / 1000,
		    (double)(end - middle) / 1000, (double)(now_ns() - end) / 1000);
	}
}

static __attribute__((noinline)) double pairs(int depth)
{
	volatile double result;
	int64_t start;

	if (depth > 1) {
		result = pairs(depth - 1);
		return result;
	}
	start = busy_thread_cpu_ns();
	for (unsigned i = 0; i < PAIRS; i++) {
		sink = malloc(16 + (i * 7 & 31) * 16);
		free(sink);
	}
	return (double)(busy_thread_cpu_ns() - start) / PAIRS;
}

/* Our own frames above: main, sample, and the program's start. */
static void sample(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		double off = pairs(FRAMES - 4), on;

		toggle_write("+heap");
		pairs(FRAMES - 4);
		on = pairs(FRAMES - 4);
		toggle_write("-heap");
		printf("sample %.2f\n", on - off);
	}
}

static void hold(long mebibytes)
{
	uint32_t dice = 1;

	for (long bytes = 0; bytes < mebibytes << 20;) {
		size_t size = 16 + ((dice = dice * 1664525 + 1013904223) >> 8) % 497;
		char *at = malloc(size);

		*at = 1;
		sink = at; /* or the compiler sees that nobody wants it */
		bytes += (long)size;
	}
}

static void memory(long mebibytes)
{
	toggle_write("+heap");
	hold(mebibytes);
	printf("ready %s\n", proffs_path());
	fflush(stdout);
	getchar();
}

/* For profilers that start with the process. */
static void plain_pairs(int rounds)
{
	pairs(FRAMES - 4);
	for (int i = 0; i < rounds; i++)
		printf("pairs %.2f\n", pairs(FRAMES - 4));
}

static void resident(long mebibytes)
{
	long pages = 0;
	FILE *statm;

	hold(mebibytes);
	statm = fopen("/proc/self/statm", "r");
	if (!statm || fscanf(statm, "%*d %ld", &pages) != 1)
		exit(1);
	printf("resident %ld\n", pages * (sysconf(_SC_PAGESIZE) / 1024));
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "pairs") == 0 || strcmp(argv[1], "resident") == 0) {
		if (argv[1][0] == 'p')
			plain_pairs(atoi(argv[2]));
		else
			resident(atol(argv[2]));
		return 0;
	}
	toggle_start("enable", strcmp(argv[1], "sample") == 0 ? "heap_sample_bytes=1" : NULL);
	if (strcmp(argv[1], "switch") == 0)
		switch_it(atoi(argv[2]), argv + 3);
	else if (strcmp(argv[1], "sample") == 0)
		sample(atoi(argv[2]));
	else
		memory(atol(argv[2]));
	return proffs_stop() == 0 ? 0 : 1;
}
