#include "sampler/heap_site.h"
#include "base/arena.h"
#include "base/counter.h"
#include "sampler/heap_draw.h"
#include "sampler/stack.h"

#include <errno.h>
#include <string.h>

#ifdef PF_SMALL
enum { FIRST_ROWS = 8, TABLES_MAX = 16, PROBES = 4 };
#else
enum { FIRST_ROWS = 4096, TABLES_MAX = 7, PROBES = 32 };
#endif

static const uint64_t KEY_USED = 1ull << 63;

struct sum {
	uint64_t whole; /* atomic */
	uint64_t parts; /* atomic; of 2^-PF_DRAW_WEIGHT_BITS; more than one whole, too */
};

struct row {
	uint64_t key; /* atomic: KEY_USED, stack, class; 0: nobody's */
	struct sum sums[PF_SITE_SUMS];
};

/* Table k has FIRST_ROWS << k rows, numbered on from the one before; row 0 is `overflow`. */
static struct row *tables[TABLES_MAX]; /* atomic; each once, in order */
static struct row overflow = {.key = KEY_USED};

/* ---- size classes ---- */

PF_HOOK uint32_t pf_site_class(uint64_t size)
{
	uint32_t group;

	if (size <= 64)
		return (uint32_t)((size + 15) / 16);
	/* The group of 2^(group+6) < size <= 2^(group+7), in four steps. */
	group = 57 - (uint32_t)__builtin_clzll(size - 1);
	return 5 + 4 * group + (uint32_t)((size - 1) >> (group + 4) & 3);
}

uint64_t pf_site_class_bytes(uint32_t class)
{
	if (class <= 4)
		return class * 16ull;
	return (uint64_t)(5 + (class - 5) % 4) << ((class - 5) / 4 + 4);
}

/* ---- rows ---- */

PF_INLINE size_t row_count(int k)
{
	return (size_t)FIRST_ROWS << k;
}

/* Row numbers of tables before k, and row 0. */
PF_INLINE uint32_t first_number(int k)
{
	return 1 + (uint32_t)(row_count(k) - FIRST_ROWS);
}

static PF_HOOK struct row *table_at(int k)
{
	struct row *table = __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE);
	struct row *other = NULL;

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

/* The number of the key's row in table k, made if there is room; 0: neither. */
static PF_HOOK uint32_t find_in(struct row *table, int k, uint64_t key)
{
	size_t place = (key * 0x9e3779b97f4a7c15ull >> 32) % row_count(k);

	for (int probe = 0; probe < PROBES; probe++) {
		struct row *row = &table[place];
		uint64_t was = __atomic_load_n(&row->key, __ATOMIC_ACQUIRE);

		if (was == 0 && __atomic_compare_exchange_n(&row->key, &was, key, false,
				    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			was = key;
		if (was == key)
			return first_number(k) + (uint32_t)place;
		place = (place + 1) % row_count(k);
	}
	return 0;
}

PF_HOOK uint32_t pf_site_find(uint32_t stack, uint64_t size)
{
	uint64_t key = KEY_USED | (uint64_t)stack << 16 | pf_site_class(size);

	for (int k = 0; k < TABLES_MAX; k++) {
		struct row *table = table_at(k);
		uint32_t number = table ? find_in(table, k, key) : 0;

		if (!table)
			break;
		if (number)
			return number;
	}
	pf_count(PF_COUNTER_HEAP_SITES_FULL);
	return 0;
}

static PF_HOOK struct row *row_of(uint32_t number)
{
	for (int k = 0; number != 0 && k < TABLES_MAX; k++)
		if (number < first_number(k) + row_count(k))
			return &__atomic_load_n(
			    &tables[k], __ATOMIC_ACQUIRE)[number - first_number(k)];
	return &overflow;
}

/* ---- sums ---- */

PF_INLINE void add(struct sum *sum, unsigned __int128 parts)
{
	uint64_t rest = (uint64_t)parts & ((1ull << PF_DRAW_WEIGHT_BITS) - 1);

	__atomic_fetch_add(&sum->whole, (uint64_t)(parts >> PF_DRAW_WEIGHT_BITS), __ATOMIC_RELAXED);
	if (rest)
		__atomic_fetch_add(&sum->parts, rest, __ATOMIC_RELAXED);
}

PF_HOOK void pf_site_add_bytes(
    uint32_t site, enum pf_site_sum bytes, uint64_t size, uint64_t weight)
{
	add(&row_of(site)->sums[bytes], (unsigned __int128)size * weight);
}

PF_HOOK void pf_site_add(uint32_t site, enum pf_site_sum objects, uint64_t size, uint64_t weight)
{
	struct sum *sums = row_of(site)->sums;

	add(&sums[objects], weight);
	add(&sums[objects + 1], (unsigned __int128)size * weight);
}

/* In parts. */
static __int128 read_sum(const struct sum *sum)
{
	uint64_t parts = __atomic_load_n(&sum->parts, __ATOMIC_ACQUIRE);
	uint64_t whole = __atomic_load_n(&sum->whole, __ATOMIC_ACQUIRE);

	return ((__int128)whole << PF_DRAW_WEIGHT_BITS) + parts;
}

static int64_t to_units(__int128 parts)
{
	if (parts < 0)
		return 0; /* a block grew, was freed, and we read in between */
	return (int64_t)((parts + (1 << (PF_DRAW_WEIGHT_BITS - 1))) >> PF_DRAW_WEIGHT_BITS);
}

static void visit(const struct row *row, pf_site_each_fn *each, void *arg)
{
	uint64_t key = __atomic_load_n(&row->key, __ATOMIC_ACQUIRE);
	__int128 sums[PF_SITE_SUMS];
	int64_t values[4];

	if (key == 0)
		return;
	for (int i = 0; i < PF_SITE_SUMS; i++)
		sums[i] = read_sum(&row->sums[i]);
	if (sums[PF_SITE_OBJECTS] == 0 && sums[PF_SITE_FREED_OBJECTS] == 0)
		return;
	values[0] = to_units(sums[PF_SITE_OBJECTS]);
	values[1] = to_units(sums[PF_SITE_BYTES]);
	values[2] = to_units(sums[PF_SITE_OBJECTS] - sums[PF_SITE_FREED_OBJECTS]);
	values[3] = to_units(sums[PF_SITE_BYTES] - sums[PF_SITE_FREED_BYTES]);
	each(arg, (uint32_t)(key >> 16), (uint32_t)key & 0xffff, values);
}

void pf_site_for_each(pf_site_each_fn *each, void *arg)
{
	visit(&overflow, each, arg);
	for (int k = 0; k < TABLES_MAX; k++) {
		const struct row *table = __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE);

		for (size_t i = 0; table && i < row_count(k); i++)
			visit(&table[i], each, arg);
	}
}

int pf_site_init(void)
{
	return table_at(0) ? 0 : -ENOMEM;
}

void pf_site_clear(void)
{
	overflow = (struct row){.key = KEY_USED};
	for (int k = 0; k < TABLES_MAX && tables[k]; k++)
		memset(tables[k], 0, row_count(k) * sizeof(*tables[k]));
}
