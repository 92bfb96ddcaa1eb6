/* Lifetime: who allocates often what lives briefly, a row for each stack.
 *
 *     # heap_lifetime: alloc_objects
 *     # from 2026-11-21T06:00:00Z, 10.000 s
 *     # total 2000100
 *     # stacks more than half of whose blocks are gone; the others are in heap
 *     #  allocs/s  median_life_ms   freed%      bytes/s  function  [module]
 *        100000.0           0.003  100.00%    6400000.0  parse_token  [server]
 *
 * Median over all blocks; one that is in use lives longer than any that is gone. The profile knows
 * lives by class (label `life`, its end), each twice as long as the one before; within a class they are
 * taken as spread evenly.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/sort.h"
#include "render/frame.h"
#include "render/render.h"
#include "render/site.h"
#include "render/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_DEFAULT = 100, STACKS_SHOWN = 10, CLASSES = 64 };

/* One group, looked at closely. */
struct span {
	const struct pf_group *group;
	int64_t objects, bytes; /* allocated */
	int64_t freed;          /* of the objects */
	int64_t classes[CLASSES];
	double median_ns;
};

struct spans {
	const struct pf_profile *in;
	struct pf_frames frames;
	struct pf_groups groups;
	struct span *items;
	size_t count;
	double seconds;
};

/* The end of a life's class, or 0: still in use. */
static int64_t life_ns(const struct pf_profile *p, const struct pf_sample *s)
{
	for (uint32_t k = 0; k < s->label_count; k++) {
		const struct pf_label *l = &p->labels[s->label_first + k];

		if (!l->str && strcmp(l->key, "life") == 0 && l->num > 0)
			return l->num;
	}
	return 0;
}

static int class_of(int64_t end_ns)
{
	return 63 - __builtin_clzll((uint64_t)end_ns);
}

/* Where half of all blocks are gone. The first class begins at nothing. */
static double median(const struct span *s)
{
	int64_t all = s->objects > s->freed ? s->objects : s->freed;
	double wanted = (double)all / 2, below = 0;
	bool first = true;

	for (int i = 0; i < CLASSES - 1; i++) {
		double in_class = (double)s->classes[i];
		double end = (double)PF_NS_PER_US;

		if (in_class <= 0)
			continue;
		for (int k = 0; k < i - class_of(PF_NS_PER_US); k++)
			end *= 2;
		first = i <= class_of(PF_NS_PER_US);
		if (below + in_class >= wanted) {
			double start = first ? 0 : end / 2;

			return start + (end - start) * (wanted - below) / in_class;
		}
		below += in_class;
	}
	return 0;
}

/* True: more than half of its blocks are gone. */
static bool look_at(const struct spans *all, const struct pf_group *g, struct span *s)
{
	*s = (struct span){.group = g};
	for (uint32_t i = 0; i < g->sample_count; i++) {
		const struct pf_sample *sample =
		    &all->in->samples[all->groups.samples[g->sample_first + i]];
		int64_t end_ns = life_ns(all->in, sample);

		s->objects += sample->value[0];
		s->bytes += all->in->type_count > 1 ? sample->value[1] : 0;
		if (end_ns == 0)
			continue;
		s->freed += sample->value[0];
		s->classes[class_of(end_ns)] += sample->value[0];
	}
	if (s->freed <= 0 || s->freed * 2 <= s->objects)
		return false;
	s->median_ns = median(s);
	return true;
}

static int by_rate(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->objects != y->objects)
		return x->objects > y->objects ? -1 : 1;
	return x->group < y->group ? -1 : x->group > y->group;
}

static int fill(struct spans *all)
{
	all->items = pf_memory_new(all->groups.count + 1, sizeof(*all->items));
	if (!all->items)
		return -ENOMEM;
	for (size_t i = 0; i < all->groups.count; i++)
		all->count += look_at(all, &all->groups.items[i], &all->items[all->count]);
	pf_sort(all->items, all->count, sizeof(*all->items), by_rate);
	return 0;
}

static void draw_numbers(struct pf_buf *out, const struct spans *all, const struct span *s)
{
	int64_t most = s->objects > s->freed ? s->objects : s->freed;

	pf_buf_printf(out, " %10.1f %15.3f %7.2f%% %12.1f  ", (double)s->objects / all->seconds,
	    s->median_ns / PF_NS_PER_MS, 100.0 * (double)s->freed / (double)most,
	    (double)s->bytes / all->seconds);
}

static void draw_table(struct pf_buf *out, const struct spans *all, size_t shown)
{
	pf_buf_str(out, "# stacks more than half of whose blocks are gone; the others are in heap\n"
			"#  allocs/s  median_life_ms   freed%      bytes/s  function  [module]\n");
	for (size_t i = 0; i < all->count && i < shown; i++) {
		const struct span *s = &all->items[i];
		const struct pf_frame *site = pf_site_frame(&all->frames, &all->groups, s->group);

		draw_numbers(out, all, s);
		if (site)
			pf_text_frame(out, site);
		pf_buf_char(out, '\n');
	}
	if (all->count > shown)
		pf_buf_printf(out, "# %zu more stacks; ?n= shows more\n", all->count - shown);
}

static void draw_stacks(struct pf_buf *out, const struct spans *all)
{
	for (size_t i = 0; i < all->count && i < STACKS_SHOWN; i++) {
		const struct span *s = &all->items[i];

		pf_buf_printf(out,
		    "#\n# stack %zu of %zu: %" PRId64 " objects, %" PRId64 " bytes\n", i + 1,
		    all->count, s->objects, s->bytes);
		pf_site_stack(out, &all->frames, &all->groups, s->group);
	}
}

void pf_render_lifetime(
    struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	uint32_t type = pf_profile_default_type(in);
	size_t shown = query->rows > 0 ? (size_t)query->rows : ROWS_DEFAULT;
	struct spans all = {.in = in};
	int rc = query->lines ? pf_frames_init_by_line(&all.frames, in)
			      : pf_frames_init(&all.frames, in);

	all.seconds = in->duration_ns > 0 ? (double)in->duration_ns / PF_NS_PER_SECOND : 1;
	if (rc == 0)
		rc = pf_groups_init(&all.groups, &all.frames, type);
	if (rc == 0)
		rc = fill(&all);
	if (rc == 0) {
		pf_text_head(out, in, type);
		draw_table(out, &all, shown);
		draw_stacks(out, &all);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_memory_free(all.items);
	pf_groups_finish(&all.groups);
	pf_frames_finish(&all.frames);
}
