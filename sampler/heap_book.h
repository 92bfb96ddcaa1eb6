/* Heap book: what the program has, as far as it was sampled. Joins the live table (by address)
 * and the sites (by stack) so that both always say the same.
 *
 * Hooks write it from any thread, without a lock. While it is closed they write nothing, and
 * pf_book_close() returns when the last of them has left; then it may be emptied.
 */
#pragma once
#include "sampler/heap_live.h"
#include "sampler/heap_site.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A block is about to be allocated and sampled: what is known to be touched may be fetched while it is allocated. PF_HOOK. */
void pf_book_expect(void);

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
/* In the child after fork: nobody is inside, and what does not stay is closed. Atomic stores only. */
void pf_book_fork_child(bool stays);
bool pf_book_is_open(void);

/* Microseconds since it was opened. PF_HOOK. */
uint64_t pf_book_clock(void);
/* When that was (monotonic). */
int64_t pf_book_opened_ns(void);

/* For what keeps blocks in a table of its own (heap_region.c). PF_HOOK, all of them.
 *
 * Between enter and leave the book stays open. Enter: its generation, or 0: closed, not entered. */
uint32_t pf_book_enter(void);
void pf_book_leave(void);
/* Adds a block to the sums of its site, made from the program's call, and fills *entry. */
void pf_book_account_alloc(
    struct pf_live_entry *entry, enum pf_site_kind kind, size_t size, uint64_t rate);
void pf_book_account_free(const struct pf_live_entry *entry);
