/* Timer: one on the CPU clock of each thread, which signals that thread alone.
 *
 * Made and deleted by system calls of ours (glibc's timer_create may allocate), from the thread
 * itself or from another: whoever moves timer_state to BUSY has it.
 */
#pragma once
#include "sampler/thread.h"

#include <signal.h>

#include <time.h>

/* Makes the thread's timer, or gives the one it has another period. First expiry at random within
 * one period. 0; -EAGAIN (RLIMIT_SIGPENDING: counted), -EINVAL (thread gone), -EBUSY (somebody else
 * is at it), other -errno (refused). PF_HOOK. */
int pf_timer_arm(struct pf_thread *thread, int64_t period_ns);
/* Waits until nobody is at it, then deletes it. PF_HOOK. */
void pf_timer_disarm(struct pf_thread *thread);

/* The scheduler's tick: CPU timers are looked at no more often than this. */
int64_t pf_timer_tick_ns(void);

/* A random number. PF_HOOK. */
uint64_t pf_timer_draw(void);

/* A timer on a thread's CPU clock that sends our signal with `value` to it: an id or -errno. */
int pf_timer_create(pid_t tid, union sigval value);
/* One on the process's CPU clock that never goes off (activity.h): an id or -errno. */
int pf_timer_create_idle(void);
int pf_timer_set(int timer, int64_t first_ns, int64_t period_ns);
void pf_timer_delete(int timer);
