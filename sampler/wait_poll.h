/* Wait poll: waits that no hook sees (Go, libgomp, system calls of the program's own, waits that began
 * before the hooks were there), met nineteen times a second in the kernel's own words; with the ticks of
 * the wall clock, twenty times, where that ticks too.
 *
 * A thread met in a futex stands for the time between two looks. It counts once for as long as it has
 * not run in between. In `block` as the kind `futex`; in `mutex`, too, where the word it sleeps at
 * looks like that of a lock, and there with the stack that waits, since nobody is seen to release it.
 */
#pragma once
#include "sampler/activity.h"

#include <sys/types.h>

/* Idempotent; called by one thread at a time. 0 or -errno. */
int pf_wait_poll_start(void);
int pf_wait_poll_stop(void);

/* The drainer's turn: does what is due at `now_ns`, and says when it is due again (-1: when woken).
 * `tick_ns`: the wall clock ticks now, and was to do so then; -1: it does not. */
int64_t pf_wait_poll_turn(int64_t now_ns, struct pf_activity *activity, int64_t tick_ns);

/* From now on this thread of the program waits for us, which is no wait of the program's. Any thread. */
void pf_wait_poll_leave_out(pid_t tid);

/* In the child after fork. PF_SIGSAFE. */
void pf_wait_poll_fork_child(void);
