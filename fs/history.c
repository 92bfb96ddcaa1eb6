#include "fs/history.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/lock.h"
#include "base/mark.h"
#include "fs/live.h"
#include "fs/pulse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef PF_SMALL
enum { BLOCK_BYTES = 4096 };
#else
enum { BLOCK_BYTES = 16 * 1024 };
#endif
enum { BLOCKS_MAX = PF_HISTORY_BYTES_MAX / BLOCK_BYTES };

/* A row in bytes: which columns have changed (bit 0: the time, by other than a second), and by how
 * much, each as a varint; differences zigzag, in grains. */
enum { TIME_CHANGED = 1, VARINT_MAX = 10, ROW_MAX = VARINT_MAX * (PF_HISTORY_COLUMN_COUNT + 2) };

struct block {
	int64_t first_s; /* of its first row, on the clock that counts sleep too */
	size_t length;
	uint8_t bytes[];
};
enum { BLOCK_ROOM = BLOCK_BYTES - (int)sizeof(struct block) };

struct row {
	int64_t s;
	int64_t grains[PF_HISTORY_COLUMN_COUNT];
};

struct pf_history {
	int64_t due_ns; /* monotonic; the keeper's alone */

	struct pf_lock lock;
	struct row last; /* guarded by lock, as all below; not there while count is 0 */
	size_t first, count;
	struct block *blocks[BLOCKS_MAX]; /* a ring: from `first` on, `count` of them */
};

struct pf_history *pf_history_create(void)
{
	struct pf_history *history = calloc(1, sizeof(*history));

	if (history)
		history->lock = (struct pf_lock)PF_LOCK_INIT(PF_LOCK_LEAF);
	return history;
}

void pf_history_destroy(struct pf_history *history)
{
	if (!history)
		return;
	for (size_t i = 0; i < history->count; i++)
		pf_arena_unmap(history->blocks[(history->first + i) % BLOCKS_MAX], BLOCK_BYTES);
	free(history);
}

/* ---- numbers as bytes ---- */

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

static const uint8_t *get_varint(const uint8_t *at, uint64_t *value)
{
	int shift = 0;

	for (*value = 0; *at & 0x80; shift += 7)
		*value |= (uint64_t)(*at++ & 0x7f) << shift;
	*value |= (uint64_t)*at++ << shift;
	return at;
}

/* Small numbers of either sign become small numbers without one. */
static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Wraps where the difference does not fit, and comes out right again. */
static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static size_t encode(uint8_t *to, const struct row *before, const struct row *now)
{
	uint64_t mask = now->s - before->s == 1 ? 0 : TIME_CHANGED;
	uint8_t *at;

	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++)
		if (now->grains[i] != before->grains[i])
			mask |= 2ull << i;
	at = put_varint(to, mask);
	if (mask & TIME_CHANGED)
		at = put_varint(at, (uint64_t)(now->s - before->s));
	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++)
		if (mask & 2ull << i)
			at = put_varint(at, zigzag((int64_t)((uint64_t)now->grains[i] -
							     (uint64_t)before->grains[i])));
	return (size_t)(at - to);
}

/* Moves `row` on to the next one. */
static const uint8_t *decode(const uint8_t *at, struct row *row)
{
	uint64_t mask, value = 1;

	at = get_varint(at, &mask);
	if (mask & TIME_CHANGED)
		at = get_varint(at, &value);
	row->s += (int64_t)value;
	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++) {
		if (!(mask & 2ull << i))
			continue;
		at = get_varint(at, &value);
		row->grains[i] = plus(row->grains[i], unzigzag(value));
	}
	return at;
}

/* What a block's first row is the difference from. */
static struct row before_first(int64_t first_s)
{
	return (struct row){.s = first_s - 1};
}

/* ---- writing ---- */

static struct block *block_locked(struct pf_history *history, size_t number)
{
	return history->blocks[(history->first + number) % BLOCKS_MAX];
}

static struct block *take_oldest_locked(struct pf_history *history)
{
	struct block *oldest = block_locked(history, 0);

	history->first = (history->first + 1) % BLOCKS_MAX;
	history->count--;
	return oldest;
}

/* Nothing in the oldest block is of the last day: its successor begins before that. */
static bool oldest_is_over_locked(struct pf_history *history, int64_t now_s)
{
	return history->count > 1 &&
	       block_locked(history, 1)->first_s <= now_s - PF_HISTORY_DAY_SECONDS;
}

/* An empty block behind the others, or NULL. */
static struct block *begin_block_locked(struct pf_history *history, int64_t now_s)
{
	struct block *block = NULL;

	while (oldest_is_over_locked(history, now_s) || history->count == BLOCKS_MAX) {
		if (block)
			pf_arena_unmap(block, BLOCK_BYTES);
		block = take_oldest_locked(history);
	}
	if (!block)
		block = pf_arena_map(BLOCK_BYTES);
	if (!block)
		return NULL;
	block->first_s = now_s;
	block->length = 0;
	history->blocks[(history->first + history->count++) % BLOCKS_MAX] = block;
	return block;
}

static void add_locked(struct pf_history *history, const struct row *row)
{
	struct block *block = history->count ? block_locked(history, history->count - 1) : NULL;
	uint8_t bytes[ROW_MAX];
	size_t length = block ? encode(bytes, &history->last, row) : 0;

	if (!block || block->length + length > BLOCK_ROOM) {
		struct row before = before_first(row->s);

		block = begin_block_locked(history, row->s);
		if (!block) {
			pf_count(PF_COUNTER_HISTORY_LOST);
			return;
		}
		length = encode(bytes, &before, row);
	}
	memcpy(block->bytes + block->length, bytes, length);
	block->length += length;
	history->last = *row;
}

void pf_history_add(
    struct pf_history *history, int64_t now_ns, const int64_t value[PF_HISTORY_COLUMN_COUNT])
{
	struct row row = {.s = now_ns / PF_NS_PER_SECOND};

	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++)
		row.grains[i] =
		    value[i] < 0 ? PF_HISTORY_UNKNOWN : value[i] / pf_history_columns[i].grain;
	pf_lock_take(&history->lock);
	if (history->count == 0 || row.s > history->last.s)
		add_locked(history, &row);
	pf_lock_give(&history->lock);
}

int64_t pf_history_tick(struct pf_history *history, struct pf_live *live, int64_t now_ns)
{
	int64_t value[PF_HISTORY_COLUMN_COUNT];
	int64_t awake_ns;

	if (now_ns < history->due_ns)
		return history->due_ns;
	awake_ns = pf_clock_ns(CLOCK_BOOTTIME);
	/* Its descriptors went with it: nothing of it could be written any more. */
	if (live->door->nobody_left && live->door->nobody_left())
		_exit(0);
	pf_pulse_take(live, value);
	pf_history_add(history, awake_ns, value);
	/* At the next whole second of the clock that counts sleep: never a hair before it. */
	history->due_ns = now_ns + PF_NS_PER_SECOND - awake_ns % PF_NS_PER_SECOND;
	return history->due_ns;
}

/* ---- reading ---- */

struct reading {
	struct pf_history_rows *out;
	int64_t from_s, step_s;
	int64_t real_ns; /* of second 0, since the epoch */
	int64_t bucket;  /* of the last row of `out` */
	int error;
};

static int64_t value_of(const struct row *row, int column)
{
	if (row->grains[column] < 0)
		return PF_HISTORY_UNKNOWN;
	return row->grains[column] * pf_history_columns[column].grain;
}

static void merge(struct pf_history_row *into, const struct row *row)
{
	for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++) {
		int64_t value = value_of(row, i);

		if (pf_history_columns[i].counter || value > into->value[i])
			into->value[i] = value;
	}
}

static void take(struct reading *r, const struct row *row)
{
	struct pf_history_rows *out = r->out;
	struct pf_history_row *into;
	int64_t bucket = row->s / r->step_s;

	if (row->s < r->from_s || r->error)
		return;
	if (out->count == 0 || bucket != r->bucket) {
		r->error = pf_vec_reserve(
		    (void **)&out->row, &out->capacity, sizeof(*out->row), out->count + 1);
		if (r->error)
			return;
		into = &out->row[out->count++];
		for (int i = 0; i < PF_HISTORY_COLUMN_COUNT; i++)
			into->value[i] = PF_HISTORY_UNKNOWN;
		r->bucket = bucket;
	}
	into = &out->row[out->count - 1];
	into->time_ns = r->real_ns + row->s * PF_NS_PER_SECOND;
	merge(into, row);
}

/* From the first whole step on, so that there are never more rows than wanted, and a row is the same
 * whenever it is read. */
static void choose_rows_locked(
    struct pf_history *history, int64_t seconds, size_t rows_max, struct reading *r)
{
	int64_t oldest_s = block_locked(history, 0)->first_s;
	int64_t span;

	if (seconds <= 0 || seconds > PF_HISTORY_DAY_SECONDS)
		seconds = PF_HISTORY_DAY_SECONDS;
	r->from_s = history->last.s - seconds + 1;
	if (r->from_s < oldest_s)
		r->from_s = oldest_s;
	span = history->last.s - r->from_s + 1;
	if (rows_max && rows_max < (uint64_t)span)
		r->step_s = (span + (int64_t)rows_max - 1) / (int64_t)rows_max;
	r->from_s = (r->from_s + r->step_s - 1) / r->step_s * r->step_s;
}

static void read_locked(struct pf_history *history, struct reading *r)
{
	for (size_t i = 0; i < history->count; i++) {
		const struct block *block = block_locked(history, i);
		const uint8_t *at = block->bytes, *end = block->bytes + block->length;
		struct row row = before_first(block->first_s);

		/* All of it is older than what is wanted. */
		if (i + 1 < history->count && block_locked(history, i + 1)->first_s <= r->from_s)
			continue;
		while (at < end) {
			at = decode(at, &row);
			take(r, &row);
		}
	}
}

int pf_history_read(
    struct pf_history *history, int64_t seconds, size_t rows_max, struct pf_history_rows *out)
{
	struct reading r = {
	    .out = out,
	    .step_s = 1,
	    .real_ns = pf_clock_real_ns() - pf_clock_ns(CLOCK_BOOTTIME),
	};

	pf_lock_take(&history->lock);
	if (history->count) {
		choose_rows_locked(history, seconds, rows_max, &r);
		read_locked(history, &r);
	}
	pf_lock_give(&history->lock);
	out->step_seconds = r.step_s;
	return r.error;
}

int64_t pf_history_bytes(struct pf_history *history)
{
	int64_t bytes;

	pf_lock_take(&history->lock);
	bytes = (int64_t)sizeof(*history) + (int64_t)history->count * BLOCK_BYTES;
	pf_lock_give(&history->lock);
	return bytes;
}
