/* Checked loads from the stack that is being walked, and from memory that may be anything. Inside the unwinder only, but for
 * the probe. */
#pragma once
#include "sampler/unwind.h"

#include <stddef.h>

/* A stack that is not the thread's own is tried page by page while the walk goes up: is
 * [.., end) readable? PF_SIGSAFE. */
bool pf_unwind_memory_extend(struct pf_unwind_memory *memory, uint64_t end);

/* Are these eight bytes readable at this moment? One system call. PF_SIGSAFE. */
bool pf_unwind_memory_probe(uint64_t address);

/* Copies out of our own memory through the kernel: false, and no fault, where it is not there or has
 * just gone. PF_SIGSAFE. */
bool pf_unwind_memory_copy(uint64_t address, void *out, size_t size);

/* Is it the stack of a fiber, as far as pf_unwind_init has told us about stacks? PF_SIGSAFE. */
bool pf_unwind_memory_is_fiber(const struct pf_unwind_memory *memory);

PF_INLINE bool pf_unwind_load(struct pf_unwind_memory *memory, uint64_t address, uint64_t *out)
{
	uint64_t end = address + sizeof(*out);

	if (PF_UNLIKELY(address < memory->low || end < address || (address & 7) != 0))
		return false;
	if (PF_UNLIKELY(end > memory->high)) {
		if (memory->remote)
			return pf_unwind_memory_copy(address, out, sizeof(*out));
		if (!pf_unwind_memory_extend(memory, end))
			return false;
	}
	if (memory->copy)
		__builtin_memcpy(out, memory->copy + (address - memory->low), sizeof(*out));
	else
		*out = pf_unwind_peek(address);
	return true;
}
