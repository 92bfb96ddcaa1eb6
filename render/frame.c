#include "render/frame.h"
#include "base/buf.h"
#include "base/sort.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- frames ---- */

static bool same_frame(const void *items, uint32_t number, const void *key)
{
	const struct pf_frame *a = (const struct pf_frame *)items + number, *b = key;

	return a->line == b->line && strcmp(a->function, b->function) == 0 &&
	       strcmp(a->module, b->module) == 0 && strcmp(a->file, b->file) == 0;
}

/* Appends a frame to the run being made. 0 or -ENOMEM. */
static int add_frame(struct pf_frames *f, struct pf_frame frame)
{
	uint32_t before = f->index.count;
	uint64_t hash = pf_hash_bytes(frame.function, strlen(frame.function)) +
			3 * pf_hash_bytes(frame.module, strlen(frame.module)) +
			pf_hash_number((uint64_t)frame.line);
	uint32_t number = pf_index_put(&f->index, hash, same_frame, f->items, &frame);

	if (number == PF_INDEX_FULL ||
	    pf_vec_reserve(
		(void **)&f->items, &f->capacity, sizeof(*f->items), (size_t)number + 1) < 0 ||
	    pf_vec_reserve((void **)&f->ids, &f->id_capacity, sizeof(*f->ids), f->id_count + 1) < 0)
		return -ENOMEM;
	if (number == before)
		f->items[number] = frame;
	f->ids[f->id_count++] = number;
	return 0;
}

/* A name for an address nobody looked up: "[libz.so.1]", else the address. */
static const char *made_name(struct pf_frames *f, const struct pf_place *place, const char *module)
{
	char *text;
	int rc;

	if (pf_vec_reserve(
		(void **)&f->texts, &f->text_capacity, sizeof(*f->texts), f->text_count + 1) < 0)
		return NULL;
	if (module[0])
		rc = asprintf(&text, module[0] == '[' ? "%s" : "[%s]", module);
	else
		rc = asprintf(&text, "%#llx", (unsigned long long)place->address);
	if (rc < 0)
		return NULL;
	f->texts[f->text_count++] = text;
	return text;
}

static int add_place(struct pf_frames *f, const struct pf_place *place)
{
	const char *module = place->mapping ? pf_place_basename(place->mapping->path) : "";
	const char *name = pf_pc_marker_name(place->address);
	const struct pf_location *l = place->location;
	int rc = 0;

	for (uint32_t i = 0; l && i < l->line_count && rc == 0; i++) {
		const struct pf_line *line = &f->in->lines[l->line_first + i];

		rc = add_frame(
		    f, (struct pf_frame){line->function, module, f->by_line ? line->file : "",
			   f->by_line && line->file[0] ? line->line : 0});
	}
	if (l && l->line_count)
		return rc;
	if (!name)
		name = made_name(f, place, module);
	return name ? add_frame(f, (struct pf_frame){name, module, "", 0}) : -ENOMEM;
}

static int init(struct pf_frames *f, const struct pf_profile *p, bool by_line)
{
	int rc;

	*f = (struct pf_frames){.in = p, .by_line = by_line};
	rc = pf_places_init(&f->places, p);
	if (rc < 0)
		return rc;
	rc = pf_vec_reserve(
	    (void **)&f->runs, &f->run_capacity, sizeof(*f->runs), f->places.index.count);
	for (uint32_t i = 0; i < f->places.index.count && rc == 0; i++) {
		f->runs[i].first = (uint32_t)f->id_count;
		rc = add_place(f, &f->places.items[i]);
		f->runs[i].count = (uint32_t)f->id_count - f->runs[i].first;
	}
	return rc;
}

int pf_frames_init(struct pf_frames *f, const struct pf_profile *p)
{
	return init(f, p, false);
}

int pf_frames_init_by_line(struct pf_frames *f, const struct pf_profile *p)
{
	return init(f, p, true);
}

void pf_frames_finish(struct pf_frames *f)
{
	pf_vec_free(f->items, f->capacity, sizeof(*f->items));
	pf_index_finish(&f->index);
	pf_places_finish(&f->places);
	pf_vec_free(f->runs, f->run_capacity, sizeof(*f->runs));
	pf_vec_free(f->ids, f->id_capacity, sizeof(*f->ids));
	for (size_t i = 0; i < f->text_count; i++)
		free(f->texts[i]);
	pf_vec_free(f->texts, f->text_capacity, sizeof(*f->texts));
	*f = (struct pf_frames){0};
}

const uint32_t *pf_frames_at(const struct pf_frames *f, uint64_t address, uint32_t *count)
{
	const struct pf_frame_run *run = &f->runs[pf_places_find(&f->places, address)];

	*count = run->count;
	return f->ids + run->first;
}

/* ---- groups ---- */

/* One sample's frames at the end of g->ids, as a group of its own. 0 or -ENOMEM. */
static int add_sample(
    struct pf_groups *g, const struct pf_frames *f, uint32_t sample, uint32_t type)
{
	const struct pf_sample *s = &f->in->samples[sample];
	struct pf_group *group = &g->items[g->count];

	*group =
	    (struct pf_group){.id_first = g->id_count, .sample_first = sample, .sample_count = 1};
	group->value = s->value[type];
	for (uint32_t i = 0; i < s->pc_count; i++) {
		uint32_t count;
		const uint32_t *ids = pf_frames_at(f, f->in->pcs[s->pc_first + i], &count);

		if (pf_vec_reserve((void **)&g->ids, &g->id_capacity, sizeof(*g->ids),
			g->id_count + count) < 0)
			return -ENOMEM;
		memcpy(g->ids + g->id_count, ids, count * sizeof(*ids));
		g->id_count += count;
	}
	group->depth = (uint32_t)(g->id_count - group->id_first);
	g->count++;
	return 0;
}

static int compare_frames(
    const struct pf_groups *g, const struct pf_group *x, const struct pf_group *y)
{
	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return memcmp(g->ids + x->id_first, g->ids + y->id_first, x->depth * sizeof(*g->ids));
}

static int by_frames(const void *a, const void *b, void *groups)
{
	const struct pf_group *x = a, *y = b;
	int order = compare_frames(groups, x, y);

	return order ? order : x->sample_first < y->sample_first ? -1 : 1;
}

static int by_value(const void *a, const void *b)
{
	const struct pf_group *x = a, *y = b;
	int64_t x_size = llabs(x->value), y_size = llabs(y->value);

	if (x_size != y_size)
		return x_size > y_size ? -1 : 1;
	return x->sample_first < y->sample_first ? -1 : x->sample_first > y->sample_first;
}

/* Neighbours of the same frames become one; g->samples says whose they were. `first_sample` is
 * each group's first sample's number until all are joined. */
static void join(struct pf_groups *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct pf_group *from = &g->items[i];
		struct pf_group *last = &g->items[kept ? kept - 1 : 0];

		g->samples[i] = from->sample_first;
		if (kept && compare_frames(g, last, from) == 0) {
			last->value += from->value;
			last->sample_count++;
			continue;
		}
		g->items[kept] = *from;
		g->items[kept++].sample_first = (uint32_t)i;
	}
	g->count = kept;
}

int pf_groups_init(struct pf_groups *g, const struct pf_frames *f, uint32_t type)
{
	size_t count = f->in->sample_count;
	int rc;

	*g = (struct pf_groups){0};
	if (pf_vec_reserve((void **)&g->items, &g->capacity, sizeof(*g->items), count) < 0 ||
	    pf_vec_reserve((void **)&g->samples, &g->sample_capacity, sizeof(*g->samples), count) <
		0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		rc = add_sample(g, f, (uint32_t)i, type);
		if (rc < 0)
			return rc;
	}
	if (count == 0)
		return 0;
	pf_sort_with(g->items, g->count, sizeof(*g->items), by_frames, g);
	join(g);
	pf_sort(g->items, g->count, sizeof(*g->items), by_value);
	return 0;
}

void pf_groups_finish(struct pf_groups *g)
{
	pf_vec_free(g->items, g->capacity, sizeof(*g->items));
	pf_vec_free(g->ids, g->id_capacity, sizeof(*g->ids));
	pf_vec_free(g->samples, g->sample_capacity, sizeof(*g->samples));
	*g = (struct pf_groups){0};
}
