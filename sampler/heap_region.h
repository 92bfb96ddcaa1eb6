/* Heap region: sampled mappings that are not unmapped yet. Unlike a block of malloc's, a mapping may
 * go in pieces: from its front, from its end, from its middle, or with its neighbours.
 *
 * A plain table without order: mappings are few and every call costs a system call anyway. No lock,
 * as in heap_live.c: a place is claimed by compare-and-swap, so a thread may vanish, a signal may
 * come, a child may fork at any point.
 */
#pragma once
#include "sampler/heap_live.h"
#include "sampler/heap_site.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PF_REGION_PIECES = 8 };

/* What an unmapping takes, until it is known whether the kernel did it. */
struct pf_region_taken {
	uint32_t generation; /* of the book; 0: nothing was taken */
	uint32_t count;
	struct pf_region_piece {
		uintptr_t start, end;
		struct pf_live_entry entry;
		bool whole; /* no part of the mapping is left */
	} pieces[PF_REGION_PIECES];
};

/* A mapping was made and sampled at this rate; `size` is whole pages. PF_HOOK. */
void pf_region_add(const void *at, size_t size, uint64_t rate, enum pf_site_kind kind);

/* Takes out what lies in this range: before the real munmap, for afterwards another thread may have
 * the addresses. Then one of the other two. PF_HOOK. */
void pf_region_take(struct pf_region_taken *taken, const void *at, size_t size);
void pf_region_taken_free(const struct pf_region_taken *taken);
void pf_region_taken_undo(const struct pf_region_taken *taken);

/* The table: 0 or -ENOMEM. Normal code. */
int pf_region_init(void);
/* Empties it; nobody may be inside. */
void pf_region_clear(void);
/* Everything in it counts as freed: nobody will tell us when it is. Normal code. */
void pf_region_forget(void);

/* As pf_live_for_each(). Our own threads. */
void pf_region_for_each(pf_live_each_fn *each, void *arg);
