/* What is in use for long. Young blocks come and go; of those that are old at any time, most are
 * meant to stay, and the rest is a leak: which one it is, its size and its ages tell. */
#include "base/memory.h"
#include "base/profile.h"
#include "base/sort.h"
#include "sampler/heap_book.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_live.h"
#include "sampler/heap_profile.h"
#include "sampler/heap_region.h"
#include "sampler/heap_site.h"

#include <errno.h>
#include <stdlib.h>

static const uint64_t US_PER_SECOND = 1000000;

/* Old blocks of one site. */
struct suspect {
	uint32_t stack;
	uint64_t oldest_us, youngest_us; /* pf_book_clock() */
	unsigned __int128 bytes;         /* in parts */
	uint64_t objects;                /* in parts */
};

struct suspects {
	struct suspect *sites;
	uint32_t count;
	uint64_t born_before_us;
};

static void add_block(void *arg, const struct pf_live_entry *entry)
{
	struct suspects *all = arg;
	uint64_t born_us = pf_live_born_us(entry);
	uint32_t site = pf_live_site(entry);
	struct suspect *s;

	/* Of a row that is younger than our list. */
	if (born_us >= all->born_before_us || site >= all->count)
		return;
	s = &all->sites[site];
	if (s->objects == 0 || born_us < s->oldest_us)
		s->oldest_us = born_us;
	if (s->objects == 0 || born_us > s->youngest_us)
		s->youngest_us = born_us;
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
		all->sites[kept++].stack = pf_site_key(i).stack;
	}
	pf_sort(all->sites, kept, sizeof(*all->sites), by_stack);
	for (uint32_t i = 0; i < kept; i++) {
		struct suspect *s = &all->sites[i], *last;

		if (joined == 0 || all->sites[joined - 1].stack != s->stack) {
			all->sites[joined++] = *s;
			continue;
		}
		last = &all->sites[joined - 1];
		if (s->oldest_us < last->oldest_us)
			last->oldest_us = s->oldest_us;
		if (s->youngest_us > last->youngest_us)
			last->youngest_us = s->youngest_us;
		last->objects += s->objects;
		last->bytes += s->bytes;
	}
	return joined;
}

static int64_t to_units(unsigned __int128 parts)
{
	return (int64_t)((parts + (1 << (PF_DRAW_WEIGHT_BITS - 1))) >> PF_DRAW_WEIGHT_BITS);
}

static void add_suspect(struct pf_profile *out, const struct suspect *s, uint64_t now_us)
{
	int64_t values[2] = {to_units(s->objects), to_units(s->bytes)};

	pf_heap_profile_add(out, s->stack, values);
	pf_profile_label_num(
	    out, "oldest", (int64_t)((now_us - s->oldest_us) / US_PER_SECOND), "seconds");
	pf_profile_label_num(
	    out, "youngest", (int64_t)((now_us - s->youngest_us) / US_PER_SECOND), "seconds");
}

static int find_limit(
    const struct pf_query *query, uint64_t now_us, struct pf_profile *out, uint64_t *born_before_us)
{
	int rc;

	if (query->captures == 0) {
		*born_before_us = now_us - now_us / 10;
		pf_profile_comment(out, "blocks older than %.1f s, a tenth of the time watched",
		    (double)now_us / 10 / (double)US_PER_SECOND);
		return 0;
	}
	rc = pf_heap_captured_before(query->captures, born_before_us);
	if (rc == 0)
		pf_profile_comment(out, "blocks that have outlived %lld readings, the last %.1f s",
		    (long long)query->captures,
		    (double)(now_us - *born_before_us) / (double)US_PER_SECOND);
	return rc;
}

int pf_heap_leaks_collect(
    struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	uint64_t now_us = pf_book_clock();
	struct suspects all = {.count = pf_site_numbers()};
	uint32_t count;
	/* Before this reading counts as one. */
	int rc = find_limit(query, now_us, out, &all.born_before_us);
	int begun = pf_heap_profile_begin(out);

	if (begun < 0 || rc < 0)
		return begun < 0 ? begun : rc;
	all.sites = pf_memory_new(all.count, sizeof(*all.sites));
	if (!all.sites)
		return -ENOMEM;
	pf_profile_add_type(out, "inuse_objects", "count");
	pf_profile_add_type(out, "inuse_space", "bytes");
	pf_live_for_each(add_block, &all);
	pf_region_for_each(add_block, &all);
	count = join_by_stack(&all);
	for (uint32_t i = 0; i < count; i++)
		add_suspect(out, &all.sites[i], now_us);
	pf_memory_free(all.sites);
	pf_profile_merge_same(out); /* largest first */
	return pf_heap_profile_end(out);
}
