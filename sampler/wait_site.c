#include "sampler/wait_site.h"
#include "base/arena.h"
#include "base/counter.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef PF_SMALL
enum { FIRST_ROWS = 8, TABLES_MAX = 16, PROBES = 4 };
#else
enum { FIRST_ROWS = 1024, TABLES_MAX = 9, PROBES = 32 };
#endif

static const uint64_t KEY_USED = 1ull << 63;
enum { KIND_SHIFT = 32, PROFILE_SHIFT = 40 };

struct pf_wait_site {
	uint64_t key;      /* atomic: KEY_USED, profile, kind, stack; 0: nobody's */
	uint64_t count;    /* atomic, in parts */
	uint64_t delay_ns; /* atomic */
};

/* Table k has FIRST_ROWS << k rows. */
static struct pf_wait_site *tables[TABLES_MAX]; /* atomic; each once, in order */
static struct pf_wait_site overflow[2];         /* by profile; stack 0 is "[stack store full]" */
static uint32_t found[2];                       /* atomic, by profile: rows that are somebody's */

PF_INLINE size_t row_count(int k)
{
	return (size_t)FIRST_ROWS << k;
}

static PF_HOOK struct pf_wait_site *table_at(int k)
{
	struct pf_wait_site *table = __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE);
	struct pf_wait_site *other = NULL;

	if (table)
		return table;
	table = pf_arena_map(row_count(k) * sizeof(*table));
	if (!table)
		return NULL;
	if (__atomic_compare_exchange_n(
		&tables[k], &other, table, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return table;
	pf_arena_unmap(table, row_count(k) * sizeof(*table)); /* another thread was first */
	return other;
}

static PF_HOOK struct pf_wait_site *find_in(struct pf_wait_site *table, int k, uint64_t key)
{
	size_t place = (key * 0x9e3779b97f4a7c15ull >> 32) % row_count(k);

	for (int probe = 0; probe < PROBES; probe++) {
		struct pf_wait_site *row = &table[place];
		uint64_t was = __atomic_load_n(&row->key, __ATOMIC_ACQUIRE);

		if (was == 0 && __atomic_compare_exchange_n(&row->key, &was, key, false,
				    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			__atomic_fetch_add(&found[key >> PROFILE_SHIFT & 1], 1, __ATOMIC_RELAXED);
			was = key;
		}
		if (was == key)
			return row;
		place = (place + 1) % row_count(k);
	}
	return NULL;
}

PF_HOOK struct pf_wait_site *pf_wait_site_find(
    enum pf_wait_profile profile, uint32_t kind, uint32_t stack)
{
	uint64_t key =
	    KEY_USED | (uint64_t)profile << PROFILE_SHIFT | (uint64_t)kind << KIND_SHIFT | stack;

	for (int k = 0; k < TABLES_MAX; k++) {
		struct pf_wait_site *table = table_at(k);
		struct pf_wait_site *row = table ? find_in(table, k, key) : NULL;

		if (!table)
			break;
		if (row)
			return row;
	}
	pf_count(PF_COUNTER_WAIT_LOST_SITES);
	return &overflow[profile];
}

PF_HOOK void pf_wait_site_add(struct pf_wait_site *site, uint64_t count_parts, uint64_t delay_ns)
{
	__atomic_fetch_add(&site->count, count_parts, __ATOMIC_RELAXED);
	__atomic_fetch_add(&site->delay_ns, delay_ns, __ATOMIC_RELAXED);
}

/* ---- reading ---- */

uint32_t pf_wait_site_count(enum pf_wait_profile profile)
{
	return __atomic_load_n(&found[profile], __ATOMIC_RELAXED);
}

static void show(
    const struct pf_wait_site *row, uint64_t key, pf_wait_site_each_fn *each, void *arg)
{
	uint64_t parts = __atomic_load_n(&row->count, __ATOMIC_RELAXED);
	int64_t delay_ns = (int64_t)__atomic_load_n(&row->delay_ns, __ATOMIC_RELAXED);
	int64_t count = (int64_t)((parts + (1 << (PF_WAIT_COUNT_BITS - 1))) >> PF_WAIT_COUNT_BITS);

	if (parts == 0 && delay_ns == 0)
		return;
	each(arg, (uint32_t)(key >> KIND_SHIFT & 0xff), (uint32_t)key, count ? count : 1, delay_ns);
}

void pf_wait_site_for_each(enum pf_wait_profile profile, pf_wait_site_each_fn *each, void *arg)
{
	show(&overflow[profile], 0, each, arg);
	for (int k = 0; k < TABLES_MAX; k++) {
		const struct pf_wait_site *table = __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE);

		for (size_t i = 0; table && i < row_count(k); i++) {
			uint64_t key = __atomic_load_n(&table[i].key, __ATOMIC_ACQUIRE);

			if (key && (key >> PROFILE_SHIFT & 1) == profile)
				show(&table[i], key, each, arg);
		}
	}
}
