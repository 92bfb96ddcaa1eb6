/* Binary: a CPU profile as gperftools' profiler writes it, for its google-pprof.
 *
 *     0 3 0 PERIOD_US 0      machine words
 *     COUNT DEPTH PC...      leaf first, a record for each stack
 *     0 1 0
 *     55d8c1e00000-55d8c1e2b000 r-xp ...    the memory map, as text
 *
 * Time is told in periods and not in samples: a sample of ours weighs what its thread really used. It
 * is also the one form of google-pprof's that counts: threads created, exceptions.
 * Readers subtract one from every address but the first (rule D9), so one is added.
 *
 * Readers also take a caller of the leaf that all samples share for the profiler's own signal frame,
 * and drop it. Ours has none to drop: so every stack is written in two halves, and its second
 * address points behind the call in one of them, and into it in the other.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/sort.h"
#include "render/legacy.h"
#include "render/place.h"
#include "render/render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void add_word(struct pf_buf *out, uint64_t word)
{
	pf_buf_add(out, &word, sizeof(word));
}

/* The column that is time, or the first one. */
static uint32_t time_column(const struct pf_profile *in)
{
	for (uint32_t i = 0; i < in->type_count; i++)
		if (strcmp(in->types[i].unit, "nanoseconds") == 0)
			return i;
	return 0;
}

/* In whole periods; what was met at all is one. */
static int64_t periods(const struct pf_profile *in, int64_t value)
{
	int64_t count = in->period > 1 ? (value + in->period / 2) / in->period : value;

	return value > 0 && count == 0 ? 1 : count;
}

static int by_stack(const void *a, const void *b, void *profile)
{
	const struct pf_profile *p = profile;
	const struct pf_sample *x = &p->samples[*(const uint32_t *)a];
	const struct pf_sample *y = &p->samples[*(const uint32_t *)b];

	if (x->pc_count != y->pc_count)
		return x->pc_count < y->pc_count ? -1 : 1;
	return memcmp(p->pcs + x->pc_first, p->pcs + y->pc_first, x->pc_count * sizeof(*p->pcs));
}

static void add_record(struct pf_buf *out, const struct pf_profile *in, const struct pf_sample *s,
    int64_t count, uint32_t spelling)
{
	if (count <= 0)
		return;
	add_word(out, (uint64_t)count);
	add_word(out, s->pc_count);
	for (uint32_t i = 0; i < s->pc_count; i++)
		add_word(out, pf_binary_address(in, s, i, spelling));
}

/* `number` decides which half a stack that was met once is. */
static void add_stack(struct pf_buf *out, const struct pf_profile *in, const struct pf_sample *s,
    int64_t count, size_t number)
{
	if (s->pc_count < 2) {
		add_record(out, in, s, count, 0);
		return;
	}
	add_record(out, in, s, count == 1 ? number % 2 == 0 : count - count / 2, 0);
	add_record(out, in, s, count == 1 ? number % 2 == 1 : count / 2, 1);
}

/* Samples of one stack, whatever their labels, are one record. */
static void add_records(struct pf_buf *out, const struct pf_profile *in, uint32_t *order)
{
	uint32_t column = time_column(in);
	size_t end, number = 0;

	for (size_t i = 0; i < in->sample_count; i++)
		order[i] = (uint32_t)i;
	pf_sort_with(order, in->sample_count, sizeof(*order), by_stack, (void *)(uintptr_t)in);
	for (size_t first = 0; first < in->sample_count; first = end) {
		int64_t value = 0;

		for (end = first; end < in->sample_count &&
				  by_stack(&order[first], &order[end], (void *)(uintptr_t)in) == 0;
		     end++)
			value += in->samples[order[end]].value[column];
		add_stack(out, in, &in->samples[order[first]], periods(in, value), number++);
	}
}

uint64_t pf_binary_address(
    const struct pf_profile *in, const struct pf_sample *s, uint32_t frame, uint32_t spelling)
{
	uint64_t address = in->pcs[s->pc_first + frame];

	if (frame == 0 || (frame == 1 && spelling == 1))
		return address;
	return address + 1;
}

void pf_render_binary(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	const int64_t us = in->period / PF_NS_PER_US;
	const uint64_t head[] = {0, 3, 0, (uint64_t)(us > 0 ? us : 1), 0}, tail[] = {0, 1, 0};
	uint32_t *order = pf_memory_new(in->sample_count + 1, sizeof(*order));

	if (!order) {
		pf_buf_fail(out, -ENOMEM);
		return;
	}
	pf_buf_add(out, head, sizeof(head));
	add_records(out, in, order);
	pf_buf_add(out, tail, sizeof(tail));
	pf_legacy_map(out, in);
	pf_memory_free(order);
}
