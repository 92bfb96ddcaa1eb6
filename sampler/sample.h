/* Sample: a thread's CPU time, from its clock into the ring, every nanosecond once.
 *
 * Each thread has a mark on its CPU clock: what lies below is in records. The handler records the
 * stretch from the mark up to now with the stack it interrupted; the thread's end, a window's end
 * and the watch over silent threads record what is left as a rest, without a stack.
 */
#pragma once
#include "sampler/thread.h"

#include <ucontext.h>

/* The time between two samples; 0: nothing samples, and the handler returns at once. Any thread. */
int64_t pf_sample_period_ns(void); /* PF_SIGSAFE */
void pf_sample_set_period_ns(int64_t period_ns);
/* What a sample stands for on average: the period, or the tick where that is longer and the thread
 * (NULL: any) has a timer. */
int64_t pf_sample_nominal_ns(const struct pf_thread *thread);

/* The handler, on the thread that was interrupted. PF_SIGSAFE. */
void pf_sample_take(struct pf_thread *thread, const ucontext_t *context);

/* A thread's first and last step, on that thread. PF_HOOK. */
void pf_sample_thread_begin(struct pf_thread *thread);
void pf_sample_thread_end(struct pf_thread *thread);
/* For one in ENDING that took no last step: the scan's `gone`. */
void pf_sample_thread_gone(struct pf_thread *thread);

/* Moves every mark up to now; what lay between is nobody's. */
void pf_sample_forget(void);
/* Records the rests of all threads that are at least so long. */
void pf_sample_rests(int64_t least_ns);
/* CPU time used and not recorded yet, as of the last scan. */
int64_t pf_sample_owed_ns(const struct pf_thread *thread);

/* Takes out what found no place in the ring: its weight, and how many samples. */
uint32_t pf_sample_lost(int64_t *weight_ns);

/* In the child after fork. PF_SIGSAFE. */
void pf_sample_fork_child(void);
