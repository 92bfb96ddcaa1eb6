/* Truth: of the CPU time, 70 % is in seventy() and 30 % in thirty(), over every stretch of 150 ms.
 *
 * The stretches have no common length, so that no sampling frequency can fall in step with them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static volatile uint64_t sink;

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static __attribute__((noinline)) void seventy(int64_t until_ns)
{
	while (cpu_ns() < until_ns)
		for (int i = 0; i < 50000; i++)
			sink = sink * 31 + 1;
}

static __attribute__((noinline)) void thirty(int64_t until_ns)
{
	while (cpu_ns() < until_ns)
		for (int i = 0; i < 50000; i++)
			sink = sink * 31 + 2;
}

int main(int argc, char **argv)
{
	int64_t end = argc > 1 ? atoll(argv[1]) * 1000000000 : INT64_MAX;
	int64_t at = cpu_ns();
	uint32_t random = 1;

	while (at < end) {
		int64_t length;

		random = random * 1664525 + 1013904223;
		length = 50000000 + random % 100000000;
		seventy(at + length * 7 / 10);
		thirty(at + length);
		at += length;
	}
	return 0;
}
