/* Copied stack: a walk up the stack of a thread that sleeps, of which two registers are known.
 *
 * The stack is copied as far as the walk needs it. Where a frame needs its frame pointer, which the
 * kernel does not tell, it is worked out: from the function's prologue, else from where a return
 * address into a call of this very function lies; and believed only if the walk then leads to the
 * root over calls all the way. (reference/stacks.md 5)
 *
 * A fiber's stack has no root: what its first function returns to is known to the library that made it
 * alone. That it is one is seen by where the thread's own stack lies.
 */
#pragma once
#include "sampler/unwind.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pf_copied_stack {
	char *copy; /* kept from walk to walk */
	struct pf_unwind_regs regs;
	struct pf_unwind_memory memory;
	bool whole;     /* the copy reaches the end of what can be read */
	uint32_t depth; /* most addresses wanted; up to PF_STACK_DEPTH_MAX */
	bool fiber;     /* not the stack the thread was made with */
	int guesses;
	enum pf_unwind_end end; /* of the last guess */
};

/* False without memory; then there is nothing to finish. */
bool pf_copied_stack_init(struct pf_copied_stack *stack);
void pf_copied_stack_finish(struct pf_copied_stack *stack);

/* Up from `sp` of thread `tid`, where `pc` is exact, into `pcs`: how many lookup addresses, and how it
 * ended. Our own threads. */
uint32_t pf_copied_stack_walk(struct pf_copied_stack *stack, pid_t tid, uint64_t sp, uint64_t pc,
    uint32_t depth, uint64_t *pcs, enum pf_unwind_end *end);
