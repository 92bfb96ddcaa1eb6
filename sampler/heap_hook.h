/* Heap hooks: what malloc and its family lead to while the heap is profiled.
 *
 * An allocation costs one subtraction and one predicted branch more, a free one load and one
 * predicted branch; then they jump on to the real function. What is sampled goes the slow way,
 * out of line.
 */
#pragma once
#include <stdbool.h>

/* Points the program at the hooks: those that count bytes, or those of rate 1, which ask about
 * every block. Again while on: the others. 0 or -errno. Normal code. */
int pf_heap_hook_on(bool every_block);
int pf_heap_hook_off(void);
