/* Rseq: was this thread taken off the processor since? A question to memory, not to the kernel.
 *
 * Every thread has a few words that the kernel writes while it puts the thread back on a processor
 * (restartable sequences: Linux 4.18, glibc 2.35). One of them names the sequence of instructions that
 * the thread is in, and the kernel wipes it when it finds the thread outside of that sequence. So a
 * sequence that nobody is ever in, named before a call and still there after it, says that the thread
 * has not slept meanwhile: a store and two loads, where reading a clock costs ten nanoseconds and more.
 *
 * A mark that has gone proves nothing: a signal wipes it as well, and so does another sequence of the
 * program's own. One that is there may be a handler's: count them. It may stay where it is for ever, as the
 * kernel promises for sequences that have ended (we are linked with -z nodelete).
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The beginning of the kernel's struct rseq. */
struct pf_rseq {
	uint32_t cpu_id_start;
	uint32_t cpu_id;   /* above INT32_MAX: not registered, the kernel writes nothing */
	uint64_t sequence; /* the address of its description; 0: in none */
};

extern PF_HIDDEN ptrdiff_t pf_rseq_offset;   /* from the thread pointer; 0: of no use here */
extern PF_HIDDEN const char pf_rseq_never[]; /* describes the sequence that nobody is in */

/* Learns whether this kernel and this C library have it, by trying: once, sleeps for 100 us. Passes the
 * gate; never in a hook. */
void pf_rseq_start(void);

#if defined(__x86_64__) || defined(__aarch64__)

PF_INLINE volatile struct pf_rseq *pf_rseq_self(void)
{
	char *at;

#if defined(__x86_64__)
	__asm__("mov %%fs:0, %0" : "=r"(at));
#else
	__asm__("mrs %0, tpidr_el0" : "=r"(at));
#endif
	return (volatile struct pf_rseq *)(void *)(at + pf_rseq_offset);
}

PF_INLINE void pf_rseq_mark(void)
{
	if (PF_LIKELY(pf_rseq_offset))
		pf_rseq_self()->sequence = (uintptr_t)pf_rseq_never;
}

/* True: the thread has had its processor ever since the mark. */
PF_INLINE bool pf_rseq_stays(void)
{
	volatile struct pf_rseq *self;

	if (PF_UNLIKELY(!pf_rseq_offset))
		return false;
	self = pf_rseq_self();
	return self->sequence == (uintptr_t)pf_rseq_never && self->cpu_id <= INT32_MAX;
}

/* True: a mark would stay here, and there is none. */
PF_INLINE bool pf_rseq_wiped(void)
{
	return pf_rseq_offset && !pf_rseq_stays();
}

#else

PF_INLINE void pf_rseq_mark(void)
{
}

PF_INLINE bool pf_rseq_stays(void)
{
	return false;
}

PF_INLINE bool pf_rseq_wiped(void)
{
	return false;
}

#endif
