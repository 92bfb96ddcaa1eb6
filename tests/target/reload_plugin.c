/* A plugin of reload.c; its functions begin with PREFIX. */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PASTE(prefix, name) prefix##_##name
#define NAME(prefix, name)  PASTE(prefix, name)

__attribute__((visibility("default"))) void NAME(PREFIX, spin)(int ms);
__attribute__((visibility("default"))) void NAME(PREFIX, sleep)(const char *until);
__attribute__((visibility("default"))) void NAME(PREFIX, keep)(int blocks);

static volatile uint64_t sink;

void NAME(PREFIX, spin)(int ms)
{
	struct timespec t;
	int64_t end = 0;

	do {
		for (int i = 0; i < 2000; i++)
			sink = sink * 31 + 1;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
		if (end == 0)
			end = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + ms * 1000000ll;
	} while ((int64_t)t.tv_sec * 1000000000 + t.tv_nsec < end);
}

void NAME(PREFIX, sleep)(const char *until)
{
	struct timespec t = {0, 100000000};

	do
		nanosleep(&t, NULL);
	while (access(until, F_OK) != 0);
}

void NAME(PREFIX, keep)(int blocks)
{
	for (int i = 0; i < blocks; i++)
		sink += (uintptr_t)malloc(1000); /* kept for ever */
}
