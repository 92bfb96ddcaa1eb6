/* Unwind registers: what differs between processors, as numbers and a few instructions.
 *
 * One block per processor, the same names in each; the longer parts are in unwind_regs_*.c.
 * DWARF register numbers (System V ABI for x86-64; "DWARF for the Arm 64-bit Architecture").
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)

enum {
	PF_REG_BP = 6,
	PF_REG_SP = 7,
	PF_REG_PC = 16,
	PF_REG_COUNT = 17,
	PF_REG_RETURN = 16,      /* where a call leaves the return address: PC means on the stack */
	PF_REG_RED_ZONE = 128,   /* bytes below sp that the program still owns */
	PF_REG_SIGNAL_FRAME = 0, /* the unwind info of signal frames tells all */
	PF_SHORT_BP_BITS = 5,    /* see unwind_cache.h */
	PF_SHORT_UNIT = 8,
};

#define PF_REG_SIGRETURN 0ull /* not asked for */

/* A return address as it is stored is one. */
PF_INLINE uint64_t pf_unwind_strip(uint64_t pc)
{
	return pc;
}

/* The thread pointer, or 0 where it does not lead to a thread of glibc: those have it twice. */
PF_INLINE uint64_t pf_unwind_thread_pointer(void)
{
	uint64_t at, again;

	__asm__("mov %%fs:0, %0\n"
		"mov %%fs:16, %1"
		: "=&r"(at), "=r"(again));
	return at == again ? at : 0;
}

/* Memory of the program's, of which no sanitizer shall think that we must not see it. */
PF_INLINE uint64_t pf_unwind_peek(uint64_t address)
{
	uint64_t word;

	__asm__ volatile("movq %1, %0" : "=r"(word) : "m"(*(const uint64_t *)(uintptr_t)address));
	return word;
}

#elif defined(__aarch64__)

enum {
	PF_REG_BP = 29,
	PF_REG_SP = 31,
	PF_REG_PC = 32,
	PF_REG_COUNT = 33,
	PF_REG_RETURN = 30,
	PF_REG_RED_ZONE = 0,
	/* Above sp in a signal frame: siginfo 128, ucontext up to the registers 176, the fault
	 * address 8; then x0-x30, sp, pc, as we number them. The vdso's unwind info restores less. */
	PF_REG_SIGNAL_FRAME = 312,
	PF_SHORT_BP_BITS = 8,
	PF_SHORT_UNIT = 16,
};

/* mov x8, #139; svc #0: as the kernel (and an emulator) writes its way back from a handler. */
#define PF_REG_SIGRETURN 0xd4000001d2801168ull

/* Takes the signature off a signed return address; a no-op where there is none. */
PF_INLINE uint64_t pf_unwind_strip(uint64_t pc)
{
	register uint64_t x30 __asm__("x30") = pc;

	__asm__("hint #7" : "+r"(x30)); /* xpaclri */
	return x30;
}

/* The thread pointer; nothing here tells whether it leads to a thread of glibc. */
PF_INLINE uint64_t pf_unwind_thread_pointer(void)
{
	uint64_t at;

	__asm__("mrs %0, tpidr_el0" : "=r"(at));
	return at;
}

PF_INLINE uint64_t pf_unwind_peek(uint64_t address)
{
	uint64_t word;

	__asm__ volatile("ldr %0, [%1]" : "=r"(word) : "r"(address) : "memory");
	return word;
}

#else
#error "no unwinder for this processor yet: see unwind_regs_x86_64.c for what it takes"
#endif

/* Defines pf_unwind_from_here (unwind.h), whose body is assembly: so it has no frame of its own, and
 * what it stores is what its caller has. */
#define PF_UNWIND_FROM_HERE(body)                                                                  \
	__asm__(".pushsection pf_sigsafe, \"ax\", @progbits\n"                                     \
		".p2align 4\n"                                                                     \
		".globl pf_unwind_from_here\n"                                                     \
		".hidden pf_unwind_from_here\n"                                                    \
		".type pf_unwind_from_here, @function\n"                                           \
		"pf_unwind_from_here:\n"                                                           \
		"	.cfi_startproc\n" body "	ret\n"                                            \
		"	.cfi_endproc\n"                                                                  \
		".size pf_unwind_from_here, . - pf_unwind_from_here\n"                             \
		".popsection\n");
