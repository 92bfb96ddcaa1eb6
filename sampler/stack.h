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

/* The id of these lookup addresses (base/profile.h), leaf first. */
uint32_t pf_stack_intern(const uint64_t *pcs, uint32_t count);

/* The addresses of an id; valid for ever. PF_STACK_OVERFLOW reads as one PF_PC_STACK_STORE_FULL. */
uint32_t pf_stack_read(uint32_t id, const uint64_t **pcs);

/* The stack of the program's code that called into us, at most config/stack_depth frames; our own
 * frames are cut by section. The leaf is a return address minus one. PF_SIGSAFE and hooks. */
uint32_t pf_stack_capture_here(void);

/* The stack that a signal interrupted; the leaf is exact. PF_SIGSAFE. */
uint32_t pf_stack_capture_context(const ucontext_t *context);

/* Bytes used and distinct stacks, for `status`. */
void pf_stack_usage(size_t *bytes, size_t *count);
