#pragma once
#include <stdint.h>

/* The stack that this thread's allocations have from now on: 0 to 255. */
void fake_stack(uint32_t id);

/* How often the unwinder was told of a dlclose, before and after it. */
extern uint32_t fake_closes_begun, fake_closes_ended;
