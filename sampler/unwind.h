/* Unwinding: registers and readable memory in, lookup addresses out.
 *
 * Two back ends behind one call. B (unwind_cfi.c) interprets one .eh_frame FDE per new PC, found
 * by _dl_find_object; no lock, no malloc, and a system call only before it reads what may not be
 * there (a fiber's stack, code without unwind info): the way in handlers and hooks. A
 * (unwind_lib.c) is libunwind's generic API with our accessors: the oracle of the tests and the
 * fallback on our own threads for the rules B refuses.
 */
#pragma once
#include "base/mark.h"
#include "sampler/unwind_regs.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <ucontext.h>

enum pf_unwind_end {
	PF_UNWIND_ROOT, /* complete: reached the frame whose return address is undefined, or 0 */
	PF_UNWIND_TRUNCATED,
	PF_UNWIND_NO_INFO,
	PF_UNWIND_BAD_MEMORY,
	PF_UNWIND_LOOP,
	PF_UNWIND_UNKNOWN_REGISTER,
	PF_UNWIND_REFUSED, /* a rule of the unwind info that this back end does not interpret */
	PF_UNWIND_CLOSING, /* code of a module that is being closed at this moment */
	PF_UNWIND_FIBER,   /* the end of a stack that is not the thread's own */
};

#define PF_REG_BIT(reg) (1ull << (reg))

struct pf_unwind_regs {
	uint64_t value[PF_REG_COUNT]; /* by DWARF number: PF_REG_PC, PF_REG_SP, PF_REG_BP, ... */
	uint64_t known;               /* PF_REG_BIT(n): value[n] is right */
	bool pc_is_return; /* the first PC is a return address (a capture from inside a call) */
};

/* Where the walked stack may be read: [low, high), at its own place or in a copy. */
struct pf_unwind_memory {
	uint64_t low, high;
	const char *copy; /* of [low, high); NULL: at its own place */
	bool foreign;     /* not the thread's own stack: `high` is only what was tried so far, and
	                   * the walk tries on, a page at a time */
	bool remote;      /* what lies above `high` is read through the kernel, a word at a time */
};

/* From normal code, once; a second call learns what the first could not. Without it everything
 * works, but every stack is a foreign one and every module may vanish. */
void pf_unwind_init(void);
/* In the child after fork: nobody is reading or closing a module. */
void pf_unwind_fork_child(void);

/* Registers of an interrupted context: all known, PC exact. PF_SIGSAFE. */
void pf_unwind_from_context(struct pf_unwind_regs *regs, const ucontext_t *context);

/* The caller's own registers, as far as a callee may know them; its stack may then be walked until
 * it returns. PF_SIGSAFE and hooks. */
void pf_unwind_from_here(struct pf_unwind_regs *regs);

/* Back end B. Fills at most `max` lookup addresses, leaf first; returns how many. Own cuts and
 * markers are the caller's business (stack.c). PF_SIGSAFE. */
uint32_t pf_unwind_cfi(const struct pf_unwind_regs *regs, const struct pf_unwind_memory *memory,
    uint64_t *out, uint32_t max, enum pf_unwind_end *end);

struct pf_unwind_recent;

/* The same, likely to be much as the last ones with this `recent` (unwind_recent.h). PF_SIGSAFE. */
uint32_t pf_unwind_cfi_again(struct pf_unwind_recent *recent, const struct pf_unwind_regs *regs,
    const struct pf_unwind_memory *memory, uint64_t *out, uint32_t max, enum pf_unwind_end *end);

/* Back end A. Our own threads and tests only. -EOPNOTSUPP where libunwind cannot be opened. */
int pf_unwind_lib_open(void);
uint32_t pf_unwind_lib(const struct pf_unwind_regs *regs, const struct pf_unwind_memory *memory,
    uint64_t *out, uint32_t max, enum pf_unwind_end *end);

/* libunwind keeps a row by its frame's PC, be that interrupted or returned to; of an address that is
 * both, a landing pad, the two have different rows. For tests: it keeps nothing of what it has seen. */
void pf_unwind_lib_forget(void);
/* In the child after fork: a library that somebody was in at that moment is opened anew. */
void pf_unwind_lib_fork_child(void);

/* The marker frame (base/profile.h) for an end, 0 for PF_UNWIND_ROOT; counts it. PF_SIGSAFE. */
uint64_t pf_unwind_marker(enum pf_unwind_end end);

/* Bounds of the calling thread's stack around `sp`: from sp to the end of what may be read there.
 * The thread's own stack, an alternate signal stack, or the rest of the page where it is neither.
 * PF_SIGSAFE. */
void pf_unwind_bounds(uint64_t sp, struct pf_unwind_memory *memory);

/* The stack that a thread was made with: [low, high). False where that is not known. Our own threads. */
bool pf_unwind_stack_of(pid_t tid, uint64_t *low, uint64_t *high);

/* Around the real dlclose: between the two, nobody reads the unwind info of modules that can be
 * closed, and begin waits (up to 100 ms) for those who do. PF_HOOK; errno is kept. */
void pf_unwind_close_begin(void);
void pf_unwind_close_end(void);

/* Forget cached unwind rows: a module has been closed. Any thread, PF_SIGSAFE. */
void pf_unwind_flush(void);
