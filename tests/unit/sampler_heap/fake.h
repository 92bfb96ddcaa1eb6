#pragma once
#include "sampler/allocator.h"
#include "sampler/residence.h"

#include <stdint.h>

/* The stack that this thread's allocations have from now on: 0 to 255. */
void fake_stack(uint32_t id);

/* How often the unwinder was told of a dlclose, before and after it. */
extern uint32_t fake_closes_begun, fake_closes_ended;

/* What the allocator and the kernel say. */
extern struct pf_allocator fake_allocator;
extern int fake_allocator_rc;
extern struct pf_residence fake_residence;
