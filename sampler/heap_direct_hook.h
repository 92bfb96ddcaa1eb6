/* Heap direct hooks: calls of an allocator by its own names: jemalloc's mallocx and its like, tcmalloc's
 * tc_malloc, mimalloc's mi_malloc. Of each allocator that is there as a shared library, whoever's malloc
 * the program has otherwise; what it calls of itself is not the program's.
 */
#pragma once
#include <stdbool.h>

/* As pf_heap_hook_on() and off. */
int pf_heap_direct_on(bool every_block);
void pf_heap_direct_off(void);
