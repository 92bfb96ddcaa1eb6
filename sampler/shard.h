/* Shard: a number that threads share only by chance, for what all of them write to. */
#pragma once
#include "base/mark.h"
#include "sampler/unwind_regs.h"

#include <stdint.h>

enum { PF_SHARDS = 16 };

/* Threads' blocks are pages apart. */
PF_INLINE uint32_t pf_shard(void)
{
	return (uint32_t)((pf_unwind_thread_pointer() >> 12) * 0x9e3779b97f4a7c15ull >> 60);
}
