/* Arm: a sampling timer for every thread that can take its signal.
 *
 * A thread that blocks the signal gets no timer: what is pending for it might come out of its next
 * sigwait(), where a program does not expect it. It is counted, and asked again when it has run.
 */
#pragma once
#include "sampler/thread.h"

/* All threads, those that have a timer included (another period). 0, or why not a single one could
 * be armed. Our own threads and normal code, as the rest. */
int pf_arm_all(int64_t period_ns);
/* Those that have none: new ones, and where it was not possible before. 0; -EAGAIN where some could
 * not be armed for want of room (RLIMIT_SIGPENDING); why some were refused. */
int pf_arm_missing(int64_t period_ns);
/* Has somebody been met who blocks the signal, perhaps for a moment only (around pthread_create, in
 * the C library itself)? Then in how long to look again: soon, and later each time it still does. -1:
 * nobody new. Once for each look. */
int64_t pf_arm_look_again_ns(void);

/* Of those that owe more CPU time than this, who blocks the signal by now loses its timer. */
void pf_arm_check(int64_t owed_ns);
void pf_arm_none(void);

/* A new thread arms its own. PF_HOOK. */
void pf_arm_self(struct pf_thread *thread, int64_t period_ns);

/* Does this thread block our signal, or wait for it? False also where that cannot be told. Counts
 * it, once. Not on the thread itself. */
bool pf_arm_is_blocked(struct pf_thread *thread);
/* As it was found within the last second, else as it is. */
bool pf_arm_was_blocked(struct pf_thread *thread);
