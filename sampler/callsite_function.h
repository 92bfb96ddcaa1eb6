/* Of callsite.c for its machine files. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Start of the function that a lookup address lies in, from the unwind info; 0: not known. */
uint64_t pf_callsite_function(uint64_t pc);

/* Does the address lie in a loaded module? No reading, a few nanoseconds. */
bool pf_callsite_is_code(uint64_t address);
