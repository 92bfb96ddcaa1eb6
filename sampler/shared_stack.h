/* Shared stacks: an alternate stack that several threads have registered is none for a handler of ours.
 *
 * varnishd gives all its threads one, for a SIGSEGV that nobody survives. Two threads that are sampled there at the
 * same time would write over each other's frames. From the second such thread on our handlers work on the
 * stack that they interrupt.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The thread has this alternate stack now (SS_DISABLE: none). In a hook, and in a handler of ours. */
void pf_shared_stack_note(pid_t tid, const stack_t *stack);

/* Does a handler of ours work on alternate stacks? */
bool pf_shared_stack_is_free(void);
