/* Heap names: the names of allocating threads, each with a small number, so that a row can have one.
 *
 * Written only, found by hash, never erased: a name outlives its threads. When the table is full,
 * a new name has no number, counted.
 */
#pragma once
#include "base/mark.h"

#include <stdint.h>

/* The number of the calling thread's name; 0: it has none that we know. PF_HOOK. */
uint16_t pf_name_here(void);
/* It will be asked for: its cache line may come meanwhile. PF_HOOK. */
void pf_name_expect(void);

/* The name, for ever; NULL for 0. */
const char *pf_name_text(uint16_t number);
