/* Unwind expressions: the small stack machine inside call frame information. PLT stubs, signal
 * frames and realigned stacks use it. Inside the unwinder only. */
#pragma once
#include "sampler/unwind.h"
#include "sampler/unwind_reader.h"

/* Runs the instructions of `code`, with *first (when given) on the stack; the result is the top at
 * the end. False with *why: UNKNOWN_REGISTER, BAD_MEMORY, or REFUSED for what nobody writes into
 * unwind info, for more than 16 entries and for more than 256 steps. PF_SIGSAFE. */
bool pf_unwind_expr_run(struct pf_unwind_reader *code, const struct pf_unwind_regs *regs,
    struct pf_unwind_memory *memory, const uint64_t *first, uint64_t *out, enum pf_unwind_end *why);
