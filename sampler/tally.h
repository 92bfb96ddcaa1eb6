/* Tally: how often, by key. Rows are found by hash, made by whoever comes first, and stay.
 *
 *     key -> row {count, a note of fixed size}
 *
 * Tables of doubling size are mapped when the one before is crowded; when all are full, the rest is
 * counted in one row of key 0. A row may carry a note: a few bytes, written once by whoever asks
 * first. Lock-free; hooks add while a reader reads.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

enum { PF_TALLY_TABLES = 6 };

struct pf_tally_row {
	uint64_t key;        /* atomic; 0: nobody's, or what did not fit */
	uint64_t count;      /* atomic */
	uint32_t note_state; /* atomic: 0 none, 1 being written, 2 there */
	char note[];
};

struct pf_tally {
	uint32_t note_bytes;           /* both set by the owner, once */
	uint32_t table_count;          /* up to PF_TALLY_TABLES: how large it may become */
	void *tables[PF_TALLY_TABLES]; /* atomic */
};

/* The key's row (key != 0); NULL only without memory for the first table. PF_HOOK. */
struct pf_tally_row *pf_tally_find(struct pf_tally *tally, uint64_t key);

PF_INLINE void pf_tally_add(struct pf_tally_row *row, uint64_t count)
{
	__atomic_fetch_add(&row->count, count, __ATOMIC_RELAXED);
}

PF_INLINE bool pf_tally_wants_note(const struct pf_tally_row *row)
{
	return __atomic_load_n(&row->note_state, __ATOMIC_RELAXED) == 0;
}

/* True for one caller, who writes row->note and then says so. PF_HOOK. */
bool pf_tally_note_begin(struct pf_tally_row *row);
void pf_tally_note_end(struct pf_tally_row *row);

/* The note, or NULL. */
const char *pf_tally_note(const struct pf_tally_row *row);

/* Every row with a count, the one of what did not fit last (key 0). Our own threads. */
typedef void pf_tally_each_fn(void *arg, const struct pf_tally_row *row, uint64_t count);
void pf_tally_for_each(struct pf_tally *tally, pf_tally_each_fn *each, void *arg);

/* All rows gone. Who adds at this moment may be lost, or the first of the new count. */
void pf_tally_clear(struct pf_tally *tally);
