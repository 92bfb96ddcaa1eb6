/* Activity: has any thread of the program done anything since? One look at the whole process.
 *
 * A thread that has run and sleeps again has been switched out: the kernel counts that for the process,
 * at one system call for all threads. One that runs and has not slept since uses CPU time. Other threads
 * of ours count too: then the answer is "perhaps" for nothing. So whoever looks at every thread many
 * times a second need not look at all while the program sleeps.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct pf_activity {
	int64_t switches; /* of all threads but the caller's; -1: cannot be told */
	int64_t cpu_ns;   /* of the program */
};

/* Take it before the threads are looked at: what they do meanwhile is for the next time. */
struct pf_activity pf_activity_read(void);

/* True: whoever slept at `before` has slept until `now`, and in the same place. */
bool pf_activity_is_none(const struct pf_activity *before, const struct pf_activity *now);
