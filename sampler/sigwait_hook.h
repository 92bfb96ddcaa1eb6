/* Sigwait: a program that waits for "all signals" does not mean ours.
 *
 * sigwait(), sigwaitinfo(), sigtimedwait() and signalfd() take pending signals out of a thread's
 * queue without a handler. Their sets are passed on without our signal. A program that asks for it
 * by name, among few others, has found a use of its own: it is let through, and we take another.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>

int pf_sigwait_start(void);
void pf_sigwait_stop(void);

/* Has the program asked for our signal since this was called last? */
bool pf_sigwait_claimed(void);

/* The hooks. */
int pf_sigwait_wait(const sigset_t *set, int *signal);
int pf_sigwait_info(const sigset_t *set, siginfo_t *info);
int pf_sigwait_timed(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
int pf_sigwait_fd(int fd, const sigset_t *set, int flags);
