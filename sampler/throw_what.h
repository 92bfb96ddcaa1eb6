/* What: the result of a simple member function of no arguments, without running it.
 *
 * Reads its machine code and follows moves, loads, additions, jumps and calls of more of the same.
 * Anything else (a branch, a store outside its own frame, a system call) ends it: not known.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* True when known. Memory is read only where it is certain to be readable. PF_HOOK. */
bool pf_throw_what(const void *function, const void *object, uint64_t *result);
