/* Stack store: PCs in, a small number out.
 *
 * Think of a phone book that is only ever written in. Each distinct stack is stored once; its id
 * is its place. Nothing moves and nothing is erased, so a handler may insert while a reader reads.
 * When the pages are full every new stack gets id PF_STACK_OVERFLOW and the reader is told how
 * many.
 *
 * Insert: PF_SIGSAFE, any thread, any number at once. Read: any thread.
 */
#pragma once
#include "base/mark.h"

#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

enum { PF_STACK_DEPTH_MAX = 512, PF_STACK_OVERFLOW = 0 };

/* From normal code, once: learns which code is ours and where stacks are (pf_unwind_init). */
void pf_stack_init(void);
/* In the child after fork: no capture is under way, whatever the parent's threads were doing. */
void pf_stack_fork_child(void);

/* The id of these lookup addresses (base/profile.h), leaf first, as they are now: the caller runs in
 * them. The same addresses have another id once another module is there (past.h). */
uint32_t pf_stack_intern(const uint64_t *pcs, uint32_t count);
/* The same of addresses as they were in a generation (pf_past_now()). */
uint32_t pf_stack_intern_of(const uint64_t *pcs, uint32_t count, uint32_t generation);
/* A capture is about to come: what it begins with may be fetched meanwhile. PF_SIGSAFE. */
void pf_stack_expect(void);

/* The addresses of an id, those of closed modules moved to where pf_map_fill() finds them; valid for
 * ever. PF_STACK_OVERFLOW reads as one PF_PC_STACK_STORE_FULL. Not in handlers. */
uint32_t pf_stack_read(uint32_t id, const uint64_t **pcs);

/* The generation of the calling thread's first read since it asked last; 0: it has read nothing.
 * For pf_map_fill(): a module may have gone between then and now. */
uint32_t pf_stack_reads_since(void);

/* The stack of the program's code that called into us, at most config/stack_depth frames; our own
 * frames are cut by section. The leaf is a return address minus one. PF_SIGSAFE and hooks. */
uint32_t pf_stack_capture_here(void);

/* The same without the first `frames` of it. */
uint32_t pf_stack_capture_above(uint32_t frames);

/* How many frames there are up to the first one with an address in [low, high), that one with them; 0: there is
 * none. PF_SIGSAFE and hooks. */
uint32_t pf_stack_frames_to(uint64_t low, uint64_t high);

/* The stack that a signal interrupted; the leaf is exact. PF_SIGSAFE. */
uint32_t pf_stack_capture_context(const ucontext_t *context);

/* Takes our own frames out of what was walked some other way; returns how many are left. PF_SIGSAFE. */
uint32_t pf_stack_cut_own(uint64_t *pcs, uint32_t count);

/* Bytes used and distinct stacks, for `status`. */
void pf_stack_usage(size_t *bytes, size_t *count);
