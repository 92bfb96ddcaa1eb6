/* Fetch: a cache line, some time before it is used. Never faults, whatever the address.
 */
#pragma once
#include "base/mark.h"

/* The line at `p` will be written in a moment, and may be with another processor: it is fetched once, for that. (Of
 * __builtin_prefetch(p, 1) gcc makes one for reading, unless it is told that the processor has the other; those
 * that have not take it for a nop.) */
PF_INLINE void pf_fetch_to_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}
