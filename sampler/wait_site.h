/* Wait sites: what the mutex and the block profile sum up, one row for each (profile, kind, stack).
 *
 * Rows are found by hash, made by whoever comes first, and stay: the sums only grow, as Go's do.
 */
#pragma once
#include "base/mark.h"

#include <stdint.h>

enum pf_wait_profile { PF_WAIT_OF_MUTEX, PF_WAIT_OF_BLOCK };

/* Counts are kept in parts: a short wait that is sampled may stand for 2.5 of its like. */
enum { PF_WAIT_COUNT_BITS = 16 };

struct pf_wait_site;

/* Never NULL: where there is no room, one row for all that did not fit. PF_HOOK. */
struct pf_wait_site *pf_wait_site_find(enum pf_wait_profile profile, uint32_t kind, uint32_t stack);
/* PF_HOOK. */
void pf_wait_site_add(struct pf_wait_site *site, uint64_t count_parts, uint64_t delay_ns);

/* How many rows a profile has. Any thread. */
uint32_t pf_wait_site_count(enum pf_wait_profile profile);

/* Calls `each` with every row of a profile that is not zero; count to the nearest whole, at least
 * one where there is a delay. Our own threads. */
typedef void pf_wait_site_each_fn(
    void *arg, uint32_t kind, uint32_t stack, int64_t count, int64_t delay_ns);
void pf_wait_site_for_each(enum pf_wait_profile profile, pf_wait_site_each_fn *each, void *arg);
