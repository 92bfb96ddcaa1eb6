#include "sampler/window.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/profile.h"
#include "base/sort.h"
#include "sampler/label.h"
#include "sampler/stack.h"
#include "sampler/syscall_name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef PF_SMALL
enum { FIRST_BUCKETS = 1 };
#else
enum { FIRST_BUCKETS = 256 };
#endif

void pf_window_init(struct pf_window *w)
{
	*w = (struct pf_window){0};
}

void pf_window_clear(struct pf_window *w)
{
	pf_vec_free(w->entries, w->capacity, sizeof(*w->entries));
	pf_memory_free(w->buckets);
	pf_window_init(w);
}

/* ---- summing ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
	return hash ^ (hash >> 29);
}

static uint64_t hash_of(const struct pf_record *r)
{
	uint64_t hash = mix(r->start, r->stack | (uint64_t)(uint32_t)r->tid << 32);

	return mix(hash, r->labels | (uint64_t)(uint16_t)r->state << 32 | (uint64_t)r->kind << 48);
}

static bool is_same(const struct pf_record *a, const struct pf_record *b)
{
	return a->stack == b->stack && a->tid == b->tid && a->start == b->start &&
	       a->labels == b->labels && a->state == b->state && a->kind == b->kind &&
	       strcmp(a->name, b->name) == 0;
}

static void chain(struct pf_window *w, uint32_t index)
{
	struct pf_window_entry *entry = &w->entries[index];
	uint32_t *head = &w->buckets[hash_of(&entry->record) & (w->bucket_count - 1)];

	entry->next = *head;
	*head = index + 1;
}

static bool grow_buckets(struct pf_window *w)
{
	size_t wanted = w->bucket_count ? w->bucket_count * 2 : FIRST_BUCKETS;
	uint32_t *buckets = pf_memory_new(wanted, sizeof(*buckets));

	if (!buckets) {
		w->error = -ENOMEM;
		return false;
	}
	pf_memory_free(w->buckets);
	w->buckets = buckets;
	w->bucket_count = wanted;
	for (uint32_t i = 0; i < w->count; i++)
		chain(w, i);
	return true;
}

/* The part of a record that lies in the window; false: none does. */
static bool cut(const struct pf_window *w, const struct pf_record *r, struct pf_record *part)
{
	int64_t from = r->time_ns - r->weight_ns, to = r->time_ns;
	int64_t weight_ns;

	*part = *r;
	if (!r->spans)
		return true;
	if (from < w->since_ns)
		from = w->since_ns;
	if (w->until_ns && to > w->until_ns)
		to = w->until_ns;
	weight_ns = to - from;
	if (weight_ns <= 0)
		return false;
	if (r->count > 1 && weight_ns < r->weight_ns)
		part->count = 1 + (uint32_t)((double)(r->count - 1) * (double)weight_ns /
					     (double)r->weight_ns);
	part->weight_ns = weight_ns;
	return true;
}

void pf_window_add(struct pf_window *w, const struct pf_record *record)
{
	struct pf_window_entry *entry;
	struct pf_record part;
	const struct pf_record *r = &part;

	if (!cut(w, record, &part))
		return;
	if (w->error || (w->count >= w->bucket_count && !grow_buckets(w)))
		return;
	for (uint32_t at = w->buckets[hash_of(r) & (w->bucket_count - 1)]; at; at = entry->next) {
		entry = &w->entries[at - 1];
		if (!is_same(&entry->record, r))
			continue;
		entry->record.weight_ns += r->weight_ns;
		entry->record.nominal_ns += r->nominal_ns;
		entry->record.count += r->count;
		return;
	}
	w->error =
	    pf_vec_reserve((void **)&w->entries, &w->capacity, sizeof(*w->entries), w->count + 1);
	if (w->error)
		return;
	w->entries[w->count] = (struct pf_window_entry){.record = *r};
	chain(w, (uint32_t)w->count++);
}

/* ---- sharing out the rests ---- */

/* Neighbours in the sorted entries: one thread. */
struct person {
	struct pf_window_entry **first;
	size_t count;
	uint64_t start;
	int64_t sampled_ns, nominal_ns, rest_ns;
	int64_t spare_ns; /* what its samples stand for beyond its own time */
};

static int by_person(const void *a, const void *b)
{
	const struct pf_record *x = &(*(struct pf_window_entry *const *)a)->record;
	const struct pf_record *y = &(*(struct pf_window_entry *const *)b)->record;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Gives `ns` to the person's samples, each by its weight; the last takes what rounding leaves. */
static void give(const struct person *p, int64_t ns)
{
	struct pf_window_entry *last = NULL;
	int64_t given = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct pf_window_entry *e = p->first[i];
		int64_t part;

		if (e->record.kind != PF_RECORD_SAMPLE)
			continue;
		part = (int64_t)((double)ns * ((double)e->record.weight_ns + 1) /
				 ((double)p->sampled_ns + (double)p->count));
		e->shared_ns += part;
		given += part;
		last = e;
	}
	if (last)
		last->shared_ns += ns - given;
}

/* Takes `ns` of `all_ns` from the rests of a person without samples. */
static void take(const struct person *p, int64_t ns)
{
	for (size_t i = 0; i < p->count; i++) {
		struct pf_record *r = &p->first[i]->record;
		int64_t part = r->weight_ns < ns ? r->weight_ns : ns;

		r->weight_ns -= part;
		ns -= part;
	}
}

/* Sums one person up and settles it with itself. */
static struct person settle(struct pf_window_entry **first, size_t count)
{
	struct person p = {.first = first, .count = count, .start = first[0]->record.start};
	bool sampled = false;

	for (size_t i = 0; i < count; i++) {
		const struct pf_record *r = &first[i]->record;

		if (r->kind == PF_RECORD_SAMPLE) {
			sampled = true;
			p.sampled_ns += r->weight_ns;
			p.nominal_ns += r->nominal_ns;
		} else if (r->kind == PF_RECORD_REST) {
			p.rest_ns += r->weight_ns;
		}
	}
	if (!sampled)
		return p;
	give(&p, p.rest_ns);
	p.spare_ns = p.nominal_ns - p.sampled_ns - p.rest_ns;
	if (p.spare_ns < 0)
		p.spare_ns = 0;
	for (size_t i = 0; i < count; i++)
		if (first[i]->record.kind == PF_RECORD_REST)
			first[i]->record.weight_ns = 0;
	p.rest_ns = 0;
	return p;
}

/* How far kin may take more than its samples stand for. Were threads met at random, 1 would do; but
 * on a busy machine they tend to start right behind a tick, and short ones are met too rarely. */
enum { KIN_FACTOR = 2 };

/* All persons of one start routine: the unsampled ones' time to the spare ones. */
static void settle_kin(struct person *kin, size_t count)
{
	int64_t owed = 0, spare = 0, moved, left;

	for (size_t i = 0; i < count; i++) {
		owed += kin[i].rest_ns;
		spare += kin[i].spare_ns;
	}
	moved = owed < KIN_FACTOR * spare ? owed : KIN_FACTOR * spare;
	if (moved == 0)
		return;
	left = moved;
	for (size_t i = 0; i < count; i++) {
		int64_t part = (int64_t)((double)moved * (double)kin[i].spare_ns / (double)spare);

		if (kin[i].spare_ns == 0)
			continue;
		part = part < left ? part : left;
		give(&kin[i], part);
		left -= part;
	}
	moved -= left;
	for (size_t i = 0; i < count; i++) {
		int64_t part = kin[i].rest_ns < moved ? kin[i].rest_ns : moved;

		take(&kin[i], part);
		moved -= part;
	}
}

static size_t find_persons(struct pf_window_entry **sorted, size_t count, struct person *persons)
{
	size_t found = 0;

	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && by_person(&sorted[i], &sorted[end]) == 0; end++)
			;
		persons[found++] = settle(&sorted[i], end - i);
	}
	return found;
}

void pf_window_finish(struct pf_window *w)
{
	struct pf_window_entry **sorted = NULL;
	struct person *persons = NULL;
	size_t sorted_room = 0, person_room = 0;
	size_t count;

	if (w->error || w->count == 0)
		return;
	w->error = pf_vec_reserve(
	    (void **)&sorted, &sorted_room, sizeof(struct pf_window_entry *), w->count);
	if (!w->error)
		w->error =
		    pf_vec_reserve((void **)&persons, &person_room, sizeof(*persons), w->count);
	if (w->error)
		goto out;
	for (size_t i = 0; i < w->count; i++)
		sorted[i] = &w->entries[i];
	pf_sort(sorted, w->count, sizeof(*sorted), by_person);
	count = find_persons(sorted, w->count, persons);
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && persons[end].start == persons[i].start; end++)
			;
		settle_kin(&persons[i], end - i);
	}
out:
	pf_vec_free(persons, person_room, sizeof(*persons));
	pf_vec_free(sorted, sorted_room, sizeof(struct pf_window_entry *));
}

/* ---- out ---- */

static void add_stack(struct pf_profile *p, const struct pf_record *r, const int64_t *values)
{
	const uint64_t *pcs;
	uint64_t made[2] = {PF_PC_LOST, r->start};
	uint32_t count = 1;

	switch (r->kind) {
	case PF_RECORD_SAMPLE:
		count = pf_stack_read(r->stack, &pcs);
		pf_profile_add_sample(p, pcs, count, values);
		return;
	case PF_RECORD_REST:
		made[0] = PF_PC_NOT_SAMPLED;
		count = r->start ? 2 : 1;
	}
	pf_profile_add_sample(p, made, count, values);
}

static void add_labels(struct pf_profile *p, const struct pf_record *r)
{
	if (r->kind == PF_RECORD_LOST)
		return;
	pf_profile_label_str(p, "thread", r->name);
	pf_profile_label_num(p, "tid", r->tid, NULL);
	if (r->state != PF_STATE_NONE)
		pf_profile_label_str(p, "state", pf_syscall_state(r->state));
	if (r->state >= 0)
		pf_profile_label_str(p, "syscall", pf_syscall_name(r->state));
	pf_label_fill(r->labels, p);
}

int pf_window_fill(const struct pf_window *w, struct pf_profile *p)
{
	if (w->error)
		return w->error;
	for (size_t i = 0; i < w->count; i++) {
		const struct pf_window_entry *e = &w->entries[i];
		int64_t values[2] = {e->record.count, e->record.weight_ns + e->shared_ns};

		if (values[0] == 0 && values[1] == 0)
			continue;
		add_stack(p, &e->record, values);
		add_labels(p, &e->record);
	}
	return 0;
}
