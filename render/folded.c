/* Folded: `program;main;...;leaf COUNT`, one line for each stack of names, as flamegraph.pl and its
 * like read it.
 *
 * The first frame is the program, so that every line has a `;` (some readers know the format by
 * it). Lines are sorted frame by frame from the root; stacks whose names look the same add up.
 */
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

struct folder {
	const struct pf_frames *frames;
	struct pf_groups groups;
	char **names;   /* of each frame, as written */
	uint32_t *rank; /* of each frame's name in the alphabet: equal names, equal rank */
};

/* A name that cannot be taken for a separator, a line's end, or a comment's beginning. The caller
 * frees; NULL without memory. */
static char *folded_name(const char *name)
{
	PF_SCOPED(pf_buf) clean = PF_BUF_INIT;
	char *out;

	while (*name == ' ' || *name == '#')
		name++;
	pf_utf8_add_plain(&clean, *name ? name : "?");
	out = clean.error ? NULL : strdup(pf_buf_text(&clean));
	for (char *at = out; at && *at; at++)
		if (*at == ';')
			*at = ':';
	return out;
}

static int by_name(const void *a, const void *b, void *names)
{
	return strcmp(
	    ((char **)names)[*(const uint32_t *)a], ((char **)names)[*(const uint32_t *)b]);
}

/* Names and ranks of all frames: 0 or -ENOMEM. */
static int name_frames(struct folder *f)
{
	size_t count = f->frames->index.count;
	uint32_t *order = pf_memory_new(count + 1, sizeof(*order));

	f->names = pf_memory_new(count + 1, sizeof(*f->names));
	f->rank = pf_memory_new(count + 1, sizeof(*f->rank));
	if (!order || !f->names || !f->rank)
		goto no_memory;
	for (uint32_t i = 0; i < count; i++) {
		f->names[i] = folded_name(f->frames->items[i].function);
		if (!f->names[i])
			goto no_memory;
		order[i] = i;
	}
	pf_sort_with(order, count, sizeof(*order), by_name, f->names);
	for (size_t i = 1; i < count; i++)
		f->rank[order[i]] = f->rank[order[i - 1]] +
				    (strcmp(f->names[order[i]], f->names[order[i - 1]]) != 0);
	pf_memory_free(order);
	return 0;

no_memory:
	pf_memory_free(order);
	return -ENOMEM;
}

static uint32_t rank_from_root(const struct folder *f, const struct pf_group *g, uint32_t depth)
{
	return f->rank[f->groups.ids[g->id_first + g->depth - 1 - depth]];
}

static int by_ranks(const void *a, const void *b, void *folder)
{
	const struct pf_group *x = a, *y = b;

	for (uint32_t i = 0; i < x->depth && i < y->depth; i++) {
		uint32_t x_rank = rank_from_root(folder, x, i),
			 y_rank = rank_from_root(folder, y, i);

		if (x_rank != y_rank)
			return x_rank < y_rank ? -1 : 1;
	}
	return x->depth < y->depth ? -1 : x->depth > y->depth;
}

static void draw_line(struct pf_buf *out, const struct folder *f, const char *program,
    const struct pf_group *g, int64_t value)
{
	pf_buf_str(out, program);
	for (uint32_t i = g->depth; i-- > 0;) {
		pf_buf_char(out, ';');
		pf_buf_str(out, f->names[f->groups.ids[g->id_first + i]]);
	}
	pf_buf_printf(out, " %" PRId64 "\n", value);
}

static void draw(struct pf_buf *out, struct folder *f, const char *program)
{
	struct pf_groups *g = &f->groups;
	size_t next;

	if (g->count)
		pf_sort_with(g->items, g->count, sizeof(*g->items), by_ranks, f);
	for (size_t i = 0; i < g->count; i = next) {
		int64_t value = g->items[i].value;

		/* Functions of one name in two modules are one frame here. */
		for (next = i + 1;
		     next < g->count && by_ranks(&g->items[i], &g->items[next], f) == 0; next++)
			value += g->items[next].value;
		if (value > 0)
			draw_line(out, f, program, &g->items[i], value);
	}
}

void pf_render_folded(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct pf_frames frames;
	struct folder f = {.frames = &frames};
	char *program =
	    folded_name(in->mapping_count ? pf_place_basename(in->mappings[0].path) : in->name);
	int rc = program ? pf_frames_init(&frames, in) : -ENOMEM;

	if (!program)
		frames = (struct pf_frames){0};
	if (rc == 0)
		rc = pf_groups_init(&f.groups, &frames, pf_profile_default_type(in));
	if (rc == 0)
		rc = name_frames(&f);
	if (rc == 0)
		draw(out, &f, program);
	else
		pf_buf_fail(out, rc);
	for (size_t i = 0; f.names && i < frames.index.count; i++)
		free(f.names[i]);
	pf_memory_free(f.names);
	pf_memory_free(f.rank);
	free(program);
	pf_groups_finish(&f.groups);
	pf_frames_finish(&frames);
}
