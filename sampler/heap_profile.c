/* The heap's profiles, from the books as they are at this moment. */
#include "sampler/heap_profile.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/knob.h"
#include "sampler/heap.h"
#include "sampler/heap_book.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_live.h"
#include "sampler/heap_site.h"
#include "sampler/map.h"
#include "sampler/release.h"
#include "sampler/stack.h"

#include <errno.h>
#include <stdlib.h>

/* ---- what all of them have ---- */

static void add_comments(struct pf_profile *out)
{
	static const enum pf_counter losses[] = {PF_COUNTER_HEAP_LOST_TABLE,
	    PF_COUNTER_HEAP_SITES_FULL, PF_COUNTER_HEAP_MISSED_FREES, PF_COUNTER_PATCH_FOREIGN,
	    PF_COUNTER_PATCH_REFUSED, PF_COUNTER_STACK_OVERFLOW};

	pf_profile_comment(out, "heap_sample_bytes %lld", (long long)out->period);
	for (size_t i = 0; i < PF_COUNT(losses); i++) {
		uint64_t lost = pf_counter_get(losses[i]);

		if (lost)
			pf_profile_comment(out, "%s %llu (%s)", pf_counter_name(losses[i]),
			    (unsigned long long)lost, pf_counter_what(losses[i]));
	}
}

static int begin(struct pf_profile *out)
{
	if (!pf_heap_enabled())
		return -ENODATA;
	pf_heap_look_for_builtin();
	out->time_ns = pf_clock_real_ns();
	out->leaf_is_return = true;
	pf_profile_set_period(out, "space", "bytes", pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES));
	return 0;
}

static int end(struct pf_profile *out)
{
	int rc;

	add_comments(out);
	rc = pf_map_fill(out);
	return rc < 0 ? rc : out->error;
}

static void add_sample(
    struct pf_profile *out, uint32_t stack, uint32_t class, const int64_t *values)
{
	const uint64_t *pcs;
	uint32_t count = pf_stack_read(stack, &pcs);

	pf_profile_add_sample(out, pcs, count, values);
	if (class != 0)
		pf_profile_label_num(out, "bytes", (int64_t)pf_site_class_bytes(class), NULL);
}

/* ---- heap and allocs ---- */

static void add_site(void *out, uint32_t stack, uint32_t class, const int64_t values[4])
{
	add_sample(out, stack, class, values);
}

int pf_heap_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	int rc = begin(out);

	if (rc < 0)
		return rc;
	if (query->gc)
		pf_release_memory(true, NULL);
	pf_profile_add_type(out, "alloc_objects", "count");
	pf_profile_add_type(out, "alloc_space", "bytes");
	pf_profile_add_type(out, "inuse_objects", "count");
	pf_profile_add_type(out, "inuse_space", "bytes");
	pf_site_for_each(add_site, out);
	return end(out);
}

/* ---- heap_peak ---- */

static void add_site_at_peak(void *out, uint32_t stack, uint32_t class, const int64_t values[4])
{
	if (values[2])
		add_sample(out, stack, class, values + 2);
}

int pf_heap_peak_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	int rc = begin(out);

	if (rc < 0)
		return rc;
	if (pf_site_peak_ns() != 0)
		out->time_ns = pf_site_peak_ns();
	pf_profile_add_type(out, "inuse_objects", "count");
	pf_profile_add_type(out, "inuse_space", "bytes");
	pf_site_for_each_at_peak(add_site_at_peak, out);
	return end(out);
}

/* ---- heap_leaks ---- */

/* Old blocks of one site. */
struct suspect {
	uint32_t stack;
	uint32_t oldest, youngest; /* pf_book_clock() */
	unsigned __int128 bytes;   /* in parts */
	uint64_t objects;          /* in parts */
};

struct suspects {
	struct suspect *sites;
	uint32_t count;
	uint32_t born_before;
};

static void add_block(void *arg, const struct pf_live_entry *entry)
{
	struct suspects *all = arg;
	struct suspect *s;

	/* Of a row that is younger than our list. */
	if (entry->born >= all->born_before || entry->site >= all->count)
		return;
	s = &all->sites[entry->site];
	if (s->objects == 0 || entry->born < s->oldest)
		s->oldest = entry->born;
	if (s->objects == 0 || entry->born > s->youngest)
		s->youngest = entry->born;
	s->objects += entry->weight;
	s->bytes += (unsigned __int128)entry->size * entry->weight;
}

static int by_stack(const void *a, const void *b)
{
	uint32_t x = ((const struct suspect *)a)->stack, y = ((const struct suspect *)b)->stack;

	return x < y ? -1 : x > y;
}

/* Sites of the same stack become one; returns how many are left. */
static uint32_t join_by_stack(struct suspects *all)
{
	uint32_t kept = 0, joined = 0;

	for (uint32_t i = 0; i < all->count; i++) {
		if (all->sites[i].objects == 0)
			continue;
		all->sites[kept] = all->sites[i];
		all->sites[kept++].stack = pf_site_stack(i);
	}
	qsort(all->sites, kept, sizeof(*all->sites), by_stack);
	for (uint32_t i = 0; i < kept; i++) {
		struct suspect *s = &all->sites[i], *last;

		if (joined == 0 || all->sites[joined - 1].stack != s->stack) {
			all->sites[joined++] = *s;
			continue;
		}
		last = &all->sites[joined - 1];
		last->oldest = s->oldest < last->oldest ? s->oldest : last->oldest;
		last->youngest = s->youngest > last->youngest ? s->youngest : last->youngest;
		last->objects += s->objects;
		last->bytes += s->bytes;
	}
	return joined;
}

static void add_suspect(struct pf_profile *out, const struct suspect *s, uint32_t now)
{
	int64_t values[2] = {(int64_t)(s->objects >> PF_DRAW_WEIGHT_BITS),
	    (int64_t)(s->bytes >> PF_DRAW_WEIGHT_BITS)};

	add_sample(out, s->stack, 0, values);
	pf_profile_label_num(out, "oldest", (now - s->oldest) / 100, "seconds");
	pf_profile_label_num(out, "youngest", (now - s->youngest) / 100, "seconds");
}

int pf_heap_leaks_collect(
    struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	uint32_t now = pf_book_clock();
	struct suspects all = {.count = pf_site_numbers(), .born_before = now - now / 10};
	uint32_t count;
	int rc = begin(out);

	if (rc < 0)
		return rc;
	all.sites = calloc(all.count, sizeof(*all.sites));
	if (!all.sites)
		return -ENOMEM;
	pf_profile_add_type(out, "inuse_objects", "count");
	pf_profile_add_type(out, "inuse_space", "bytes");
	pf_live_for_each(add_block, &all);
	count = join_by_stack(&all);
	for (uint32_t i = 0; i < count; i++)
		add_suspect(out, &all.sites[i], now);
	free(all.sites);
	pf_profile_comment(out, "blocks older than %u s, a tenth of the time watched", now / 1000);
	pf_profile_merge_same(out); /* largest first */
	return end(out);
}
