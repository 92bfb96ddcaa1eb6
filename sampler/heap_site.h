/* Heap site: the sums of what was allocated and freed, one row for each (stack, size class, kind,
 * name of the thread).
 *
 * Rows are found by hash, made by whoever comes first, and stay. A sum is a counter of parts of a
 * unit (2^-PF_DRAW_WEIGHT_BITS) that is only added to, so that taking away exactly what was added
 * leaves exactly nothing. It goes round like a clock's hand, and a second counter, of its turns, is
 * touched so seldom that it costs nothing: a day of terabytes does not overflow.
 *
 * The peak is a picture taken without copying: each new highest total gets a number, and a row that
 * is about to change for the first time since then first notes what it holds.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pf_site_sum {
	PF_SITE_OBJECTS,
	PF_SITE_BYTES,
	PF_SITE_FREED_OBJECTS,
	PF_SITE_FREED_BYTES,
	PF_SITE_SUMS,
};

/* Size classes: 0, then up to 16, 32, 48, 64, and four to each doubling. */
uint32_t pf_site_class(uint64_t size);        /* PF_HOOK */
uint64_t pf_site_class_bytes(uint32_t class); /* the largest size in it */

/* What a row is for. */
enum pf_site_kind {
	PF_SITE_MALLOC, /* from the allocator */
	PF_SITE_MMAP,   /* anonymous memory from the kernel */
	PF_SITE_FILE,   /* a mapped file */
};

struct pf_site_key {
	uint32_t stack;
	uint16_t class; /* pf_site_class() */
	uint16_t kind;  /* enum pf_site_kind */
	uint16_t name;  /* of the allocating thread: heap_name.h; up to PF_SITE_NAME_MAX */
};

enum { PF_SITE_NAME_MAX = (1 << 15) - 1 };

/* The row's number; row 0 takes what does not fit any more. PF_HOOK. */
uint32_t pf_site_find(const struct pf_site_key *key);

/* Something will be added: the cache lines that all rows share may come meanwhile. PF_HOOK. */
void pf_site_expect(void);

/* Adds `weight` blocks of `size` bytes to two sums: OBJECTS and BYTES, or the FREED pair. PF_HOOK. */
void pf_site_add(uint32_t site, enum pf_site_sum objects, uint64_t size, uint64_t weight);
/* The bytes alone: a block has grown or shrunk where it is. PF_HOOK. */
void pf_site_add_bytes(uint32_t site, enum pf_site_sum bytes, uint64_t size, uint64_t weight);

/* How long a block of the row had lived when it was freed, one more in the histogram: class 0 is
 * less than a microsecond, class n 2^(n-1) up to 2^n of them, the last one all the rest. PF_HOOK. */
enum { PF_SITE_LIVES = 32 };
void pf_site_add_life(uint32_t site, uint64_t life_us);

/* A row as it is now. Values: Go's four columns (blocks and bytes allocated, blocks and bytes in
 * use), to the nearest whole unit. Lives: in samples. */
struct pf_site_view {
	struct pf_site_key key;
	int64_t values[4];
	uint32_t lives[PF_SITE_LIVES];
};

/* Calls `each` with every row that is not all zero. Our own threads. */
typedef void pf_site_each_fn(void *arg, const struct pf_site_view *view);
void pf_site_for_each(pf_site_each_fn *each, void *arg);

/* The same, but what was in use at the moment when it was most: values[2] and [3]. Exact while one
 * thread allocates; with several, to within what they were at in that instant. */
void pf_site_for_each_at_peak(pf_site_each_fn *each, void *arg);
/* When that was (real time, 0: never), and from now on anew. */
int64_t pf_site_peak_ns(void);
void pf_site_peak_reset(void);

/* At the cost of a look: how many rows there are; bytes in use and ever allocated, over all rows. */
uint32_t pf_site_count(void);
void pf_site_totals(int64_t *now_bytes, int64_t *ever_bytes);

/* What a row is for (PF_HOOK), and an upper bound of row numbers. */
struct pf_site_key pf_site_key(uint32_t site);
uint32_t pf_site_numbers(void);

/* First table: 0 or -ENOMEM. Normal code. */
int pf_site_init(void);
/* All rows gone. Nobody may be inside find or add. */
void pf_site_clear(void);
