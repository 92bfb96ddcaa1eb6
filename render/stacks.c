/* Stacks: every thread by itself in the form of Go's goroutine?debug=2, which people and the tools
 * that sort stack dumps know.
 *
 *     goroutine 11 [futex, 5 minutes, worker 1]:
 *     cart::Cart::add(...)
 *     	/opt/shop/libcart.so+0x2010
 *     created by spawn_worker in goroutine 10
 *     	/opt/shop/server+0x4010
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/sort.h"
#include "render/frame.h"
#include "render/render.h"
#include "render/text.h"
#include "render/thread.h"
#include "render/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const int64_t MINUTE_NS = 60ll * PF_NS_PER_SECOND;

/* file:line where they are known, else the place in the module. */
static void add_where(struct pf_buf *out, const struct pf_place *place, const struct pf_line *line)
{
	const struct pf_mapping *m = place->mapping;

	pf_buf_char(out, '\t');
	if (line && line->file[0]) {
		pf_utf8_add_plain(out, line->file);
		pf_buf_printf(out, ":%" PRId64, line->line);
	} else if (m) {
		pf_utf8_add_plain(out, m->path);
		pf_buf_printf(out, "+%#" PRIx64, place->address - m->start + m->offset);
	} else {
		pf_buf_printf(out, "%#" PRIx64, place->address);
	}
	pf_buf_char(out, '\n');
}

static const struct pf_line *line_at(
    const struct pf_profile *p, const struct pf_location *l, uint32_t number)
{
	return l && number < l->line_count ? &p->lines[l->line_first + number] : NULL;
}

static void draw_address(struct pf_buf *out, const struct pf_frames *frames, uint64_t address)
{
	const struct pf_place *place =
	    &frames->places.items[pf_places_find(&frames->places, address)];
	uint32_t count;
	const uint32_t *ids = pf_frames_at(frames, address, &count);

	for (uint32_t i = 0; i < count; i++) {
		pf_utf8_add_plain(out, frames->items[ids[i]].function);
		pf_buf_str(out, "(...)\n");
		add_where(out, place, line_at(frames->in, place->location, i));
	}
}

/* Behind the state, as Go adds "3 minutes" there; a bracket would end the header. */
static void add_thread_name(struct pf_buf *out, const char *name)
{
	size_t start;

	if (!name[0])
		return;
	pf_buf_str(out, ", ");
	start = out->length;
	pf_utf8_add_plain(out, name);
	for (size_t i = start; i < out->length; i++)
		if (out->at[i] == ']')
			out->at[i] = ')';
}

/* Who created it, and where: the address is a label, not on any stack. */
static void add_origin(
    struct pf_buf *out, const struct pf_profile *in, const struct pf_thread_labels *t)
{
	struct pf_place place = {.address = t->creator_pc};

	pf_buf_str(out, "created by ");
	pf_utf8_add_plain(out, t->created_by);
	if (t->creator)
		pf_buf_printf(out, " in goroutine %" PRId64, t->creator);
	pf_buf_char(out, '\n');
	if (!t->creator_pc)
		return;
	place.location = pf_profile_location(in, t->creator_pc);
	place.mapping = pf_profile_mapping(in, t->creator_pc);
	add_where(out, &place,
	    line_at(in, place.location, place.location ? place.location->line_count - 1 : 0));
}

static void draw_thread(
    struct pf_buf *out, const struct pf_frames *frames, const struct pf_sample *s)
{
	struct pf_thread_labels t = pf_thread_labels(frames->in, s);

	pf_buf_printf(out, "goroutine %" PRId64 " [", t.tid);
	pf_utf8_add_plain(out, t.state[0] ? t.state : "unknown");
	if (t.age_ns >= MINUTE_NS) /* Go says it from one minute on, and "1 minutes" */
		pf_buf_printf(out, ", %" PRId64 " minutes", t.age_ns / MINUTE_NS);
	add_thread_name(out, t.name);
	pf_buf_str(out, "]:\n");
	for (uint32_t i = 0; i < s->pc_count; i++)
		draw_address(out, frames, frames->in->pcs[s->pc_first + i]);
	if (t.created_by[0])
		add_origin(out, frames->in, &t);
}

static int by_tid(const void *a, const void *b, void *profile)
{
	const struct pf_profile *p = profile;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int64_t x_tid = pf_thread_labels(p, &p->samples[x]).tid;
	int64_t y_tid = pf_thread_labels(p, &p->samples[y]).tid;

	if (x_tid != y_tid)
		return x_tid < y_tid ? -1 : 1;
	return x < y ? -1 : x > y;
}

void pf_render_stacks(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	uint32_t *order = pf_memory_new(in->sample_count + 1, sizeof(*order));
	struct pf_frames frames;
	int rc = pf_frames_init(&frames, in);

	if (!order || rc < 0) {
		pf_buf_fail(out, -ENOMEM);
		goto out;
	}
	for (size_t i = 0; i < in->sample_count; i++)
		order[i] = (uint32_t)i;
	pf_sort_with(order, in->sample_count, sizeof(*order), by_tid, (void *)(uintptr_t)in);
	for (size_t i = 0; i < in->sample_count; i++) {
		if (i)
			pf_buf_char(out, '\n');
		draw_thread(out, &frames, &in->samples[order[i]]);
	}
out:
	pf_frames_finish(&frames);
	pf_memory_free(order);
}
