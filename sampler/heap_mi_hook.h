/* Heap mimalloc hooks: its calls by their own names, with heaps of the program's own.
 *
 * A heap that is destroyed takes its blocks with it: they are looked for in its areas, which mimalloc
 * tells, at a byte of the filter for each page.
 *
 * Not seen: mi_realpath, mi_dupenv_s, mi_mbsdup and wide texts.
 */
#pragma once
#include "sampler/patch.h"

enum { PF_HEAP_MI_ROWS = 80 };
extern const struct pf_patch pf_heap_mi_counting[PF_HEAP_MI_ROWS],
    pf_heap_mi_every[PF_HEAP_MI_ROWS];
