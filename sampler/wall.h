/* Wall: where every thread is, running or not, some times a second, without waking a sleeper.
 *
 *   drainer, at each tick --> gather --one sample a thread, weighing the time since--> feed
 *
 * A thread that has not run since the last tick costs one reading of its CPU clock; when none has, the
 * tick costs one look at the process (activity.h, lull.h). The state of a sample (running, futex, poll,
 * sleep...) is a label.
 */
#pragma once
#include "base/profile.h"
#include "sampler/activity.h"

/* The recorder on or off: 0 or -errno. Our own threads and the constructor. */
int pf_wall_enable(bool on);
bool pf_wall_enabled(void);

/* PF_SOURCE_WALL. Several at a time are fine. -ENODATA: no seconds asked for and no recorder. */
pf_collect_fn pf_wall_collect;

/* Ticks that were asked for so far. Before the clock is read: a tick answers who asked before its time. */
uint32_t pf_wall_wanted(void);
/* The drainer's turn: does what is due at `now_ns` or `wanted`, and says when it is due again (-1: when woken). */
int64_t pf_wall_turn(int64_t now_ns, uint32_t wanted, struct pf_activity *activity);
/* Threads that are left alone now are to be asked no more, at once. Any thread. */
void pf_wall_let_go(void);
/* For when the tick was due that it will be; -1: none. */
int64_t pf_wall_due_ns(int64_t now_ns, uint32_t wanted);

void pf_wall_init(void);
/* Everything off, whoever wanted it. */
void pf_wall_stop(void);
/* In the child after fork. PF_SIGSAFE. */
void pf_wall_fork_child(void);
