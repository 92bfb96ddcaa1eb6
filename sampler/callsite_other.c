/* Machines whose code we do not read: nothing is guessed, a walk that misses a register ends in a
 * marker. On aarch64 x29 and x30 of a sleeper are not known, but the kernel's callers keep a frame
 * record; what can be said without it is what the unwinder says. */
#if !defined(__x86_64__)
#include "sampler/callsite.h"

enum pf_callsite pf_callsite_look(uint64_t return_address, uint64_t callee)
{
	(void)return_address;
	(void)callee;
	return PF_CALLSITE_NONE;
}

int64_t pf_callsite_frame_distance(uint64_t pc, bool exact)
{
	(void)pc;
	(void)exact;
	return -1;
}

int pf_callsite_syscall(uint64_t pc)
{
	(void)pc;
	return -1;
}

bool pf_callsite_is_sigreturn(uint64_t pc)
{
	(void)pc;
	return false;
}
#endif
