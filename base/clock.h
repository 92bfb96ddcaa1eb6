/* Clocks, all in nanoseconds. PF_SIGSAFE: clock_gettime is async-signal-safe (POSIX). */
#pragma once
#include "base/forbid.h"
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { PF_NS_PER_SECOND = 1000000000, PF_NS_PER_MS = 1000000, PF_NS_PER_US = 1000 };

/* True: clock_gettime() is a function of the program's or of a library in front of libc (libfaketime), which
 * tells another time than the one by which the kernel waits, and may lock. Then the kernel is asked.
 * Before any thread of ours. */
extern bool pf_clock_is_replaced;

/* A clock's reading, or -1 where the clock does not exist (its thread has ended). */
PF_INLINE int64_t pf_clock_ns(clockid_t clock)
{
	struct timespec t;
	long rc;

	if (PF_UNLIKELY((pf_forbidden_here & PF_FORBIDDEN_CLOCK) || pf_clock_is_replaced))
		rc = syscall(SYS_clock_gettime, clock, &t);
	else
		rc = clock_gettime(clock, &t);
	if (rc != 0)
		return -1;
	return (int64_t)t.tv_sec * PF_NS_PER_SECOND + t.tv_nsec;
}

/* Monotonic time: what every duration and deadline here is measured in. */
PF_INLINE int64_t pf_clock_now_ns(void)
{
	return pf_clock_ns(CLOCK_MONOTONIC);
}

/* Time since the epoch: for what a reader sees, never for a duration. */
PF_INLINE int64_t pf_clock_real_ns(void)
{
	return pf_clock_ns(CLOCK_REALTIME);
}

/* The sooner of two moments; negative is never. */
PF_INLINE int64_t pf_clock_sooner(int64_t a_ns, int64_t b_ns)
{
	if (a_ns < 0 || b_ns < 0)
		return a_ns < 0 ? b_ns : a_ns;
	return a_ns < b_ns ? a_ns : b_ns;
}

/* No round number: a program's own timers, set to whole milliseconds, are met at every stage. */
enum { PF_CLOCK_PHASE_NS = 30901699 };

/* The next of the moments that lie `period_ns` apart. They are the same in every process, so that all of
 * them are woken by one interrupt, and those of a period are among those of its divisors. */
PF_INLINE int64_t pf_clock_beat_after(int64_t now_ns, int64_t period_ns)
{
	int64_t into_ns = (now_ns - PF_CLOCK_PHASE_NS) % period_ns;

	return now_ns - into_ns + (into_ns < 0 ? 0 : period_ns);
}

/* The CPU clock of any thread of this process (linux: CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED). */
PF_INLINE clockid_t pf_clock_of_thread(pid_t tid)
{
	return (clockid_t)((~(unsigned)tid << 3) | 6);
}
