#include "render/frametree.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/sort.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the order ---- */

static int by_name(const void *a, const void *b, void *frames)
{
	const struct pf_frame *x = (const struct pf_frame *)frames + *(const uint32_t *)a;
	const struct pf_frame *y = (const struct pf_frame *)frames + *(const uint32_t *)b;
	int order = strcmp(x->function, y->function);

	order = order ? order : strcmp(x->module, y->module);
	order = order ? order : strcmp(x->file, y->file);
	return order ? order : x->line < y->line ? -1 : x->line > y->line;
}

static int rank_frames(struct pf_frametree *t)
{
	size_t count = t->frames.index.count;
	uint32_t *order = pf_memory_new(count + 1, sizeof(*order));

	t->rank = pf_memory_new(count + 1, sizeof(*t->rank));
	if (!order || !t->rank) {
		pf_memory_free(order);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	if (count)
		pf_sort_with(order, count, sizeof(*order), by_name, t->frames.items);
	for (uint32_t i = 0; i < count; i++)
		t->rank[order[i]] = i;
	pf_memory_free(order);
	return 0;
}

static uint32_t frame_of(const struct pf_frametree *t, const struct pf_group *group, uint32_t depth)
{
	return t->groups.ids[group->id_first + group->depth - 1 - depth];
}

static uint32_t shared_by(
    const struct pf_frametree *t, const struct pf_group *x, const struct pf_group *y)
{
	uint32_t depth = 0;

	while (
	    depth < x->depth && depth < y->depth && frame_of(t, x, depth) == frame_of(t, y, depth))
		depth++;
	return depth;
}

static int from_root(const void *a, const void *b, void *tree)
{
	const struct pf_frametree *t = tree;
	const struct pf_group *x = a, *y = b;
	uint32_t depth = shared_by(t, x, y);

	if (depth == x->depth || depth == y->depth)
		return x->depth < y->depth ? -1 : x->depth > y->depth;
	return t->rank[frame_of(t, x, depth)] < t->rank[frame_of(t, y, depth)] ? -1 : 1;
}

void pf_frametree_name(struct pf_buf *out, const struct pf_frame *frame)
{
	pf_buf_str(out, frame->function);
	if (frame->file[0])
		pf_buf_printf(out, " %s:%" PRId64, pf_place_basename(frame->file), frame->line);
}

int pf_frametree_init(struct pf_frametree *t, const struct pf_profile *p, bool by_line)
{
	int rc;

	*t = (struct pf_frametree){.rank = NULL};
	rc = by_line ? pf_frames_init_by_line(&t->frames, p) : pf_frames_init(&t->frames, p);
	if (rc == 0)
		rc = pf_groups_init(&t->groups, &t->frames, pf_profile_default_type(p));
	if (rc == 0)
		rc = rank_frames(t);
	if (rc == 0 && t->groups.count)
		pf_sort_with(
		    t->groups.items, t->groups.count, sizeof(*t->groups.items), from_root, t);
	return rc;
}

void pf_frametree_finish(struct pf_frametree *t)
{
	pf_memory_free(t->rank);
	pf_groups_finish(&t->groups);
	pf_frames_finish(&t->frames);
	*t = (struct pf_frametree){.rank = NULL};
}

uint32_t pf_frametree_frame(const struct pf_frametree *t, size_t stack, uint32_t depth)
{
	return frame_of(t, &t->groups.items[stack], depth);
}

uint32_t pf_frametree_shared(const struct pf_frametree *t, size_t stack)
{
	const struct pf_group *group = &t->groups.items[stack];

	return stack ? shared_by(t, group - 1, group) : 0;
}

/* ---- sums ---- */

/* Sums from a file can be anything: they stay at the largest number. */
static int64_t plus(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

static int64_t sum_of(const struct pf_frametree *t, size_t stack, uint32_t type)
{
	const struct pf_group *group = &t->groups.items[stack];
	const uint32_t *samples = t->groups.samples + group->sample_first;
	int64_t sum = 0;

	for (uint32_t i = 0; i < group->sample_count; i++)
		sum = plus(sum, t->frames.in->samples[samples[i]].value[type]);
	return sum;
}

int64_t pf_frametree_value(const struct pf_frametree *t, size_t stack, uint32_t type)
{
	int64_t sum = sum_of(t, stack, type);

	return sum > 0 ? sum : 0;
}

int64_t pf_frametree_total(const struct pf_frametree *t, uint32_t type)
{
	int64_t total = 0;

	for (size_t i = 0; i < t->groups.count; i++)
		total = plus(total, pf_frametree_value(t, i, type));
	return total;
}

int64_t pf_frametree_below(const struct pf_frametree *t, uint32_t type)
{
	int64_t below = 0;

	for (size_t i = 0; i < t->groups.count; i++) {
		int64_t sum = sum_of(t, i, type);

		below = sum < 0 ? plus(below, sum) : below;
	}
	return below;
}

/* The nodes from the root to where the walk is. */
struct walk {
	struct pf_frametree_node *open;
	size_t capacity;
	uint32_t depth;
	uint32_t number; /* of the next node */
	int64_t done;    /* the sum of all stacks that were walked */
	pf_frametree_fn *complete;
	void *to;
};

static void close_to(struct walk *w, uint32_t depth)
{
	while (w->depth > depth) {
		struct pf_frametree_node *node = &w->open[--w->depth];

		node->total = w->done - node->before;
		if (node->total)
			w->complete(w->to, node);
	}
}

static int open_stack(struct walk *w, const struct pf_frametree *t, size_t stack)
{
	uint32_t depth = t->groups.items[stack].depth;

	if (pf_vec_reserve((void **)&w->open, &w->capacity, sizeof(*w->open), depth) < 0)
		return -ENOMEM;
	for (; w->depth < depth; w->depth++)
		w->open[w->depth] = (struct pf_frametree_node){
		    .number = w->number++,
		    .frame = pf_frametree_frame(t, stack, w->depth),
		    .depth = w->depth,
		    .before = w->done,
		};
	return 0;
}

int pf_frametree_walk(
    const struct pf_frametree *t, uint32_t type, pf_frametree_fn *complete, void *to)
{
	struct walk w = {.complete = complete, .to = to};
	int rc = 0;

	for (size_t i = 0; i < t->groups.count && rc == 0; i++) {
		int64_t value = pf_frametree_value(t, i, type);

		close_to(&w, pf_frametree_shared(t, i));
		rc = open_stack(&w, t, i);
		if (rc == 0 && w.depth)
			w.open[w.depth - 1].self = value;
		w.done = plus(w.done, value);
	}
	close_to(&w, 0);
	pf_vec_free(w.open, w.capacity, sizeof(*w.open));
	return rc;
}

size_t pf_frametree_count(const struct pf_frametree *t)
{
	size_t count = 0;

	for (size_t i = 0; i < t->groups.count; i++)
		count += t->groups.items[i].depth - pf_frametree_shared(t, i);
	return count;
}
