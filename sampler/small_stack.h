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

/* Our signal from now on; 0: none, and no handler is to block one. Also when handlers may have been installed past
 * the hooks. PF_SIGSAFE. */
void pf_small_stack_signal(int signal);

/* In a process, and in the child after fork: its handlers are meant from now on. (Not those of its children by
 * vfork, who have its memory.) PF_SIGSAFE. */
void pf_small_stack_begin(void);

/* ---- in the hooks; `signal` is 1 to 64 ---- */

/* What has been added to the mask of a handler of the program's. */
struct pf_small_stack_added {
	uint64_t handler;
	uint64_t mask;
};
struct pf_small_stack_added pf_small_stack_added(int signal);

/* What is to be added to the mask of that action. */
uint64_t pf_small_stack_wanted(const struct sigaction *action);
/* An action of this mask has been installed, with that added to it; `handler` stands in the kernel. A small stack may
 * have appeared meanwhile. */
void pf_small_stack_installed(int signal, uint64_t handler, uint64_t mask, uint64_t wanted);
/* The program takes our signal for itself: no handler blocks it for us any more, nor the one that it does so in. */
void pf_small_stack_taken(int signal);
