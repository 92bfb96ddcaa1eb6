#include "sampler/tally.h"
#include "base/arena.h"

#include <string.h>

#ifdef PF_SMALL
enum { FIRST_ROWS = 2, PROBES = 2 };
#else
enum { FIRST_ROWS = 128, PROBES = 16 };
#endif

PF_INLINE size_t row_count(int k)
{
	return (size_t)FIRST_ROWS << 2 * k;
}

PF_INLINE size_t row_bytes(const struct pf_tally *tally)
{
	return (sizeof(struct pf_tally_row) + tally->note_bytes + 7) & ~(size_t)7;
}

PF_INLINE struct pf_tally_row *row_at(const struct pf_tally *tally, void *table, size_t place)
{
	return (void *)((char *)table + place * row_bytes(tally));
}

/* Each table is followed by one row more: the first one's is the overflow. */
static PF_HOOK void *table_at(struct pf_tally *tally, int k)
{
	void *table = __atomic_load_n(&tally->tables[k], __ATOMIC_ACQUIRE), *none = NULL;
	size_t bytes = (row_count(k) + 1) * row_bytes(tally);

	if (table)
		return table;
	table = pf_arena_map(bytes);
	if (!table)
		return NULL;
	if (__atomic_compare_exchange_n(
		&tally->tables[k], &none, table, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return table;
	pf_arena_unmap(table, bytes); /* another thread was first */
	return none;
}

static PF_HOOK struct pf_tally_row *find_in(
    const struct pf_tally *tally, void *table, int k, uint64_t key)
{
	size_t place = (key * 0x9e3779b97f4a7c15ull >> 32) % row_count(k);

	for (int probe = 0; probe < PROBES; probe++) {
		struct pf_tally_row *row = row_at(tally, table, place);
		uint64_t was = __atomic_load_n(&row->key, __ATOMIC_ACQUIRE);

		if (was == 0 && __atomic_compare_exchange_n(&row->key, &was, key, false,
				    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			was = key;
		if (was == key)
			return row;
		place = (place + 1) % row_count(k);
	}
	return NULL;
}

PF_HOOK struct pf_tally_row *pf_tally_find(struct pf_tally *tally, uint64_t key)
{
	void *table;

	for (int k = 0; k < (int)tally->table_count && (table = table_at(tally, k)); k++) {
		struct pf_tally_row *row = find_in(tally, table, k, key);

		if (row)
			return row;
	}
	table = __atomic_load_n(&tally->tables[0], __ATOMIC_ACQUIRE);
	return table ? row_at(tally, table, row_count(0)) : NULL;
}

PF_HOOK bool pf_tally_note_begin(struct pf_tally_row *row)
{
	uint32_t none = 0;

	return __atomic_compare_exchange_n(
	    &row->note_state, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

PF_HOOK void pf_tally_note_end(struct pf_tally_row *row)
{
	__atomic_store_n(&row->note_state, 2, __ATOMIC_RELEASE);
}

const char *pf_tally_note(const struct pf_tally_row *row)
{
	return __atomic_load_n(&row->note_state, __ATOMIC_ACQUIRE) == 2 ? row->note : NULL;
}

static void visit(const struct pf_tally_row *row, pf_tally_each_fn *each, void *arg)
{
	uint64_t count = __atomic_load_n(&row->count, __ATOMIC_RELAXED);

	if (count)
		each(arg, row, count);
}

void pf_tally_for_each(struct pf_tally *tally, pf_tally_each_fn *each, void *arg)
{
	void *table;

	for (int k = 0; k < PF_TALLY_TABLES; k++) {
		table = __atomic_load_n(&tally->tables[k], __ATOMIC_ACQUIRE);
		for (size_t i = 0; table && i < row_count(k); i++)
			visit(row_at(tally, table, i), each, arg);
	}
	table = __atomic_load_n(&tally->tables[0], __ATOMIC_ACQUIRE);
	if (table)
		visit(row_at(tally, table, row_count(0)), each, arg);
}

void pf_tally_clear(struct pf_tally *tally)
{
	for (int k = 0; k < PF_TALLY_TABLES; k++) {
		void *table = __atomic_load_n(&tally->tables[k], __ATOMIC_ACQUIRE);

		if (table)
			memset(table, 0, (row_count(k) + 1) * row_bytes(tally));
	}
}
