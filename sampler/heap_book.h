/* Heap book: what the program has, as far as it was sampled. Joins the live table (by address)
 * and the sites (by stack) so that both always say the same.
 *
 * Hooks write it from any thread, without a lock. While it is closed they write nothing, and
 * pf_book_close() returns when the last of them has left; then it may be emptied.
 */
#pragma once
#include "sampler/heap_live.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A block was allocated and sampled at this rate. Captures the stack of the program's call. PF_HOOK. */
void pf_book_add(const void *at, size_t size, uint64_t rate);

/* A block is about to be freed: before the real free, for afterwards another thread may have it.
 * PF_HOOK. */
void pf_book_drop(const void *at);

/* A block that may move: taken out before the real realloc, and put back or dropped after it. */
struct pf_book_move {
	struct pf_live_entry entry;
	uint32_t generation; /* of the book it was taken from; 0: it was in none */
};

void pf_book_move_begin(struct pf_book_move *move, const void *at); /* PF_HOOK */
/* Nothing has happened to it: realloc failed. PF_HOOK. */
void pf_book_move_undo(const struct pf_book_move *move, const void *at);
/* It is still there, with a new size. False: it was not in the book. PF_HOOK. */
bool pf_book_move_stay(const struct pf_book_move *move, const void *at, size_t size);
/* It is gone. PF_HOOK. */
void pf_book_move_drop(const struct pf_book_move *move);

/* Empty and open: 0 or -ENOMEM. Normal code. */
int pf_book_open(void);
/* Closed, and waits (at most a second) until nobody writes any more. Normal code. */
void pf_book_close(void);
/* In the child after fork: closed, and nobody is inside. Atomic stores only. */
void pf_book_fork_child(void);
bool pf_book_is_open(void);

/* Centiseconds since it was opened: fine enough for ages, and lasts for a year. PF_HOOK. */
uint32_t pf_book_clock(void);
