#include "sampler/heap_site.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/fetch.h"
#include "sampler/heap_draw.h"
#include "sampler/shard.h"
#include "sampler/stack.h"

#include <errno.h>
#include <string.h>

#ifdef PF_SMALL
enum { FIRST_ROWS = 8, TABLES_MAX = 16, PROBES = 4 };
#else
enum { FIRST_ROWS = 2048, TABLES_MAX = 8, PROBES = 32 };
#endif

static const uint64_t KEY_USED = 1ull << 63;

/* A turn is 2^TURN_BITS parts, and `parts` counts the last 256 turns, too: with that, whoever reads
 * the two one after the other knows if one is ahead of the other. */
struct sum {
	uint64_t parts; /* atomic; of 2^-PF_DRAW_WEIGHT_BITS; goes round at 2^64 */
	uint64_t turns; /* atomic */
};
enum { TURN_BITS = 56 };

/* The first cache line is all that an allocation touches. */
struct row {
	uint64_t key;   /* atomic: KEY_USED, name, stack, kind, class; 0: nobody's */
	uint64_t noted; /* atomic: the peak of which the next two are */
	int64_t noted_objects, noted_bytes; /* atomic; in units */
	struct sum sums[PF_SITE_SUMS];
	uint32_t lives[PF_SITE_LIVES]; /* atomic */
} __attribute__((aligned(64)));

/* Table k has FIRST_ROWS << k rows, numbered on from the one before; row 0 is `overflow`. */
static struct row *tables[TABLES_MAX] PF_WARM; /* atomic; each once, in order */
static struct row overflow = {.key = KEY_USED};

static uint32_t made; /* atomic: rows in use */
/* Bytes ever allocated, of all rows: the sum of these. */
static struct {
	struct sum sum;
} __attribute__((aligned(64))) allocated[PF_SHARDS];
/* Of all rows. */
static struct {
	struct sum live;    /* bytes in use */
	int64_t peak_bytes; /* atomic; the most that they were */
	uint64_t peak;      /* atomic: its number */
	int64_t peak_ns;    /* atomic */
} all __attribute__((aligned(64)));

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
	size_t place = (key * 0x9e3779b97f4a7c15ull >> 32) & (row_count(k) - 1);

	for (int probe = 0; probe < PROBES; probe++) {
		struct row *row = &table[place];
		uint64_t was = 0;

		/* Without a look, as in heap_live.c: whoever finds the row writes to it anyway. */
		if (__atomic_compare_exchange_n(
			&row->key, &was, key, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			was = key;
			__atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
		}
		if (was == key)
			return first_number(k) + (uint32_t)place;
		place = (place + 1) & (row_count(k) - 1);
	}
	return 0;
}

PF_INLINE uint64_t pack(const struct pf_site_key *key)
{
	return KEY_USED | (uint64_t)key->name << 48 | (uint64_t)key->stack << 16 |
	       (uint64_t)key->kind << 8 | key->class;
}

PF_INLINE struct pf_site_key unpack(uint64_t key)
{
	return (struct pf_site_key){
	    .name = key >> 48 & PF_SITE_NAME_MAX,
	    .stack = (uint32_t)(key >> 16),
	    .kind = key >> 8 & 0xff,
	    .class = key & 0xff,
	};
}

PF_HOOK uint32_t pf_site_find(const struct pf_site_key *wanted)
{
	uint64_t key = pack(wanted);

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

/* Below nothing, too: then the hand goes back. */
PF_INLINE void add(struct sum *sum, __int128 parts)
{
	uint64_t was = __atomic_fetch_add(&sum->parts, (uint64_t)parts, __ATOMIC_RELAXED);
	uint64_t turned = (uint64_t)(((__int128)was + parts) >> TURN_BITS) - (was >> TURN_BITS);

	if (PF_UNLIKELY(turned))
		__atomic_fetch_add(&sum->turns, turned, __ATOMIC_RELEASE);
}

/* In parts. */
PF_INLINE __int128 read_sum(const struct sum *sum)
{
	uint64_t parts = __atomic_load_n(&sum->parts, __ATOMIC_ACQUIRE);
	uint64_t turns = __atomic_load_n(&sum->turns, __ATOMIC_ACQUIRE);

	/* The turns as they were when `parts` was read: at most 127 before or after. */
	turns += (uint64_t)(int8_t)((parts >> TURN_BITS) - turns);
	return ((__int128)(int64_t)turns << TURN_BITS) +
	       (int64_t)(parts & ((1ull << TURN_BITS) - 1));
}

/* To the nearest one; what is more than fits stays at the most. */
PF_INLINE int64_t to_units(__int128 parts)
{
	__int128 units = (parts + (1 << (PF_DRAW_WEIGHT_BITS - 1))) >> PF_DRAW_WEIGHT_BITS;

	if (parts < 0)
		return 0; /* a block grew, was freed, and we read in between */
	return units < INT64_MAX ? (int64_t)units : INT64_MAX;
}

/* What the row has in use; freed first: it must not see go what it has not seen come. */
PF_INLINE __int128 in_use(const struct row *row, enum pf_site_sum freed, enum pf_site_sum came)
{
	__int128 gone = read_sum(&row->sums[freed]);

	return read_sum(&row->sums[came]) - gone;
}

/* Before a row changes. */
static PF_HOOK void note_peak(struct row *row)
{
	uint64_t now = __atomic_load_n(&all.peak, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&row->noted, __ATOMIC_RELAXED) == now)
		return;
	__atomic_store_n(&row->noted_objects,
	    to_units(in_use(row, PF_SITE_FREED_OBJECTS, PF_SITE_OBJECTS)), __ATOMIC_RELAXED);
	__atomic_store_n(&row->noted_bytes,
	    to_units(in_use(row, PF_SITE_FREED_BYTES, PF_SITE_BYTES)), __ATOMIC_RELAXED);
	__atomic_store_n(&row->noted, now, __ATOMIC_RELEASE);
}

/* After it has. */
static PF_HOOK void change_total(__int128 parts)
{
	int64_t total, highest;

	add(&all.live, parts);
	if (parts <= 0)
		return;
	total = to_units(read_sum(&all.live));
	highest = __atomic_load_n(&all.peak_bytes, __ATOMIC_RELAXED);
	while (total > highest)
		if (__atomic_compare_exchange_n(&all.peak_bytes, &highest, total, true,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			__atomic_store_n(
			    &all.peak_ns, pf_clock_ns(CLOCK_REALTIME_COARSE), __ATOMIC_RELAXED);
			__atomic_fetch_add(&all.peak, 1, __ATOMIC_RELEASE);
			return;
		}
}

PF_HOOK void pf_site_expect(void)
{
	pf_fetch_to_write(&allocated[pf_shard()]);
	pf_fetch_to_write(&all);
}

PF_HOOK void pf_site_add_bytes(
    uint32_t site, enum pf_site_sum bytes, uint64_t size, uint64_t weight)
{
	__int128 parts = (__int128)((unsigned __int128)size * weight);
	struct row *row = row_of(site);

	note_peak(row);
	add(&row->sums[bytes], parts);
	if (bytes == PF_SITE_BYTES)
		add(&allocated[pf_shard()].sum, parts);
	change_total(bytes == PF_SITE_BYTES ? parts : -parts);
}

PF_HOOK void pf_site_add(uint32_t site, enum pf_site_sum objects, uint64_t size, uint64_t weight)
{
	struct row *row = row_of(site);

	note_peak(row);
	add(&row->sums[objects], weight);
	pf_site_add_bytes(site, objects + 1, size, weight);
}

PF_HOOK void pf_site_add_life(uint32_t site, uint64_t life_us)
{
	uint32_t class = life_us ? 64 - (uint32_t)__builtin_clzll(life_us) : 0;

	if (class >= PF_SITE_LIVES)
		class = PF_SITE_LIVES - 1;
	__atomic_fetch_add(&row_of(site)->lives[class], 1, __ATOMIC_RELAXED);
}

int64_t pf_site_peak_ns(void)
{
	return __atomic_load_n(&all.peak_ns, __ATOMIC_RELAXED);
}

void pf_site_peak_reset(void)
{
	__atomic_store_n(&all.peak_bytes, to_units(read_sum(&all.live)), __ATOMIC_RELAXED);
	__atomic_store_n(&all.peak_ns, pf_clock_real_ns(), __ATOMIC_RELAXED);
	__atomic_fetch_add(&all.peak, 1, __ATOMIC_RELEASE);
}

/* ---- reading ---- */

static void now_values(const struct row *row, int64_t values[4])
{
	values[2] = to_units(in_use(row, PF_SITE_FREED_OBJECTS, PF_SITE_OBJECTS));
	values[3] = to_units(in_use(row, PF_SITE_FREED_BYTES, PF_SITE_BYTES));
	values[0] = to_units(read_sum(&row->sums[PF_SITE_OBJECTS]));
	values[1] = to_units(read_sum(&row->sums[PF_SITE_BYTES]));
}

static void peak_values(const struct row *row, int64_t values[4])
{
	now_values(row, values);
	if (__atomic_load_n(&row->noted, __ATOMIC_ACQUIRE) !=
	    __atomic_load_n(&all.peak, __ATOMIC_ACQUIRE))
		return; /* unchanged since */
	values[2] = __atomic_load_n(&row->noted_objects, __ATOMIC_RELAXED);
	values[3] = __atomic_load_n(&row->noted_bytes, __ATOMIC_RELAXED);
}

static void visit(const struct row *row, void (*read)(const struct row *, int64_t *),
    pf_site_each_fn *each, void *arg)
{
	uint64_t key = __atomic_load_n(&row->key, __ATOMIC_ACQUIRE);
	struct pf_site_view view;

	if (key == 0)
		return;
	view.key = unpack(key);
	read(row, view.values);
	for (int i = 0; i < PF_SITE_LIVES; i++)
		view.lives[i] = __atomic_load_n(&row->lives[i], __ATOMIC_RELAXED);
	if (view.values[0] || view.values[2])
		each(arg, &view);
}

static void visit_all(void (*read)(const struct row *, int64_t *), pf_site_each_fn *each, void *arg)
{
	visit(&overflow, read, each, arg);
	for (int k = 0; k < TABLES_MAX; k++) {
		const struct row *table = __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE);

		for (size_t i = 0; table && i < row_count(k); i++)
			visit(&table[i], read, each, arg);
	}
}

void pf_site_for_each(pf_site_each_fn *each, void *arg)
{
	visit_all(now_values, each, arg);
}

void pf_site_for_each_at_peak(pf_site_each_fn *each, void *arg)
{
	visit_all(peak_values, each, arg);
}

uint32_t pf_site_count(void)
{
	return __atomic_load_n(&made, __ATOMIC_RELAXED);
}

void pf_site_totals(int64_t *now_bytes, int64_t *ever_bytes)
{
	__int128 ever = 0;

	*now_bytes = to_units(read_sum(&all.live));
	for (size_t i = 0; i < PF_COUNT(allocated); i++)
		ever += read_sum(&allocated[i].sum);
	*ever_bytes = to_units(ever);
}

PF_HOOK struct pf_site_key pf_site_key(uint32_t site)
{
	return unpack(__atomic_load_n(&row_of(site)->key, __ATOMIC_ACQUIRE));
}

uint32_t pf_site_numbers(void)
{
	int k = 0;

	while (k < TABLES_MAX && __atomic_load_n(&tables[k], __ATOMIC_ACQUIRE))
		k++;
	return first_number(k);
}

int pf_site_init(void)
{
	return table_at(0) ? 0 : -ENOMEM;
}

void pf_site_clear(void)
{
	overflow = (struct row){.key = KEY_USED};
	memset(allocated, 0, sizeof(allocated));
	made = 0;
	memset(&all, 0, sizeof(all));
	all.peak = 1; /* no row has noted anything of it */
	for (int k = 0; k < TABLES_MAX && tables[k]; k++)
		memset(tables[k], 0, row_count(k) * sizeof(*tables[k]));
}
