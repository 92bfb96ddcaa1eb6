/* Writing a heap profile of many distinct stacks, as jemalloc and gperftools do it: makes STACKS
 * blocks, each from a distinct stack, then has the allocator write its profile.
 *
 * usage: LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=prof:true,lg_prof_sample:0,prof_active:false \
 *            dump_peers STACKS FILE
 *        LD_PRELOAD=libtcmalloc.so.4 HEAPPROFILE=... dump_peers STACKS FILE
 *
 * Prints "stacks write_ms peak_kib", CPU time.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEPTH = 15 };

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static long status_kib(const char *key)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtol(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

/* Memory now, and from here on the peak is measured anew. */
static long begin_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "we");

	if (file) {
		fputs("5", file);
		fclose(file);
	}
	return status_kib("VmRSS:");
}

/* Two ways down from each level: as many stacks as the number has values. */
#define STEP(name) static __attribute__((noinline)) void name(unsigned long number, int depth);
STEP(left)
STEP(right)
#define BODY(name)                                                                                 \
	static __attribute__((noinline)) void name(unsigned long number, int depth)                \
	{                                                                                          \
		if (depth == 0) {                                                                  \
			void *volatile kept = malloc(64);                                          \
			(void)kept;                                                                \
			return;                                                                    \
		}                                                                                  \
		if (number & 1)                                                                    \
			right(number >> 1, depth - 1);                                             \
		else                                                                               \
			left(number >> 1, depth - 1);                                              \
		__asm__ volatile("");                                                              \
	}
BODY(left)
BODY(right)

int main(int argc, char **argv)
{
	unsigned long stacks = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	int (*control)(const char *, void *, size_t *, void *, size_t) =
	    (__typeof__(control))dlsym(RTLD_DEFAULT, "mallctl");
	char *(*get)(void) = (__typeof__(get))dlsym(RTLD_DEFAULT, "GetHeapProfile");
	void (*dump)(const char *) = (__typeof__(dump))dlsym(RTLD_DEFAULT, "HeapProfilerDump");
	long before;
	const char *file = argv[2];
	bool on = true;
	double start;

	if (stacks == 0)
		return 2;
	if (control)
		control("prof.active", NULL, NULL, &on, sizeof(on));
	for (unsigned long i = 0; i < stacks; i++)
		left(i, DEPTH + 12);
	before = begin_peak();
	start = now_ms();
	if (control)
		control("prof.dump", NULL, NULL, &file, sizeof(file));
	else if (dump)
		dump("bench");
	else if (get)
		free(get());
	else
		return 3;
	start = now_ms() - start;
	printf("%lu %.2f %ld\n", stacks, start, status_kib("VmHWM:") - before);
	return 0;
}
