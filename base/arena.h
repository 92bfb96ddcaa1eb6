/* Arena: memory for code that runs under malloc or in a handler. Straight from mmap, never moved,
 * never given back: no reader can meet a dead pointer.
 *
 * One bump pointer in chunks. Taking is lock-free while the chunk lasts; the next chunk costs one
 * mmap, by whoever comes first. Zeroed.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* `size` bytes aligned to 16, or NULL (no memory, or the budget is used up). PF_SIGSAFE; errno is
 * kept. For blocks much smaller than a chunk; larger ones get a mapping of their own. */
void *pf_arena_take(size_t size);

/* A mapping of its own, zeroed, page aligned, or NULL. PF_SIGSAFE; errno is kept. Counted. */
void *pf_arena_map(size_t size);
void pf_arena_unmap(void *at, size_t size);

/* Bytes mapped so far: the agent's own memory in `status`. */
int64_t pf_arena_mapped_bytes(void);

/* Where they are, as far as is remembered: up to `max` mappings, returns how many. Any thread. */
enum { PF_ARENA_LISTED = 512 };

struct pf_arena_mapping {
	uintptr_t at;
	size_t size;
};
size_t pf_arena_mappings(struct pf_arena_mapping *out, size_t max);
