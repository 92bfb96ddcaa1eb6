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

/* Of one of our threads that looks; zeroes are fine. */
struct pf_activity {
	int timer;         /* +1; 0: not watched */
	int64_t others_ns; /* CPU time of all threads but ours at the mark */
	bool marked;
	/* Of the steps. */
	int64_t step_ns;
	uint32_t stage;
	bool looked, ran; /* since the last step */
	uint32_t busy;    /* looks in a row that found that somebody had run */
};

/* From now on, or no longer. Refused: nothing is ever marked. Forgets the mark when it changes. */
void pf_activity_watch(struct pf_activity *activity, bool on);

/* Take it before the threads are looked at: what they do meanwhile is for the next time. */
void pf_activity_mark(struct pf_activity *activity);

/* True: whoever slept at the mark has slept until now, and in the same place; nobody has begun and nobody
 * has ended. False: perhaps not, or nothing is marked. */
bool pf_activity_is_none(const struct pf_activity *activity);

/* For a thread that looks again and again, for one purpose or several: a step before the looks of this
 * moment, `now_ns`, of which there may be several. Returns the stage: as long as it is the one of an
 * earlier look, whoever slept at that has slept until now. Watches while that is likely to be so. */
uint32_t pf_activity_step(struct pf_activity *activity, int64_t now_ns);
/* What a look at every thread has found: somebody had run since the one before; somebody runs now. */
void pf_activity_found(struct pf_activity *activity, bool ran, bool runs);
/* Nobody looks any more. */
void pf_activity_rest(struct pf_activity *activity);
