/* Activity: has any thread of the program run since? One look at the whole process, however many
 * threads it has.
 *
 * The kernel adds the CPU clocks of all threads up when the process's is read: with 1,000 threads that
 * is a quarter of a millisecond. While a timer is set on that clock it keeps one sum instead, at every
 * switch. So whoever looks at every thread many times a second sets one, which never goes off, while
 * the program sleeps; then looks at that sum alone. A program that runs does not pay for it.
 *
 * Exact to a nanosecond, so that a thread that only woke and slept again is noticed. One that has just
 * begun to run is noticed at the scheduler's next tick, or when it sleeps again.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* One for each of our threads that looks; zeroes are fine. */
struct pf_activity {
	int timer;         /* +1; 0: not watched */
	int64_t others_ns; /* CPU time of all threads but ours at the mark */
	bool marked;
};

/* From now on, or no longer. Refused: nothing is ever marked. Forgets the mark when it changes. */
void pf_activity_watch(struct pf_activity *activity, bool on);

/* Take it before the threads are looked at: what they do meanwhile is for the next time. */
void pf_activity_mark(struct pf_activity *activity);

/* True: whoever slept at the mark has slept until now, and in the same place; nobody has begun and nobody
 * has ended. False: perhaps not, or nothing is marked. */
bool pf_activity_is_none(const struct pf_activity *activity);
