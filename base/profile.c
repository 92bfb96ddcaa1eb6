#include "base/profile.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/sort.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- strings: one copy of each, found by hash, freed all at once ---- */

struct chunk {
	struct chunk *next;
	size_t size, used;
	char bytes[];
};

struct pf_string {
	struct pf_string *next;
	uint64_t hash;
	char text[];
};

struct pf_string_pool {
	size_t count;
	size_t bucket_count; /* a power of two */
	struct pf_string **buckets;
	struct chunk *chunks;
};

#ifdef PF_SMALL
enum { FIRST_BUCKETS = 1, FIRST_CHUNK_BYTES = 16, CHUNK_BYTES_MAX = 64 };
#else
enum { FIRST_BUCKETS = 256, FIRST_CHUNK_BYTES = 2048, CHUNK_BYTES_MAX = 64 * 1024 };
#endif

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv). */
static uint64_t hash_bytes(const void *bytes, size_t length, uint64_t hash)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return hash;
}

static const uint64_t HASH_START = 0xcbf29ce484222325ull;

static bool pool_grow(struct pf_string_pool *pool)
{
	size_t wanted = pool->bucket_count ? pool->bucket_count * 2 : FIRST_BUCKETS;
	struct pf_string **buckets = pf_memory_new(wanted, sizeof(*buckets));

	if (!buckets)
		return false;
	for (size_t i = 0; i < pool->bucket_count; i++) {
		struct pf_string *next;

		for (struct pf_string *s = pool->buckets[i]; s; s = next) {
			struct pf_string **head = &buckets[s->hash & (wanted - 1)];

			next = s->next;
			s->next = *head;
			*head = s;
		}
	}
	pf_memory_free(pool->buckets);
	pool->buckets = buckets;
	pool->bucket_count = wanted;
	return true;
}

/* Room for a string of that length: chunks of twice the size, so that few of them do for many. */
static struct pf_string *pool_room(struct pf_string_pool *pool, size_t length)
{
	size_t bytes = (sizeof(struct pf_string) + length + 8) & ~(size_t)7;
	struct chunk *c = pool->chunks;

	if (!c || bytes > c->size - c->used) {
		size_t size = c && c->size < CHUNK_BYTES_MAX ? c->size * 2
			      : c                            ? CHUNK_BYTES_MAX
							     : FIRST_CHUNK_BYTES;

		if (size < bytes)
			size = bytes;
		c = pf_memory_new(1, sizeof(*c) + size);
		if (!c)
			return NULL;
		*c = (struct chunk){.next = pool->chunks, .size = size};
		pool->chunks = c;
	}
	c->used += bytes;
	return (void *)(c->bytes + c->used - bytes); /* of 8, as all that is handed out */
}

static const char *pool_intern(struct pf_string_pool *pool, const char *text)
{
	size_t length = strlen(text);
	uint64_t hash = hash_bytes(text, length, HASH_START);
	struct pf_string **head;
	struct pf_string *s;

	if (pool->count >= pool->bucket_count && !pool_grow(pool))
		return NULL;
	head = &pool->buckets[hash & (pool->bucket_count - 1)];
	for (s = *head; s; s = s->next)
		if (s->hash == hash && strcmp(s->text, text) == 0)
			return s->text;
	s = pool_room(pool, length);
	if (!s)
		return NULL;
	memcpy(s->text, text, length + 1);
	s->hash = hash;
	s->next = *head;
	*head = s;
	pool->count++;
	return s->text;
}

static void pool_destroy(struct pf_string_pool *pool)
{
	if (!pool)
		return;
	for (struct chunk *c = pool->chunks, *next; c; c = next) {
		next = c->next;
		pf_memory_free(c);
	}
	pf_memory_free(pool->buckets);
	free(pool);
}

const char *pf_profile_string(struct pf_profile *p, const char *text)
{
	const char *own;

	if (!text || !*text)
		return "";
	if (!p->strings)
		p->strings = calloc(1, sizeof(*p->strings));
	own = p->strings ? pool_intern(p->strings, text) : NULL;
	if (own)
		return own;
	p->error = p->error ? p->error : -ENOMEM;
	return "";
}

/* ---- building ---- */

void pf_profile_init(struct pf_profile *p)
{
	*p = (struct pf_profile){.name = "", .default_type = -1};
	p->period_type = (struct pf_value_type){"", ""};
}

struct pf_profile *pf_profile_add_waiting(struct pf_profile *p)
{
	struct pf_profile *waiting = malloc(sizeof(*waiting));

	if (!waiting)
		return NULL;
	pf_profile_init(waiting);
	p->waiting = waiting;
	return waiting;
}

void pf_profile_finish(struct pf_profile *p)
{
	if (p->waiting)
		pf_profile_finish(p->waiting);
	free(p->waiting);
	pf_vec_free(p->samples, p->sample_capacity, sizeof(*p->samples));
	pf_vec_free(p->pcs, p->pc_capacity, sizeof(*p->pcs));
	pf_vec_free(p->labels, p->label_capacity, sizeof(*p->labels));
	pf_vec_free(p->mappings, p->mapping_capacity, sizeof(*p->mappings));
	pf_vec_free(p->locations, p->location_capacity, sizeof(*p->locations));
	pf_vec_free(p->lines, p->line_capacity, sizeof(*p->lines));
	pf_vec_free(p->comments, p->comment_capacity, sizeof(*p->comments));
	pf_vec_free(p->notes, p->note_capacity, sizeof(*p->notes));
	pool_destroy(p->strings);
	memset(p, 0, sizeof(*p));
}

/* Room for `more` items of p->FIELDs: true, or false with the error set (or stuck from before). */
#define ROOM(p, field, more)                                                                       \
	room(p, (void **)&(p)->field##s, &(p)->field##_capacity, sizeof(*(p)->field##s),           \
	    (p)->field##_count + (more))

static bool room(struct pf_profile *p, void **items, size_t *capacity, size_t size, size_t need)
{
	int rc;

	if (p->error)
		return false;
	rc = need > UINT32_MAX ? -EOVERFLOW : pf_vec_reserve(items, capacity, size, need);
	if (rc < 0)
		p->error = rc;
	return rc == 0;
}

void pf_profile_add_type(struct pf_profile *p, const char *type, const char *unit)
{
	if (p->type_count == PF_VALUES_MAX) {
		p->error = p->error ? p->error : -E2BIG;
		return;
	}
	p->types[p->type_count].type = pf_profile_string(p, type);
	p->types[p->type_count].unit = pf_profile_string(p, unit);
	p->type_count++;
}

void pf_profile_set_period(struct pf_profile *p, const char *type, const char *unit, int64_t period)
{
	p->period_type.type = pf_profile_string(p, type);
	p->period_type.unit = pf_profile_string(p, unit);
	p->period = period;
}

void pf_profile_add_sample(
    struct pf_profile *p, const uint64_t *pcs, size_t pc_count, const int64_t *values)
{
	static const uint64_t unknown = PF_PC_UNKNOWN;
	struct pf_sample *s;

	if (pc_count == 0) {
		pcs = &unknown;
		pc_count = 1;
	}
	if (!ROOM(p, sample, 1) || !ROOM(p, pc, pc_count))
		return;
	s = &p->samples[p->sample_count++];
	*s = (struct pf_sample){
	    .pc_first = (uint32_t)p->pc_count,
	    .pc_count = (uint32_t)pc_count,
	    .label_first = (uint32_t)p->label_count,
	};
	memcpy(s->value, values, p->type_count * sizeof(*values));
	memcpy(p->pcs + p->pc_count, pcs, pc_count * sizeof(*pcs));
	p->pc_count += pc_count;
}

static void add_label(struct pf_profile *p, struct pf_label label)
{
	if (p->sample_count == 0 || !ROOM(p, label, 1))
		return;
	p->labels[p->label_count++] = label;
	p->samples[p->sample_count - 1].label_count++;
}

void pf_profile_label_str(struct pf_profile *p, const char *key, const char *value)
{
	add_label(p, (struct pf_label){
			 .key = pf_profile_string(p, key), .str = pf_profile_string(p, value)});
}

void pf_profile_label_num(struct pf_profile *p, const char *key, int64_t value, const char *unit)
{
	add_label(p, (struct pf_label){.key = pf_profile_string(p, key),
			 .num = value,
			 .unit = unit ? pf_profile_string(p, unit) : NULL});
}

void pf_profile_add_mapping(struct pf_profile *p, uint64_t start, uint64_t limit, uint64_t offset,
    const char *path, const char *build_id)
{
	const char *own_path = pf_profile_string(p, path);
	const char *own_id = pf_profile_string(p, build_id);

	if (!ROOM(p, mapping, 1))
		return;
	p->mappings[p->mapping_count++] = (struct pf_mapping){
	    .start = start, .limit = limit, .offset = offset, .path = own_path, .build_id = own_id};
}

void pf_profile_comment(struct pf_profile *p, const char *format, ...)
{
	char text[512];
	const char *own;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	own = pf_profile_string(p, text);
	if (ROOM(p, comment, 1))
		p->comments[p->comment_count++] = own;
}

void pf_profile_note(struct pf_profile *p, const char *format, ...)
{
	char text[512];
	const char *own;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	own = pf_profile_string(p, text);
	if (ROOM(p, note, 1))
		p->notes[p->note_count++] = own;
}

/* ---- locations ---- */

static const char *const marker_names[] = {
    [PF_PC_TRUNCATED] = "[truncated]",
    [PF_PC_NO_UNWIND_INFO] = "[no unwind info]",
    [PF_PC_BAD_MEMORY] = "[bad stack memory]",
    [PF_PC_LOOP] = "[stack loop]",
    [PF_PC_UNKNOWN_REGISTER] = "[unknown register]",
    [PF_PC_LOST] = "[lost]",
    [PF_PC_STACK_STORE_FULL] = "[stack store full]",
    [PF_PC_UNKNOWN] = "[unknown]",
    [PF_PC_NO_STACK] = "[stack not readable]",
    [PF_PC_FIBER] = "[fiber]",
    [PF_PC_NOT_SAMPLED] = "[not sampled]",
    [PF_PC_UNKNOWN_CREATOR] = "[unknown creator]",
};

const char *pf_pc_marker_name(uint64_t pc)
{
	if (pc >= PF_PC_MARKER_END)
		return NULL;
	if (pc < PF_COUNT(marker_names) && marker_names[pc])
		return marker_names[pc];
	return "[unknown]";
}

const struct pf_mapping *pf_profile_mapping(const struct pf_profile *p, uint64_t address)
{
	for (size_t i = 0; i < p->mapping_count; i++)
		if (address >= p->mappings[i].start && address < p->mappings[i].limit)
			return &p->mappings[i];
	return NULL;
}

static int by_address(const void *a, const void *b)
{
	uint64_t x = ((const struct pf_location *)a)->address;
	uint64_t y = ((const struct pf_location *)b)->address;

	return x < y ? -1 : x > y;
}

/* Numbers (+ 1) of locations by their address: most addresses of a profile are repeated, so they
 * are told apart by hash, and only the different ones are sorted. */
struct address_table {
	uint32_t *slots;
	size_t slot_count; /* a power of two, or 0 */
};

static uint32_t *address_slot(
    const struct address_table *t, const struct pf_profile *p, uint64_t address)
{
	size_t at = (address * 0x9e3779b97f4a7c15ull >> 20) & (t->slot_count - 1);

	while (t->slots[at] && p->locations[t->slots[at] - 1].address != address)
		at = (at + 1) & (t->slot_count - 1);
	return &t->slots[at];
}

static bool address_table_grow(struct address_table *t, const struct pf_profile *p)
{
	struct address_table grown = {
	    .slot_count = t->slot_count ? t->slot_count * 2 : FIRST_BUCKETS};

	grown.slots = pf_memory_new(grown.slot_count, sizeof(*grown.slots));
	if (!grown.slots)
		return false;
	for (size_t i = 0; i < p->location_count; i++)
		*address_slot(&grown, p, p->locations[i].address) = (uint32_t)i + 1;
	pf_memory_free(t->slots);
	*t = grown;
	return true;
}

static void add_location(struct pf_profile *p, struct address_table *t, uint64_t address)
{
	uint32_t *slot;

	if (p->location_count * 2 >= t->slot_count && !address_table_grow(t, p)) {
		p->error = p->error ? p->error : -ENOMEM;
		return;
	}
	slot = address_slot(t, p, address);
	if (*slot || !ROOM(p, location, 1))
		return;
	p->locations[p->location_count++] = (struct pf_location){.address = address};
	*slot = (uint32_t)p->location_count;
}

bool pf_label_is_address(const struct pf_label *label)
{
	return !label->str && label->unit && strcmp(label->unit, "address") == 0;
}

void pf_profile_set_locations(struct pf_profile *p)
{
	struct address_table table = {0};

	p->location_count = 0;
	p->line_count = 0;
	for (size_t i = 0; i < p->pc_count && !p->error; i++)
		add_location(p, &table, p->pcs[i]);
	for (size_t i = 0; i < p->label_count && !p->error; i++)
		if (pf_label_is_address(&p->labels[i]))
			add_location(p, &table, (uint64_t)p->labels[i].num);
	pf_memory_free(table.slots);
	if (p->location_count == 0)
		return;
	pf_sort(p->locations, p->location_count, sizeof(*p->locations), by_address);
	for (size_t i = 0; i < p->location_count; i++) {
		const struct pf_mapping *m = pf_profile_mapping(p, p->locations[i].address);

		p->locations[i].mapping = m ? (uint32_t)(m - p->mappings) + 1 : 0;
	}
}

void pf_profile_add_line(struct pf_profile *p, struct pf_location *location, const char *function,
    const char *system_name, const char *file, int64_t line, int64_t start_line)
{
	struct pf_line own = {
	    .function = pf_profile_string(p, function),
	    .system_name = pf_profile_string(p, system_name),
	    .file = pf_profile_string(p, file),
	    .line = line,
	    .start_line = start_line,
	};

	if (!ROOM(p, line, 1))
		return;
	if (location->line_count++ == 0)
		location->line_first = (uint32_t)p->line_count;
	p->lines[p->line_count++] = own;
}

const struct pf_location *pf_profile_location(const struct pf_profile *p, uint64_t address)
{
	size_t low = 0, high = p->location_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->locations[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < p->location_count && p->locations[low].address == address)
		return &p->locations[low];
	return NULL;
}
