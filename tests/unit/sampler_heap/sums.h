/* All size classes of one stack, summed. */
#pragma once
#include "sampler/heap_site.h"

struct sums {
	int64_t alloc_objects, alloc_bytes, live_objects, live_bytes;
	uint32_t stack;
};

static void add_if_of_stack(void *arg, const struct pf_site_view *view)
{
	const int64_t *values = view->values;
	struct sums *sums = arg;

	if (view->key.stack != sums->stack)
		return;
	sums->alloc_objects += values[0];
	sums->alloc_bytes += values[1];
	sums->live_objects += values[2];
	sums->live_bytes += values[3];
}

static inline struct sums sums_of(uint32_t stack)
{
	struct sums sums = {.stack = stack};

	pf_site_for_each(add_if_of_stack, &sums);
	return sums;
}

static inline uint32_t site_of(uint32_t stack, uint64_t size)
{
	struct pf_site_key key = {.stack = stack, .class = (uint16_t)pf_site_class(size)};

	return pf_site_find(&key);
}
