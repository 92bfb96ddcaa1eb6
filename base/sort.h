/* Sorting as qsort(3) and qsort_r(3) do, with memory of ours: glibc's take theirs from malloc, whose
 * thresholds a large sort would change for the program (memory.h). Stable. Ordinary threads of ours only.
 */
#pragma once
#include <stddef.h>

typedef int pf_compare_fn(const void *a, const void *b);
typedef int pf_compare_with_fn(const void *a, const void *b, void *arg);

void pf_sort(void *items, size_t count, size_t size, pf_compare_fn *compare);
void pf_sort_with(void *items, size_t count, size_t size, pf_compare_with_fn *compare, void *arg);
