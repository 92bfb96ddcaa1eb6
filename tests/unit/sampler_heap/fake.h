#pragma once
#include <stdint.h>

/* The stack that this thread's allocations have from now on: 0 to 255. */
void fake_stack(uint32_t id);
