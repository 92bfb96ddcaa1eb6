/* Registers of x86-64: out of an interrupted context, out of the running code, and how a call looks
 * from behind. */
#include "sampler/unwind.h"
#include "sampler/unwind_code.h"

#include <assert.h>
#include <stddef.h>

static_assert(offsetof(struct pf_unwind_regs, known) == 136, "the assembly below knows it");
static_assert(offsetof(struct pf_unwind_regs, pc_is_return) == 144, "and this");

/* gregs[] of the kernel's context, in the order of the DWARF numbers. */
static const uint8_t context_register[PF_REG_COUNT] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI,
    REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
    REG_RIP};

PF_SIGSAFE void pf_unwind_from_context(struct pf_unwind_regs *regs, const ucontext_t *context)
{
	for (int i = 0; i < PF_REG_COUNT; i++)
		regs->value[i] = (uint64_t)context->uc_mcontext.gregs[context_register[i]];
	regs->known = PF_REG_BIT(PF_REG_COUNT) - 1;
	regs->pc_is_return = false;
}

/* Known are the registers that every call keeps: rbx rbp r12-r15, with rsp and rip. */
PF_UNWIND_FROM_HERE("	movq %rbx, 24(%rdi)\n"
		    "	movq %rbp, 48(%rdi)\n"
		    "	leaq 8(%rsp), %rax\n"
		    "	movq %rax, 56(%rdi)\n"
		    "	movq %r12, 96(%rdi)\n"
		    "	movq %r13, 104(%rdi)\n"
		    "	movq %r14, 112(%rdi)\n"
		    "	movq %r15, 120(%rdi)\n"
		    "	movq (%rsp), %rax\n"
		    "	movq %rax, 128(%rdi)\n"
		    "	movq $0x1f0c8, 136(%rdi)\n"
		    "	movb $1, 144(%rdi)\n")

/* `call *operand`: ff /2 with a ModRM byte at `modrm` whose operand ends right where we look. */
PF_INLINE bool is_indirect_call(const uint8_t *before, int modrm)
{
	uint8_t m = before[modrm];
	int mode = m >> 6, base = m & 7, length;

	if (before[modrm - 1] != 0xff || ((m >> 3) & 7) != 2)
		return false;
	if (mode == 3)
		length = 1;
	else if (mode == 0 && base == 5)
		length = 5; /* rip-relative */
	else if (mode == 0 && base == 4 && modrm == 2 && (before[3] & 7) == 5)
		length = 6; /* scaled index, no base */
	else
		length = 1 + (base == 4) + (mode == 1 ? 1 : mode == 2 ? 4 : 0);
	return modrm + length == PF_CODE_BEFORE;
}

PF_SIGSAFE enum pf_code_call pf_unwind_code_call(
    const uint8_t *before, uint64_t return_address, uint64_t *target)
{
	if (before[3] == 0xe8) {
		uint32_t distance = (uint32_t)before[4] | (uint32_t)before[5] << 8 |
				    (uint32_t)before[6] << 16 | (uint32_t)before[7] << 24;

		*target = return_address + (uint64_t)(int64_t)(int32_t)distance;
		return PF_CODE_CALL_DIRECT;
	}
	for (int modrm = 1; modrm < PF_CODE_BEFORE; modrm++) {
		if (is_indirect_call(before, modrm))
			return PF_CODE_CALL_INDIRECT;
	}
	return PF_CODE_NO_CALL;
}
