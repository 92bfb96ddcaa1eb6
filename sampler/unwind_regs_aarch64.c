/* Registers of aarch64: out of an interrupted context, out of the running code, and how a call looks
 * from behind.
 *
 * Compiled by a cross compiler in the checks, and never run on a processor of this kind yet: only
 * walked through a few stacks under an emulator.
 */
#include "sampler/unwind.h"
#include "sampler/unwind_code.h"

#include <assert.h>
#include <stddef.h>

static_assert(offsetof(struct pf_unwind_regs, known) == 264, "the assembly below knows it");
static_assert(offsetof(struct pf_unwind_regs, pc_is_return) == 272, "and this");

PF_SIGSAFE void pf_unwind_from_context(struct pf_unwind_regs *regs, const ucontext_t *context)
{
	for (int i = 0; i < 31; i++) {
		regs->value[i] = context->uc_mcontext.regs[i];
		__asm__ volatile("" ::: "memory"); /* stays a loop */
	}
	regs->value[PF_REG_SP] = context->uc_mcontext.sp;
	regs->value[PF_REG_PC] = context->uc_mcontext.pc;
	regs->known = PF_REG_BIT(PF_REG_COUNT) - 1;
	regs->pc_is_return = false;
}

/* Known are the registers that every call keeps, x19-x29, with sp and the PC behind the call. */
PF_UNWIND_FROM_HERE("	hint #34\n" /* bti c: a landing pad where those are asked for */
		    "	str x19, [x0, #152]\n"
		    "	stp x20, x21, [x0, #160]\n"
		    "	stp x22, x23, [x0, #176]\n"
		    "	stp x24, x25, [x0, #192]\n"
		    "	stp x26, x27, [x0, #208]\n"
		    "	stp x28, x29, [x0, #224]\n"
		    "	mov x1, sp\n"
		    "	stp x1, x30, [x0, #248]\n"
		    "	mov x1, #0xbff80000\n"
		    "	orr x1, x1, #0x100000000\n"
		    "	str x1, [x0, #264]\n"
		    "	mov w1, #1\n"
		    "	strb w1, [x0, #272]\n")

PF_SIGSAFE enum pf_code_call pf_unwind_code_call(
    const uint8_t *before, uint64_t return_address, uint64_t *target)
{
	enum {
		BL = 0x94000000,
		BL_MASK = 0xfc000000,
		BLR = 0xd63f0000,
		BLR_MASK = 0xfefff000, /* and its kin that check a signature */
	};
	uint32_t code = (uint32_t)before[4] | (uint32_t)before[5] << 8 | (uint32_t)before[6] << 16 |
			(uint32_t)before[7] << 24;

	if ((return_address & 3) != 0)
		return PF_CODE_NO_CALL;
	if ((code & BL_MASK) == BL) {
		/* 26 bits, signed, in instructions, from the call itself. */
		*target = return_address - 4 + (uint64_t)((int64_t)((int32_t)(code << 6) >> 6) * 4);
		return PF_CODE_CALL_DIRECT;
	}
	return (code & BLR_MASK) == BLR ? PF_CODE_CALL_INDIRECT : PF_CODE_NO_CALL;
}
