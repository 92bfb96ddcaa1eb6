/* What is added up in a profile: columns, samples that are the same, and two profiles of one kind. */
#include "base/buf.h"
#include "base/profile.h"
#include "base/sort.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	pf_sort_with(p->samples, p->sample_count, sizeof(*p->samples), by_identity, p);
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
	pf_sort_with(p->samples, p->sample_count, sizeof(*p->samples), by_value, p);
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
