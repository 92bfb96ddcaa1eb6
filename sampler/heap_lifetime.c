/* How long blocks live: what a pool, a bigger buffer or a reserve() would save. A stack's blocks are
 * told apart by class of life and not by a median: classes add up over stacks, and subtract over time
 * (heap_lifetime,seconds=10). The text makes medians of them. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/profile.h"
#include "base/sort.h"
#include "sampler/heap_book.h"
#include "sampler/heap_profile.h"
#include "sampler/heap_site.h"

#include <errno.h>
#include <stdlib.h>

/* All rows of one stack. */
struct stack {
	uint32_t id;
	int64_t objects, bytes;           /* ever allocated */
	int64_t live_objects, live_bytes; /* of them in use */
	uint64_t lives[PF_SITE_LIVES];    /* samples freed */
};

struct stacks {
	struct stack *items;
	size_t count, capacity;
	int error;
};

static void add_site(void *arg, const struct pf_site_view *view)
{
	struct stacks *all = arg;
	struct stack *s;

	if (pf_vec_reserve(
		(void **)&all->items, &all->capacity, sizeof(*all->items), all->count + 1) < 0) {
		all->error = -ENOMEM;
		return;
	}
	s = &all->items[all->count++];
	*s = (struct stack){.id = view->key.stack,
	    .objects = view->values[0],
	    .bytes = view->values[1],
	    .live_objects = view->values[2],
	    .live_bytes = view->values[3]};
	for (int i = 0; i < PF_SITE_LIVES; i++)
		s->lives[i] = view->lives[i];
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct stack *)a)->id, y = ((const struct stack *)b)->id;

	return x < y ? -1 : x > y;
}

static void join(struct stack *to, const struct stack *s)
{
	to->objects += s->objects;
	to->bytes += s->bytes;
	to->live_objects += s->live_objects;
	to->live_bytes += s->live_bytes;
	for (int i = 0; i < PF_SITE_LIVES; i++)
		to->lives[i] += s->lives[i];
}

/* The largest whole number of `total` that `part` of `whole` have a claim to. */
static int64_t share(int64_t total, uint64_t part, uint64_t whole)
{
	return (int64_t)((unsigned __int128)(uint64_t)total * part / whole);
}

/* What was freed, shared out among the classes as its samples are: to the last object. */
static void add_lives(struct pf_profile *out, const struct stack *s, uint64_t samples)
{
	int64_t freed = s->objects > s->live_objects ? s->objects - s->live_objects : 0;
	int64_t freed_bytes = s->bytes > s->live_bytes ? s->bytes - s->live_bytes : 0;
	uint64_t below = 0;

	for (int i = 0; i < PF_SITE_LIVES; i++) {
		uint64_t upto = below + s->lives[i];
		int64_t values[2] = {share(freed, upto, samples) - share(freed, below, samples),
		    share(freed_bytes, upto, samples) - share(freed_bytes, below, samples)};

		below = upto;
		if (values[0] == 0 && values[1] == 0)
			continue;
		pf_heap_profile_add(out, s->id, values);
		pf_profile_label_num(out, "life", (1ll << i) * PF_NS_PER_US, "nanoseconds");
	}
}

static void add_stack(struct pf_profile *out, const struct stack *s)
{
	int64_t live[2] = {s->live_objects, s->live_bytes};
	uint64_t samples = 0;

	for (int i = 0; i < PF_SITE_LIVES; i++)
		samples += s->lives[i];
	if (samples)
		add_lives(out, s, samples);
	if (live[0])
		pf_heap_profile_add(out, s->id, live);
}

static void add_stacks(struct pf_profile *out, struct stacks *all)
{
	size_t at = 0;

	if (all->count)
		pf_sort(all->items, all->count, sizeof(*all->items), by_id);
	while (at < all->count) {
		struct stack *first = &all->items[at++];

		while (at < all->count && all->items[at].id == first->id)
			join(first, &all->items[at++]);
		add_stack(out, first);
	}
}

int pf_heap_lifetime_collect(
    struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	struct stacks all = {.error = 0};
	int rc = pf_heap_profile_begin(out);

	if (rc < 0)
		return rc;
	out->duration_ns = pf_clock_now_ns() - pf_book_opened_ns();
	out->time_ns -= out->duration_ns;
	out->default_type = 0;
	pf_profile_add_type(out, "alloc_objects", "count");
	pf_profile_add_type(out, "alloc_space", "bytes");
	pf_site_for_each(add_site, &all);
	if (all.error == 0)
		add_stacks(out, &all);
	pf_vec_free(all.items, all.capacity, sizeof(*all.items));
	return all.error ? all.error : pf_heap_profile_end(out);
}
