/* pprof_read: profile.proto, gzipped or plain, back into a profile, so that every view works on
 * saved ones.
 *
 * Files come from anywhere: every reference is checked, size and memory are bounded. Here a
 * location is known by its address; locations of other tools that have none, or share one, get
 * addresses that no code can have. drop_frames and keep_frames are not kept.
 */
#include "base/buf.h"
#include "base/memory.h"
#include "render/gzip.h"
#include "render/index.h"
#include "render/profile.pb-c.h"
#include "render/render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef Perftools__Profiles__Profile message;
typedef Perftools__Profiles__Location location_message;

/* 100,000 stacks of 100 frames are 25 MB, and 110 MB decoded. */
#define PLAIN_BYTES_MAX   ((size_t)512 << 20)
#define DECODED_BYTES_MAX ((size_t)2 << 30)

/* Not canonical on any machine: bits 63 and 62 differ from what lies below. */
#define MADE_UP_ADDRESS 0xa000000000000000ull

/* ---- memory for the decoded message: taken in chunks, given back at once ---- */

enum { CHUNK_BYTES = 1 << 20 };

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char bytes[];
};

struct pool {
	struct chunk *chunks;
	size_t total;
	bool full;
};

static void *pool_take(void *pool_pointer, size_t size)
{
	struct pool *pool = pool_pointer;
	struct chunk *c = pool->chunks;

	size = (size + 15) & ~(size_t)15;
	if (!c || size > c->size - c->used) {
		size_t fresh = size > CHUNK_BYTES ? size : CHUNK_BYTES;

		if (fresh > DECODED_BYTES_MAX - pool->total ||
		    !(c = pf_memory_new(1, sizeof(*c) + fresh))) {
			pool->full = true;
			return NULL;
		}
		*c = (struct chunk){.next = pool->chunks, .size = fresh};
		pool->chunks = c;
		pool->total += fresh;
	}
	c->used += size;
	return c->bytes + c->used - size;
}

static void pool_give(void *pool, void *at)
{
}

static void pool_finish(struct pool *pool)
{
	struct chunk *next;

	for (struct chunk *c = pool->chunks; c; c = next) {
		next = c->next;
		pf_memory_free(c);
	}
}

/* ---- reading ---- */

struct reader {
	const message *m;
	struct pf_profile *out;
	int error;                      /* 0 or the first -errno */
	struct pf_index by_id;          /* locations, by their id */
	struct pf_index by_address;     /* locations, by the address they have here */
	uint64_t *addresses;            /* of each location, here */
	struct pf_index mappings_by_id; /* the same numbers as in `out` */
	struct pf_index functions_by_id;
	int64_t sums[PF_VALUES_MAX]; /* of all values, without their signs */
};

static void fail(struct reader *r, int error)
{
	if (r->error == 0)
		r->error = error;
}

static const char *string(struct reader *r, int64_t number)
{
	if (number >= 0 && (uint64_t)number < r->m->n_string_table)
		return r->m->string_table[number];
	fail(r, -EINVAL);
	return "";
}

/* Numbers a table's entries by id; ids must be there, once. */
#define NUMBER_BY_ID(r, index, table, same)                                                        \
	for (size_t i = 0; i < (r)->m->n_##table; i++)                                             \
	number_id(r, index, (r)->m->table[i]->id, i, same, (r)->m->table)

static void number_id(struct reader *r, struct pf_index *index, uint64_t id, size_t expected,
    pf_index_same_fn *same, const void *table)
{
	uint32_t number = pf_index_put(index, pf_hash_number(id), same, table, &id);

	if (number == PF_INDEX_FULL)
		fail(r, -ENOMEM);
	else if (id == 0 || number != expected)
		fail(r, -EINVAL);
}

static bool same_mapping(const void *table, uint32_t number, const void *key)
{
	return ((Perftools__Profiles__Mapping *const *)table)[number]->id == *(const uint64_t *)key;
}

static bool same_location(const void *table, uint32_t number, const void *key)
{
	return ((location_message *const *)table)[number]->id == *(const uint64_t *)key;
}

static bool same_function(const void *table, uint32_t number, const void *key)
{
	return ((Perftools__Profiles__Function *const *)table)[number]->id ==
	       *(const uint64_t *)key;
}

static bool same_address(const void *addresses, uint32_t number, const void *key)
{
	return ((const uint64_t *)addresses)[number] == *(const uint64_t *)key;
}

static void read_head(struct reader *r)
{
	const message *m = r->m;
	struct pf_profile *out = r->out;

	if (m->n_string_table == 0 || m->string_table[0][0])
		fail(r, -EINVAL);
	if (m->n_sample_type == 0)
		fail(r, -EINVAL);
	if (m->n_sample_type > PF_VALUES_MAX)
		fail(r, -E2BIG);
	for (size_t i = 0; i < m->n_sample_type && r->error == 0; i++) {
		const Perftools__Profiles__ValueType *type = m->sample_type[i];

		pf_profile_add_type(out, string(r, type->type), string(r, type->unit));
		if (m->default_sample_type && type->type == m->default_sample_type)
			out->default_type = (int32_t)i;
	}
	if (m->period_type)
		pf_profile_set_period(out, string(r, m->period_type->type),
		    string(r, m->period_type->unit), m->period);
	out->period = m->period;
	out->time_ns = m->time_nanos;
	out->duration_ns = m->duration_nanos;
	if (m->drop_frames)
		out->drop_frames = pf_profile_string(out, string(r, m->drop_frames));
	/* Only profiles by time catch functions in their middle. */
	out->leaf_is_return =
	    m->n_sample_type && strcmp(string(r, m->sample_type[0]->type), "samples") != 0;
	for (size_t i = 0; i < m->n_comment; i++)
		pf_profile_comment(out, "%s", string(r, m->comment[i]));
}

static void read_mappings(struct reader *r)
{
	NUMBER_BY_ID(r, &r->mappings_by_id, mapping, same_mapping);
	for (size_t i = 0; i < r->m->n_mapping && r->error == 0; i++) {
		const Perftools__Profiles__Mapping *from = r->m->mapping[i];
		struct pf_mapping *to;

		pf_profile_add_mapping(r->out, from->memory_start, from->memory_limit,
		    from->file_offset, string(r, from->filename), string(r, from->build_id));
		if (r->out->error)
			return;
		to = &r->out->mappings[i];
		to->has_functions = from->has_functions;
		to->has_filenames = from->has_filenames;
		to->has_line_numbers = from->has_line_numbers;
		to->has_inline_frames = from->has_inline_frames;
	}
}

static bool is_marker(struct reader *r, const location_message *l)
{
	return l->address && l->address < PF_PC_MARKER_END && l->mapping_id == 0;
}

/* Gives every location an address of its own. */
static void read_addresses(struct reader *r)
{
	r->addresses = pf_memory_new(r->m->n_location + 1, sizeof(*r->addresses));
	if (!r->addresses) {
		fail(r, -ENOMEM);
		return;
	}
	NUMBER_BY_ID(r, &r->by_id, location, same_location);
	for (size_t i = 0; i < r->m->n_location && r->error == 0; i++) {
		const location_message *l = r->m->location[i];
		uint64_t address = l->address;

		if ((address < PF_PC_MARKER_END && !is_marker(r, l)) ||
		    pf_index_get(&r->by_address, pf_hash_number(address), same_address,
			r->addresses, &address) != PF_INDEX_FULL)
			address = MADE_UP_ADDRESS + i;
		r->addresses[i] = address;
		if (pf_index_put(&r->by_address, pf_hash_number(address), same_address,
			r->addresses, &address) != i)
			fail(r, r->by_address.count > i ? -EINVAL : -ENOMEM);
	}
}

static void read_labels(struct reader *r, const Perftools__Profiles__Sample *from)
{
	for (size_t i = 0; i < from->n_label; i++) {
		const Perftools__Profiles__Label *l = from->label[i];
		const char *key = string(r, l->key);

		if (l->str)
			pf_profile_label_str(r->out, key, string(r, l->str));
		else
			pf_profile_label_num(
			    r->out, key, l->num, l->num_unit ? string(r, l->num_unit) : NULL);
	}
}

/* Views add values up in any order and look at them without their sign: that must fit. */
static void check_values(struct reader *r, const Perftools__Profiles__Sample *from)
{
	if (from->n_value != r->m->n_sample_type) {
		fail(r, -EINVAL);
		return;
	}
	for (size_t i = 0; i < from->n_value; i++) {
		int64_t value = from->value[i];

		if (value == INT64_MIN ||
		    __builtin_add_overflow(r->sums[i], llabs(value), &r->sums[i]))
			fail(r, -EINVAL);
	}
}

static void read_samples(struct reader *r)
{
	PF_SCOPED(pf_buf) stack = PF_BUF_INIT;

	for (size_t i = 0; i < r->m->n_sample && r->error == 0; i++) {
		const Perftools__Profiles__Sample *from = r->m->sample[i];

		check_values(r, from);
		if (r->error)
			return;
		pf_buf_clear(&stack);
		for (size_t k = 0; k < from->n_location_id; k++) {
			uint64_t id = from->location_id[k];
			uint32_t number = pf_index_get(
			    &r->by_id, pf_hash_number(id), same_location, r->m->location, &id);

			if (number == PF_INDEX_FULL) {
				fail(r, -EINVAL);
				return;
			}
			pf_buf_add(&stack, &r->addresses[number], sizeof(*r->addresses));
		}
		if (stack.error)
			fail(r, stack.error);
		/* malloc's alignment is enough for addresses. */
		pf_profile_add_sample(r->out, (const uint64_t *)(const void *)stack.at,
		    stack.length / sizeof(uint64_t), from->value);
		read_labels(r, from);
	}
}

static void read_line(
    struct reader *r, struct pf_location *to, const Perftools__Profiles__Line *from)
{
	const Perftools__Profiles__Function *f;
	uint64_t id = from->function_id;
	uint32_t number = pf_index_get(
	    &r->functions_by_id, pf_hash_number(id), same_function, r->m->function, &id);

	if (number == PF_INDEX_FULL) {
		fail(r, -EINVAL);
		return;
	}
	f = r->m->function[number];
	pf_profile_add_line(r->out, to, string(r, f->name), string(r, f->system_name),
	    string(r, f->filename), from->line, f->start_line);
}

static void read_locations(struct reader *r)
{
	NUMBER_BY_ID(r, &r->functions_by_id, function, same_function);
	pf_profile_set_locations(r->out);
	for (size_t i = 0; i < r->out->location_count && r->error == 0; i++) {
		struct pf_location *to = &r->out->locations[i];
		uint32_t number = pf_index_get(&r->by_address, pf_hash_number(to->address),
		    same_address, r->addresses, &to->address);
		const location_message *from;
		uint64_t id;

		if (number == PF_INDEX_FULL)
			continue; /* the marker of an empty stack */
		from = r->m->location[number];
		id = from->mapping_id;
		to->mapping = id ? pf_index_get(&r->mappings_by_id, pf_hash_number(id),
				       same_mapping, r->m->mapping, &id) +
				       1
				 : 0;
		if (id && to->mapping == 0) {
			fail(r, -EINVAL);
			return;
		}
		for (size_t k = 0; k < from->n_line; k++)
			read_line(r, to, from->line[k]);
	}
}

static int read_message(struct pf_profile *out, const message *m)
{
	struct reader r = {.m = m, .out = out};

	read_head(&r);
	if (r.error == 0)
		read_mappings(&r);
	if (r.error == 0)
		read_addresses(&r);
	if (r.error == 0)
		read_samples(&r);
	if (r.error == 0)
		read_locations(&r);
	pf_index_finish(&r.by_id);
	pf_index_finish(&r.by_address);
	pf_index_finish(&r.mappings_by_id);
	pf_index_finish(&r.functions_by_id);
	pf_memory_free(r.addresses);
	return r.error ? r.error : out->error;
}

int pf_pprof_read(struct pf_profile *out, const void *bytes, size_t length)
{
	PF_SCOPED(pf_buf) plain = PF_BUF_INIT;
	struct pool pool = {0};
	ProtobufCAllocator allocator = {pool_take, pool_give, &pool};
	const message *m;
	int rc = 0;

	if (length >= 2 && memcmp(bytes, "\x1f\x8b", 2) == 0) {
		rc = pf_gzip_unpack(&plain, bytes, length, PLAIN_BYTES_MAX);
		bytes = plain.at;
		length = plain.length;
	}
	if (rc < 0)
		return rc;
	if (length > PLAIN_BYTES_MAX)
		return -EFBIG;
	m = perftools__profiles__profile__unpack(&allocator, length, bytes);
	rc = m ? read_message(out, m) : pool.full ? -ENOMEM : -EINVAL;
	pool_finish(&pool);
	return rc;
}
