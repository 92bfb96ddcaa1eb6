/* Sigaction: a program that gives "all signals" back to the default does not mean ours.
 *
 * haproxy does before it ends, daemons do when they begin: for every number, signal(n, SIG_DFL). Our
 * next sample would then end the program. So the default, or to ignore it, is taken down as what the
 * program wants of our signal, told when it asks, and not done. A handler of its own is a use for the
 * signal: it is installed with its own flags and mask, and we take another (signal.h). Until then, and
 * for what was on its way, one of ours stands before it that lets through what is not from us: an
 * emulator (qemu) ended of a sample, which it took for the emulated program's own deadly signal.
 *
 * A handler that works on a small alternate stack blocks our signal, and the program is told the mask
 * that it gave (small_stack.h).
 */
#pragma once
#include <signal.h>

int pf_sigaction_start(void);
void pf_sigaction_stop(void);

/* The hooks. */
int pf_sigaction_stack(const stack_t *stack, stack_t *old);
int pf_sigaction_set(int signal, const struct sigaction *action, struct sigaction *old);
__sighandler_t pf_sigaction_signal(int signal, __sighandler_t handler);
__sighandler_t pf_sigaction_sysv_signal(int signal, __sighandler_t handler);
