/* Small stacks: a handler of the program's that works on an alternate stack too small for two is left alone.
 *
 * The kernel puts the thread's whole state on the stack for each handler: 3.5 KiB with AVX-512, 11 with
 * AMX. A handler of ours that comes while one of the program's works on an alternate stack goes on that stack,
 * wherever it wants to be, and of the 8 KiB that SIGSTKSZ was for thirty years nothing is left: the
 * kernel ends the program. So from the first small stack on our signal is in the mask of every handler
 * with SA_ONSTACK; the program is not told of it. What such a handler does is sampled when it has
 * returned, if at all.
 */
#pragma once
#include <signal.h>
#include <stdint.h>

/* Below this a stack is small: what a handler needs is not known, and a stack that is larger has been given
 * with nested handlers in mind. */
enum { PF_SMALL_STACK_BYTES = 64 << 10 };

/* An alternate stack of the program's: one that it registers, or one that a handler of ours was told of. */
void pf_small_stack_note(const stack_t *stack);

/* Our signal from now on; 0: there is none yet. Also when handlers may have been installed past the hooks. */
void pf_small_stack_signal(int signal);

/* ---- in the hooks ---- */

/* What is to be installed in place of `action`: with our signal blocked, if it must be. `signal` is 1 to 64. */
void pf_small_stack_widen(int signal, struct sigaction *action);
/* What widening has added until now; and an action that was read after that without it. */
uint64_t pf_small_stack_added(int signal);
void pf_small_stack_hide(struct sigaction *action, uint64_t added);
/* After an installation: a small stack may have appeared meanwhile. */
void pf_small_stack_installed(int signal);
