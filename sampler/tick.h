/* Ticks: the processor's own clock, a third of the cost of clock_gettime(). For what is measured often
 * and must cost little; only differences mean something.
 *
 * Where that clock does not run evenly, or not the same on all processors (the kernel knows), ticks are
 * nanoseconds of the monotonic clock.
 */
#pragma once
#include "base/clock.h"
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

enum { PF_TICK_SHIFT = 32 };

extern PF_HIDDEN bool pf_tick_raw;             /* written once, by pf_tick_start() */
extern PF_HIDDEN uint64_t pf_tick_ns_fraction; /* nanoseconds a tick, times 2^PF_TICK_SHIFT */

/* Where pf_tick_raw is known to hold. PF_SIGSAFE and hooks. */
PF_INLINE uint64_t pf_tick_of_processor(void)
{
#if defined(__x86_64__)
	uint64_t now;

	/* Keeps %rdx, in which hooks hold an argument of the program's call. */
	__asm__ volatile("mov %%rdx, %%r11\n\t"
			 "rdtsc\n\t"
			 "shl $32, %%rdx\n\t"
			 "or %%rdx, %0\n\t"
			 "mov %%r11, %%rdx"
			 : "=a"(now)
			 :
			 : "r11", "cc");
	return now;
#elif defined(__aarch64__)
	uint64_t now;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
	return now;
#else
	return (uint64_t)pf_clock_now_ns();
#endif
}

/* PF_SIGSAFE and hooks. 0 on a thread that may not read the clock (PF_FORBIDDEN_CLOCK). */
PF_INLINE uint64_t pf_tick(void)
{
	if (PF_UNLIKELY(pf_forbidden_here & PF_FORBIDDEN_CLOCK))
		return 0;
	return PF_LIKELY(pf_tick_raw) ? pf_tick_of_processor() : (uint64_t)pf_clock_now_ns();
}

PF_INLINE uint64_t pf_tick_ns(uint64_t ticks)
{
	return (uint64_t)((unsigned __int128)ticks * pf_tick_ns_fraction >> PF_TICK_SHIFT);
}

/* Learns how long a tick is: two milliseconds, once. Normal code, one thread. */
void pf_tick_start(void);
