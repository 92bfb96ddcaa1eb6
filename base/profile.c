#include "base/profile.h"
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- strings: one copy of each, found by hash, freed all at once ---- */

struct pf_string {
	struct pf_string *next;
	uint64_t hash;
	char text[];
};

struct pf_string_pool {
	size_t count;
	size_t bucket_count; /* a power of two */
	struct pf_string **buckets;
};

#ifdef PF_SMALL
enum { FIRST_BUCKETS = 1 };
#else
enum { FIRST_BUCKETS = 256 };
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
	struct pf_string **buckets = calloc(wanted, sizeof(*buckets));

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
	free(pool->buckets);
	pool->buckets = buckets;
	pool->bucket_count = wanted;
	return true;
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
	s = malloc(sizeof(*s) + length + 1);
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
	for (size_t i = 0; i < pool->bucket_count; i++) {
		struct pf_string *next;

		for (struct pf_string *s = pool->buckets[i]; s; s = next) {
			next = s->next;
			free(s);
		}
	}
	free(pool->buckets);
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

	grown.slots = calloc(grown.slot_count, sizeof(*grown.slots));
	if (!grown.slots)
		return false;
	for (size_t i = 0; i < p->location_count; i++)
		*address_slot(&grown, p, p->locations[i].address) = (uint32_t)i + 1;
	free(t->slots);
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
	free(table.slots);
	if (p->location_count == 0)
		return;
	qsort(p->locations, p->location_count, sizeof(*p->locations), by_address);
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

/* ---- sums ---- */

uint32_t pf_profile_default_type(const struct pf_profile *p)
{
	if (p->default_type >= 0 && (uint32_t)p->default_type < p->type_count)
		return (uint32_t)p->default_type;
	return p->type_count ? p->type_count - 1 : 0;
}

int64_t pf_profile_total(const struct pf_profile *p, uint32_t type)
{
	int64_t total = 0;

	for (size_t i = 0; i < p->sample_count; i++)
		total += p->samples[i].value[type];
	return total;
}

static int compare_labels(
    const struct pf_profile *p, const struct pf_sample *a, const struct pf_sample *b)
{
	if (a->label_count != b->label_count)
		return a->label_count < b->label_count ? -1 : 1;
	for (uint32_t i = 0; i < a->label_count; i++) {
		const struct pf_label *x = &p->labels[a->label_first + i];
		const struct pf_label *y = &p->labels[b->label_first + i];
		int order = strcmp(x->key, y->key);

		if (order == 0)
			order = strcmp(x->str ? x->str : "", y->str ? y->str : "");
		if (order == 0 && x->num != y->num)
			order = x->num < y->num ? -1 : 1;
		if (order != 0)
			return order;
	}
	return 0;
}

static int compare_stacks(
    const struct pf_profile *p, const struct pf_sample *a, const struct pf_sample *b)
{
	if (a->pc_count != b->pc_count)
		return a->pc_count < b->pc_count ? -1 : 1;
	for (uint32_t i = 0; i < a->pc_count; i++) {
		uint64_t x = p->pcs[a->pc_first + i], y = p->pcs[b->pc_first + i];

		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static int by_identity(const void *a, const void *b, void *profile)
{
	int order = compare_stacks(profile, a, b);

	return order ? order : compare_labels(profile, a, b);
}

static int by_value(const void *a, const void *b, void *profile)
{
	uint32_t type = pf_profile_default_type(profile);
	int64_t x = ((const struct pf_sample *)a)->value[type];
	int64_t y = ((const struct pf_sample *)b)->value[type];

	if (x != y)
		return x > y ? -1 : 1;
	return by_identity(a, b, profile);
}

static bool all_zero(const struct pf_profile *p, const struct pf_sample *s)
{
	for (uint32_t i = 0; i < p->type_count; i++)
		if (s->value[i] != 0)
			return false;
	return true;
}

void pf_profile_merge_same(struct pf_profile *p)
{
	size_t kept = 0;

	if (p->error || p->sample_count == 0)
		return;
	qsort_r(p->samples, p->sample_count, sizeof(*p->samples), by_identity, p);
	for (size_t i = 1; i < p->sample_count; i++) {
		struct pf_sample *last = &p->samples[kept];

		if (by_identity(last, &p->samples[i], p) != 0) {
			p->samples[++kept] = p->samples[i];
			continue;
		}
		for (uint32_t k = 0; k < p->type_count; k++)
			last->value[k] += p->samples[i].value[k];
	}
	p->sample_count = kept + 1;
	kept = 0;
	for (size_t i = 0; i < p->sample_count; i++)
		if (!all_zero(p, &p->samples[i]))
			p->samples[kept++] = p->samples[i];
	p->sample_count = kept;
	qsort_r(p->samples, p->sample_count, sizeof(*p->samples), by_value, p);
}

void pf_profile_drop_label(struct pf_profile *p, const char *key)
{
	for (size_t i = 0; i < p->sample_count; i++) {
		struct pf_sample *s = &p->samples[i];
		struct pf_label *labels = p->labels + s->label_first;
		uint32_t kept = 0;

		for (uint32_t k = 0; k < s->label_count; k++)
			if (strcmp(labels[k].key, key) != 0)
				labels[kept++] = labels[k];
		s->label_count = kept;
	}
}

/* ---- the difference of two: a module may have been closed between them, and another have come ---- */

static bool is_same_mapping(const struct pf_mapping *a, const struct pf_mapping *b)
{
	return a->offset == b->offset && a->limit - a->start == b->limit - b->start &&
	       strcmp(a->path, b->path) == 0 && strcmp(a->build_id, b->build_id) == 0;
}

/* Where p has what `wanted` is a mapping of: at the same place if it can be. */
static const struct pf_mapping *find_mapping(
    const struct pf_profile *p, const struct pf_mapping *wanted)
{
	const struct pf_mapping *found = pf_profile_mapping(p, wanted->start);

	if (found && found->start == wanted->start && is_same_mapping(found, wanted))
		return found;
	for (size_t i = 0; i < p->mapping_count; i++)
		if (is_same_mapping(&p->mappings[i], wanted))
			return &p->mappings[i];
	return NULL;
}

/* Adds it where nothing else is: at its own place, or behind everything. The start. */
static uint64_t add_elsewhere(struct pf_profile *p, const struct pf_mapping *m)
{
	enum { PLACE_BITS = 21 };
	uint64_t start = m->start, highest = 0;

	for (size_t i = 0; i < p->mapping_count; i++) {
		const struct pf_mapping *other = &p->mappings[i];

		if (other->start < m->limit && m->start < other->limit)
			start = 0;
		if (other->limit > highest && other->limit < UINT64_MAX >> 1)
			highest = other->limit;
	}
	if (start == 0)
		start = ((highest >> PLACE_BITS) + 1) << PLACE_BITS;
	pf_profile_add_mapping(
	    p, start, start + (m->limit - m->start), m->offset, m->path, m->build_id);
	return start;
}

/* The address in p of what is at `address` in `from`. */
static uint64_t translate(struct pf_profile *p, const struct pf_profile *from, uint64_t address)
{
	const struct pf_mapping *m = pf_profile_mapping(from, address);
	const struct pf_mapping *here = m ? find_mapping(p, m) : NULL;

	if (!m)
		return address;
	return address - m->start + (here ? here->start : add_elsewhere(p, m));
}

/* Copies one sample of `from` with its values multiplied by -1. */
static void add_negated(
    struct pf_profile *p, const struct pf_profile *from, const struct pf_sample *s)
{
	int64_t values[PF_VALUES_MAX];

	for (uint32_t k = 0; k < p->type_count; k++)
		values[k] = -s->value[k];
	pf_profile_add_sample(p, from->pcs + s->pc_first, s->pc_count, values);
	if (p->error)
		return;
	for (uint32_t i = 0; i < s->pc_count; i++) {
		uint64_t *pc = &p->pcs[p->samples[p->sample_count - 1].pc_first + i];

		*pc = translate(p, from, *pc);
	}
	for (uint32_t i = 0; i < s->label_count; i++) {
		const struct pf_label *l = &from->labels[s->label_first + i];

		if (l->str)
			pf_profile_label_str(p, l->key, l->str);
		else if (pf_label_is_address(l))
			pf_profile_label_num(
			    p, l->key, (int64_t)translate(p, from, (uint64_t)l->num), l->unit);
		else
			pf_profile_label_num(p, l->key, l->num, l->unit);
	}
}

void pf_profile_subtract(struct pf_profile *p, const struct pf_profile *before)
{
	int64_t start_ns, duration_ns;

	if (p->type_count != before->type_count) {
		p->error = p->error ? p->error : -EINVAL;
		return;
	}
	for (size_t i = 0; i < before->sample_count; i++)
		add_negated(p, before, &before->samples[i]);
	/* Two moments, or two stretches from the same beginning. */
	start_ns = before->time_ns + before->duration_ns;
	duration_ns = p->time_ns + p->duration_ns - start_ns;
	if (p->duration_ns)
		p->time_ns = start_ns;
	p->duration_ns = duration_ns;
	pf_profile_merge_same(p);
}
