/* Shortcut: the last jump of a hook, straight to the real function; its countdown, without a look where
 * that is.
 *
 * A hook that only counts ends in `jmp *pointer`, behind the `jmp *slot` of its caller's PLT. That is
 * half of what it costs: as the direct jump that a linker would have written, malloc and free of mixed
 * sizes cost 0.6 ns less a pair (doc/decisions/0004-heap-hooks.md). So once the real functions are
 * known, the hooks' pages are replaced by a copy in which these jumps are direct. And a variable of each
 * thread's own is reached by its offset, which a library loads from a place that the loader has filled:
 * a cache line and a page that nobody else uses. In the copy it is in the instruction, as in a program:
 *
 *     ff 25 disp32      jmp *pointer(%rip)    -->   e9 rel32 90      jmp real; nop
 *     48 8b 15 disp32   mov place(%rip), %r   -->   48 c7 c2 imm32   mov $offset, %r
 *
 * Nothing else changes, not a length and not an address: what unwinds, disassembles or names them needs
 * not know. The copy is written first and executable then, never both. Where it is refused, or the real
 * function is out of reach, the hooks are as the compiler made them, and `status` says so.
 */
#pragma once
#include "sampler/patch.h"

#include <stddef.h>

/* Once, for hooks whose real functions will not change any more; at most PF_SHORTCUT_MAX of them have
 * such a jump. `local`: the calling thread's PF_TLS variable that they use, or NULL. Sets
 * PF_FEATURE_SHORTCUT. Normal code and our own threads. */
void pf_shortcut_make(const struct pf_patch *patches, size_t count, const void *local);

enum { PF_SHORTCUT_MAX = 64 };

/* The program runs, and may have filters of system calls of its own that kill. */
void pf_shortcut_program_runs(void);
