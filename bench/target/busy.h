/* Work for the benches: a fixed amount, in many functions, about 30 frames deep. */
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t busy_thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static volatile uint64_t busy_sink;

static __attribute__((noinline)) void busy_leaf(unsigned amount)
{
	uint64_t x = busy_sink;

	for (unsigned i = 0; i < amount; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	busy_sink = x;
}

static __attribute__((noinline)) void busy_odd(unsigned depth, unsigned amount);

static __attribute__((noinline)) void busy_even(unsigned depth, unsigned amount)
{
	if (depth == 0)
		busy_leaf(amount);
	else
		busy_odd(depth - 1, amount);
	__asm__ volatile(""); /* keeps the call a call */
}

static __attribute__((noinline)) void busy_odd(unsigned depth, unsigned amount)
{
	if (depth == 0)
		busy_leaf(amount);
	else
		busy_even(depth - 1, amount);
	__asm__ volatile("");
}

/* `units` times about 20 us. */
static inline void busy_work(unsigned units)
{
	for (unsigned i = 0; i < units; i++)
		busy_even(27, 20000);
}
