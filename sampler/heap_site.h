/* Heap site: the sums of what was allocated and freed, one row for each (stack, size class).
 *
 * Rows are found by hash, made by whoever comes first, and stay. A sum is two counters that are
 * only added to: whole units, and parts of a unit (2^-PF_DRAW_WEIGHT_BITS), so that taking away
 * exactly what was added leaves exactly nothing, and a day of terabytes does not overflow.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pf_site_sum {
	PF_SITE_FREED_OBJECTS, /* first: a reader must not see go what it has not seen come */
	PF_SITE_FREED_BYTES,
	PF_SITE_OBJECTS,
	PF_SITE_BYTES,
	PF_SITE_SUMS,
};

/* Size classes: 0, then up to 16, 32, 48, 64, and four to each doubling. */
uint32_t pf_site_class(uint64_t size);        /* PF_HOOK */
uint64_t pf_site_class_bytes(uint32_t class); /* the largest size in it */

/* The row's number; row 0 takes what does not fit any more. PF_HOOK. */
uint32_t pf_site_find(uint32_t stack, uint64_t size);

/* Adds `weight` blocks of `size` bytes to two sums: OBJECTS and BYTES, or the FREED pair. PF_HOOK. */
void pf_site_add(uint32_t site, enum pf_site_sum objects, uint64_t size, uint64_t weight);
/* The bytes alone: a block has grown or shrunk where it is. PF_HOOK. */
void pf_site_add_bytes(uint32_t site, enum pf_site_sum bytes, uint64_t size, uint64_t weight);

/* Calls `each` with every row that is not all zero. Values: Go's four columns (blocks and bytes
 * allocated, blocks and bytes in use), to the nearest whole unit. Our own threads. */
typedef void pf_site_each_fn(void *arg, uint32_t stack, uint32_t class, const int64_t values[4]);
void pf_site_for_each(pf_site_each_fn *each, void *arg);

/* First table: 0 or -ENOMEM. Normal code. */
int pf_site_init(void);
/* All rows gone. Nobody may be inside find or add. */
void pf_site_clear(void);
