/* CPU: which code uses the processor, by one timer on the CPU clock of every thread.
 *
 *   timer --signal--> handler on that thread: stack, weight --> ring --> drainer --> feed
 *
 * The weight is the thread's CPU time since its last record, so it is exact however rarely the
 * kernel looks at CPU timers (once a tick). Timers run while the recorder is on or a window open.
 */
#pragma once
#include "base/profile.h"
#include "sampler/thread.h"

#include <ucontext.h>

/* The recorder on or off: 0, -EOPNOTSUPP (the feature says why), -errno. Our own threads and the
 * constructor. */
int pf_cpu_enable(bool on);
bool pf_cpu_enabled(void);

/* PF_SOURCE_CPU. Several at a time are fine. -ENODATA: no seconds asked for and no recorder. */
pf_collect_fn pf_cpu_collect;

/* A change of cpu/hz re-arms every timer: from now on. */
void pf_cpu_init(void);
/* Everything off, whoever wanted it. */
void pf_cpu_stop(void);
/* In the child after fork: nothing samples, the timers are not inherited. PF_SIGSAFE. */
void pf_cpu_fork_child(void);

/* ---- for the drainer ---- */

bool pf_cpu_active(void);
/* Moves everything from the ring to the feed. */
void pf_cpu_drain(void);
/* Once a second: threads that came and went, timers that are missing, signals that are blocked. */
void pf_cpu_look_round(void);
/* Brings the registry up to date; also for the thread dump. */
void pf_cpu_scan(void);
/* Nothing samples any more: give the dead threads' slots back. */
void pf_cpu_settle(void);

/* ---- for the threads themselves ---- */

/* The handler. PF_SIGSAFE. */
void pf_cpu_sample(struct pf_thread *thread, const ucontext_t *context);
/* A thread's first and last step, on that thread. PF_HOOK. */
void pf_cpu_thread_begin(struct pf_thread *thread);
void pf_cpu_thread_end(struct pf_thread *thread);
