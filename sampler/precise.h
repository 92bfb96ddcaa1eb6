/* Precise: a perf event on each thread's CPU clock in place of its timer, where cpu/precise asks
 * for it and the kernel permits it.
 *
 * Timers are looked at when the scheduler ticks, so a program that moves in step with the tick is
 * misjudged; an event strikes where its period ends. The price is paid at every context switch.
 * What a sample weighs is the same as with timers, and so is everything behind the handler.
 */
#pragma once
#include "sampler/thread.h"

/* Would it work here? 0; -EOPNOTSUPP, and the feature says why. Our own threads. */
int pf_precise_probe(void);

/* The drainer: one event for each live thread, whose timer then goes; none with a period of 0.
 * Who can have none keeps its timer. */
void pf_precise_update(int64_t period_ns);

/* The drainer: are there events, or may there be? */
bool pf_precise_is_used(void);
/* The drainer, often: another period, of the same mean, for each thread that has been sampled. */
void pf_precise_shuffle(void);

/* Has it an event, now? Any thread. */
bool pf_precise_has(const struct pf_thread *thread);

/* Is SIGURG ours? Normal code. */
bool pf_precise_owns_signal(void);

/* Its handler works on the stack that it interrupts from now on. PF_SIGSAFE. */
void pf_precise_leave_stacks(void);

/* In the child after fork: the events are the parent's. PF_SIGSAFE. */
void pf_precise_fork_child(void);
