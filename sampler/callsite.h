/* Call sites: what the machine code says about a return address. For stacks of which not every
 * register is known (proc.c).
 *
 * Code is read through the kernel, so that a module closed meanwhile is an answer, not a crash. Our
 * own threads. One file per machine.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pf_callsite {
	PF_CALLSITE_NONE,     /* no call ends here: not a return address */
	PF_CALLSITE_OTHER,    /* a direct call, of another function (which may have jumped on) */
	PF_CALLSITE_INDIRECT, /* a call through a register or memory */
	PF_CALLSITE_MATCH, /* a direct call of the function that `callee` lies in, or that jumps there */
};

enum { PF_CALLSITE_ANY = 0 };

/* What call ends at `return_address`, if `callee` is a lookup address in the function called; with
 * PF_CALLSITE_ANY whether one does is all that is looked at. */
enum pf_callsite pf_callsite_look(uint64_t return_address, uint64_t callee);

/* By how much the frame pointer lies above the stack pointer while `pc` (a lookup address; a return
 * address minus one, unless `exact`) calls or waits: from the function's prologue. -1: no telling. */
int64_t pf_callsite_frame_distance(uint64_t pc, bool exact);

/* Is this lookup address in the code that returns from a signal handler? */
bool pf_callsite_is_sigreturn(uint64_t pc);

/* The number of the system call that ends at `pc`, as the code has it; -1: no telling. */
int pf_callsite_syscall(uint64_t pc);

/* `size` bytes of this process at `at` into `out`: false where it cannot be read. */
bool pf_callsite_peek(uint64_t at, void *out, size_t size);
