/* CPU: which code uses the processor, by one timer on the CPU clock of every thread.
 *
 *   timer --signal--> handler on that thread: stack, weight --> ring --> drainer --> feed
 *
 * The weight is the thread's CPU time since its last record, so it is exact however rarely the
 * kernel looks at CPU timers (once a tick). Timers run while the recorder is on or a window open.
 */
#pragma once
#include "base/profile.h"

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

/* Does what is due at `now_ns`, and says when it is due again (-1: when woken). */
int64_t pf_cpu_turn(int64_t now_ns);
/* Brings the registry up to date; also for the thread dump and the wall clock. */
void pf_cpu_scan(void);
/* For those who do it every second (thread.h). */
void pf_cpu_rescan(void);
/* Another signal, if the program has taken ours, while nothing is sampled here; for those who ask by it. */
void pf_cpu_mind_signal(void);
/* A look round at the threads is due before its time. Any thread. */
void pf_cpu_look_soon(void);
/* Does anything sample? */
bool pf_cpu_active(void);
