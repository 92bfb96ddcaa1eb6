/* Unwind cache: the short rows of PCs seen before, one for the whole process.
 *
 * An entry is one 64-bit word, so it is read and written whole: no lock, no sequence number, no
 * memory per thread, and a torn entry cannot be.
 *
 *   63         30 29                8 7         6      0
 *   [ tag of PC ] [    short row     ] [permanent][generation]     short row: unwind_short.h
 *
 * The place in the table gives the PC's low bits (mixed with the tag), the tag the rest: 48 bits in
 * all, which is every address of a program. A row of a module that can be closed counts only in the
 * generation it was made in. Why so: doc/decisions/0002-unwind-cache.md.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

enum { PF_CACHE_BITS = 14, PF_SHORT_BITS = 22, PF_GENERATION_MASK = 127 };

extern uint64_t pf_unwind_cache[1 << PF_CACHE_BITS]; /* atomic words */
extern uint32_t pf_unwind_generation;                /* atomic; below PF_GENERATION_MASK + 1 */

PF_INLINE uint32_t pf_unwind_cache_place(uint64_t pc)
{
	uint64_t tag = pc >> PF_CACHE_BITS;

	return (uint32_t)((pc ^ (tag * 0x9e3779b97f4a7c15ull >> 40)) & ((1 << PF_CACHE_BITS) - 1));
}

/* The short row of `pc`, or 0. `permanent`: for ever. */
PF_INLINE uint32_t pf_unwind_cache_get(uint64_t pc, bool *permanent)
{
	uint64_t word =
	    __atomic_load_n(&pf_unwind_cache[pf_unwind_cache_place(pc)], __ATOMIC_RELAXED);

	if (word >> (PF_SHORT_BITS + 8) != pc >> PF_CACHE_BITS)
		return 0;
	*permanent = word & 0x80;
	if (!*permanent &&
	    (word & PF_GENERATION_MASK) != __atomic_load_n(&pf_unwind_generation, __ATOMIC_RELAXED))
		return 0;
	return (uint32_t)(word >> 8) & ((1 << PF_SHORT_BITS) - 1);
}

/* `generation` as it was before the module was read. */
PF_INLINE void pf_unwind_cache_put(
    uint64_t pc, uint32_t short_row, bool permanent, uint32_t generation)
{
	if (pc >> 48 != 0)
		return;
	__atomic_store_n(&pf_unwind_cache[pf_unwind_cache_place(pc)],
	    (pc >> PF_CACHE_BITS) << (PF_SHORT_BITS + 8) | (uint64_t)short_row << 8 |
		(permanent ? 0x80 : generation),
	    __ATOMIC_RELAXED);
}
