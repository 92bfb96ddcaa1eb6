/* Guard: "this thread is inside our own code now". Hooks that find it set pass straight through.
 *
 * Our own threads hold it for life, so the agent never appears in its own profiles. One counter in
 * initial-exec TLS: no call, no lock, no allocation; handlers may read it.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

extern PF_TLS uint32_t pf_guard_depth; /* defined in crew.c */

/* True when entered; false (nothing to leave) when this thread is already inside. */
PF_INLINE bool pf_guard_enter(void)
{
	if (pf_guard_depth != 0)
		return false;
	pf_guard_depth = 1;
	__asm__ volatile("" ::: "memory"); /* a handler on this thread must see it first */
	return true;
}

PF_INLINE void pf_guard_leave(void)
{
	__asm__ volatile("" ::: "memory");
	pf_guard_depth = 0;
}

PF_INLINE bool pf_guard_held(void)
{
	return pf_guard_depth != 0;
}
