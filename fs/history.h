/* History: a row of numbers about the process for every second of the last day.
 *
 * Think of a diary in which a day's page says only what has changed since the page before. Blocks
 * of rows form a ring; each begins with a whole row, the others are differences of a few bytes. The
 * oldest block goes when all of it is older than a day, or when the diary is full.
 *
 * The keeper writes (a thread of ours that is there anyway); any thread of ours reads. An idle
 * program takes 0.2 MB a day, a busy one 2; never more than PF_HISTORY_BYTES_MAX.
 */
#pragma once
#include "base/history.h"

enum { PF_HISTORY_BYTES_MAX = 4 * 1024 * 1024 };

struct pf_history;
struct pf_live;

struct pf_history *pf_history_create(void); /* NULL: no memory */
void pf_history_destroy(struct pf_history *history);

/* A row of this moment; a moment that is not later than the last one's is left out. Without memory
 * it is lost and counted. */
void pf_history_add(
    struct pf_history *history, int64_t now_ns, const int64_t value[PF_HISTORY_COLUMN_COUNT]);

/* The keeper's round: adds a row when a second is over. When to come again (monotonic). */
int64_t pf_history_tick(struct pf_history *history, struct pf_live *live, int64_t now_ns);

/* The rows of the last `seconds` (0: all), at most `rows_max` of them (0: any number): where there
 * are more, neighbours become one, with the highest of a gauge and the last of a counter, for whole
 * multiples of a step. 0 or -ENOMEM; `out` is zeroed or finished before, and finished by the caller
 * in every case. */
int pf_history_read(
    struct pf_history *history, int64_t seconds, size_t rows_max, struct pf_history_rows *out);

/* Bytes held now. */
int64_t pf_history_bytes(struct pf_history *history);
