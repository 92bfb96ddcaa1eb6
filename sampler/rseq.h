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
	int32_t cpu_id;    /* < 0: not registered, the kernel writes nothing */
	uint64_t sequence; /* the address of its description; 0: in none */
};

extern PF_HIDDEN ptrdiff_t pf_rseq_offset;   /* from the thread pointer; 0: of no use here */
extern PF_HIDDEN const char pf_rseq_never[]; /* describes the sequence that nobody is in */

/* Learns whether this kernel and this C library have it, by trying: once, sleeps for 100 us. Passes the
 * gate; never in a hook. */
void pf_rseq_start(void);

#if defined(__x86_64__) || defined(__aarch64__)

PF_INLINE char *pf_rseq_thread_pointer(void)
{
	char *at;

#if defined(__x86_64__)
	__asm__("mov %%fs:0, %0" : "=r"(at));
#else
	__asm__("mrs %0, tpidr_el0" : "=r"(at));
#endif
	return at;
}

PF_INLINE volatile struct pf_rseq *pf_rseq_self(void)
{
	return (volatile struct pf_rseq *)(void *)(pf_rseq_thread_pointer() + pf_rseq_offset);
}

PF_INLINE void pf_rseq_mark(void)
{
	if (PF_LIKELY(pf_rseq_offset))
		pf_rseq_self()->sequence = (uintptr_t)pf_rseq_never;
}

/* Of a variable of this thread's; the same in all. */
PF_INLINE ptrdiff_t pf_rseq_offset_of(const struct pf_rseq *own)
{
	return (const char *)own - pf_rseq_thread_pointer();
}

/* The two fields at an offset, each by one instruction where the processor has one. */
#if defined(__x86_64__)
#define PF_RSEQ_LOAD(value, offset, field)                                                         \
	__asm__ volatile("mov %%fs:%c2(%1), %0"                                                    \
			 : "=r"(value)                                                             \
			 : "r"(offset), "i"(offsetof(struct pf_rseq, field))                       \
			 : "memory")
#else
#define PF_RSEQ_LOAD(value, offset, field)                                                         \
	((value) =                                                                                 \
		((volatile struct pf_rseq *)(void *)(pf_rseq_thread_pointer() + (offset)))->field)
#endif

/* There is a mark: the next call may begin. */
PF_INLINE bool pf_rseq_is_marked_at(ptrdiff_t offset)
{
	uint64_t sequence;

	PF_RSEQ_LOAD(sequence, offset, sequence);
	return sequence == (uintptr_t)pf_rseq_never;
}

/* And the kernel would have wiped it. */
PF_INLINE bool pf_rseq_stays_at(ptrdiff_t offset)
{
	int32_t cpu;

	PF_RSEQ_LOAD(cpu, offset, cpu_id);
	return pf_rseq_is_marked_at(offset) && cpu >= 0;
}

/* True: the thread has had its processor ever since the mark. */
PF_INLINE bool pf_rseq_stays(void)
{
	return PF_LIKELY(pf_rseq_offset) && pf_rseq_stays_at(pf_rseq_offset);
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

PF_INLINE ptrdiff_t pf_rseq_offset_of(const struct pf_rseq *own)
{
	return 0;
}

PF_INLINE bool pf_rseq_is_marked_at(ptrdiff_t offset)
{
	return false;
}

PF_INLINE bool pf_rseq_stays_at(ptrdiff_t offset)
{
	return false;
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
