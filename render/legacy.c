/* Legacy: the texts of Go's ?debug=1, in the dialect that `go tool pprof` and gperftools' perl
 * google-pprof both read (reference/pprof.md 3.5).
 *
 *     heap        heap profile: 15: 1500 [37: 3564] @ heap_v2/1
 *     mutex       --- contention:
 *     the rest    threads profile: total 4        which google-pprof has no reader for
 *
 * then records (numbers @ addresses) with the names as `#` comments, then what else there is to say
 * as comments, too (settings, losses, what was added for debug=1), then the memory map. Readers
 * take the addresses for return addresses and subtract one, so one is added here (rule D9), to an
 * interrupted leaf as well. Values are already scaled: rate 1 tells the reader so. Labels have no
 * place in these texts; threads of one stack are one record.
 */
#include "render/legacy.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/sort.h"
#include "render/frame.h"
#include "render/render.h"
#include "render/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct record {
	uint32_t sample;
	int64_t value[PF_VALUES_MAX];
};

struct text {
	const struct pf_profile *in;
	const struct pf_frames *frames;
	uint32_t sort_by; /* column */
	struct record *records;
	size_t count;
};

struct dialect {
	const char *first_type; /* of the profile; NULL: any */
	uint32_t type_count;
	uint32_t sort_by;
	void (*head)(struct pf_buf *out, const struct text *t);
	/* The numbers of a record, up to " @"; false: it cannot be said in this dialect. */
	bool (*numbers)(struct pf_buf *out, const struct record *r);
	const char *map_head;
};

static int64_t total(const struct text *t, uint32_t column)
{
	int64_t sum = 0;

	for (size_t i = 0; i < t->count; i++)
		sum += t->records[i].value[column];
	return sum;
}

/* ---- heap: alloc_objects, alloc_space, inuse_objects, inuse_space ---- */

static void heap_head(struct pf_buf *out, const struct text *t)
{
	int64_t alloc = total(t, 1), inuse = total(t, 3);

	/* Equal pairs would be read as a profile of two columns. */
	alloc += alloc == inuse;
	pf_buf_printf(out,
	    "heap profile: %" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "] @ heap_v2/1\n",
	    total(t, 2), inuse, total(t, 0), alloc);
}

static bool heap_numbers(struct pf_buf *out, const struct record *r)
{
	for (int i = 0; i < 4; i++)
		if (r->value[i] < 0)
			return false;
	/* Bytes without objects are an error to the reader. */
	if ((r->value[0] == 0 && r->value[1] != 0) || (r->value[2] == 0 && r->value[3] != 0))
		return false;
	pf_buf_printf(out, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "]", r->value[2],
	    r->value[3], r->value[0], r->value[1]);
	return true;
}

/* ---- mutex and block: contentions, delay in nanoseconds ---- */

static void contention_head(struct pf_buf *out, const struct text *t)
{
	pf_buf_str(out, "--- contention:\ncycles/second=1000000000\nsampling period=1\n# ");
	pf_utf8_add_plain(out, t->in->name);
	pf_buf_char(out, '\n');
}

static bool contention_numbers(struct pf_buf *out, const struct record *r)
{
	if (r->value[0] < 1 || r->value[1] < 0)
		return false;
	pf_buf_printf(out, "%" PRId64 " %" PRId64, r->value[1], r->value[0]);
	return true;
}

/* ---- the rest: the first column ---- */

static void count_head(struct pf_buf *out, const struct text *t)
{
	pf_utf8_add_plain(out, t->in->name);
	pf_buf_printf(out, " profile: total %" PRId64 "\n", total(t, 0));
}

static bool count_numbers(struct pf_buf *out, const struct record *r)
{
	if (r->value[0] < 1)
		return false;
	pf_buf_printf(out, "%" PRId64, r->value[0]);
	return true;
}

static const struct dialect dialects[] = {
    {"alloc_objects", 4, 3, heap_head, heap_numbers, "MAPPED_LIBRARIES:"},
    {"contentions", 2, 1, contention_head, contention_numbers, "--- Memory map: ---"},
    {NULL, 0, 0, count_head, count_numbers, "--- Memory map: ---"},
};

static const struct dialect *dialect_of(const struct pf_profile *in)
{
	const struct dialect *d = dialects;

	while (d->first_type &&
	       (in->type_count != d->type_count || strcmp(in->types[0].type, d->first_type) != 0))
		d++;
	return d;
}

bool pf_legacy_is_count(const struct pf_profile *in)
{
	return !dialect_of(in)->first_type;
}

/* ---- records ---- */

static int by_stack(const void *a, const void *b, void *profile)
{
	const struct pf_profile *p = profile;
	const struct pf_sample *x = &p->samples[((const struct record *)a)->sample];
	const struct pf_sample *y = &p->samples[((const struct record *)b)->sample];

	if (x->pc_count != y->pc_count)
		return x->pc_count < y->pc_count ? -1 : 1;
	return memcmp(p->pcs + x->pc_first, p->pcs + y->pc_first, x->pc_count * sizeof(*p->pcs));
}

static int by_value(const void *a, const void *b, void *text)
{
	const struct text *t = text;
	const struct record *x = a, *y = b;

	if (x->value[t->sort_by] != y->value[t->sort_by])
		return x->value[t->sort_by] > y->value[t->sort_by] ? -1 : 1;
	return by_stack(a, b, (void *)(uintptr_t)t->in);
}

/* One record per stack, sorted. Heap records of one stack stay apart by block size, since readers
 * show the mean. 0 or -ENOMEM. */
static int fill_records(struct text *t, bool join)
{
	size_t kept = 0;

	t->records = pf_memory_new(t->in->sample_count + 1, sizeof(*t->records));
	if (!t->records)
		return -ENOMEM;
	for (size_t i = 0; i < t->in->sample_count; i++) {
		t->records[i].sample = (uint32_t)i;
		memcpy(t->records[i].value, t->in->samples[i].value, sizeof(t->records[i].value));
	}
	t->count = t->in->sample_count;
	if (join && t->count) {
		void *in = (void *)(uintptr_t)t->in;

		pf_sort_with(t->records, t->count, sizeof(*t->records), by_stack, in);
		for (size_t i = 1; i < t->count; i++) {
			if (by_stack(&t->records[kept], &t->records[i], in) != 0)
				t->records[++kept] = t->records[i];
			else
				for (uint32_t k = 0; k < t->in->type_count; k++)
					t->records[kept].value[k] += t->records[i].value[k];
		}
		t->count = kept + 1;
	}
	pf_sort_with(t->records, t->count, sizeof(*t->records), by_value, t);
	return 0;
}

static void draw_names(struct pf_buf *out, const struct text *t, uint64_t address)
{
	const struct pf_places *places = &t->frames->places;
	const struct pf_mapping *m = places->items[pf_places_find(places, address)].mapping;
	uint32_t count;
	const uint32_t *ids = pf_frames_at(t->frames, address, &count);

	for (uint32_t i = 0; i < count; i++) {
		const struct pf_frame *frame = &t->frames->items[ids[i]];

		pf_buf_printf(out, "#\t%#" PRIx64 "\t", address);
		pf_utf8_add_plain(out, frame->function);
		if (frame->file[0]) {
			pf_buf_char(out, '\t');
			pf_utf8_add_plain(out, frame->file);
			pf_buf_printf(out, ":%" PRId64, frame->line);
		} else if (m) {
			pf_buf_char(out, '\t');
			pf_utf8_add_plain(out, m->path);
			pf_buf_printf(out, "+%#" PRIx64, address - m->start + m->offset);
		}
		pf_buf_char(out, '\n');
	}
}

static void draw_record(
    struct pf_buf *out, const struct text *t, const struct dialect *d, const struct record *r)
{
	const struct pf_sample *s = &t->in->samples[r->sample];
	const uint64_t *pcs = t->in->pcs + s->pc_first;

	if (!d->numbers(out, r))
		return;
	pf_buf_str(out, " @");
	for (uint32_t i = 0; i < s->pc_count; i++)
		pf_buf_printf(out, " %#" PRIx64, pcs[i] + 1);
	pf_buf_char(out, '\n');
	for (uint32_t i = 0; i < s->pc_count; i++)
		draw_names(out, t, pcs[i]);
	pf_buf_char(out, '\n');
}

/* As Go's `# runtime.MemStats`: readers skip it. */
static void draw_footer(struct pf_buf *out, const struct pf_profile *in)
{
	for (size_t i = 0; i < in->comment_count; i++) {
		pf_buf_str(out, "# ");
		pf_utf8_add_plain(out, in->comments[i]);
		pf_buf_char(out, '\n');
	}
}

void pf_legacy_map(struct pf_buf *out, const struct pf_profile *in)
{
	for (size_t i = 0; i < in->mapping_count; i++) {
		const struct pf_mapping *m = &in->mappings[i];

		pf_buf_printf(out, "%08" PRIx64 "-%08" PRIx64 " r-xp %08" PRIx64 " 00:00 0 ",
		    m->start, m->limit, m->offset);
		pf_utf8_add_plain(out, m->path);
		pf_buf_char(out, '\n');
	}
}

void pf_render_legacy(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	const struct dialect *d = dialect_of(in);
	struct pf_frames frames;
	struct text t = {.in = in, .frames = &frames, .sort_by = d->sort_by};
	int rc = query->lines ? pf_frames_init_by_line(&frames, in) : pf_frames_init(&frames, in);

	if (rc == 0)
		rc = fill_records(&t, d->numbers != heap_numbers);
	if (rc == 0) {
		d->head(out, &t);
		for (size_t i = 0; i < t.count; i++)
			draw_record(out, &t, d, &t.records[i]);
		draw_footer(out, in);
		pf_buf_printf(out, "%s\n", d->map_head);
		pf_legacy_map(out, in);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_memory_free(t.records);
	pf_frames_finish(&frames);
}
