/* Births: who created how many threads, and which of them live. After the rows that every text has:
 *
 *     # living 5
 *     # count  living  created by  [module]
 *     #    10       4  spawn_worker  [server]
 *     #     2       1  [unknown creator]
 *     #
 *     # 10 threads, 4 of them living, created by
 *     #     spawn_worker  [server]
 *     #     main  [server]
 *     #   living: 1234 "worker 1", 1235 "worker 2"
 *
 * Of a difference (?seconds=) both numbers may be negative.
 */
#include "base/buf.h"
#include "render/frame.h"
#include "render/render.h"
#include "render/site.h"
#include "render/text.h"
#include "render/thread.h"
#include "render/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_DEFAULT = 100, STACKS_SHOWN = 10, NAMES_SHOWN = 100 };

struct births {
	const struct pf_profile *in;
	struct pf_frames frames;
	struct pf_groups groups;
	uint32_t type;
};

static bool is_living(const struct pf_profile *p, const struct pf_sample *s)
{
	return strcmp(pf_thread_labels(p, s).state, "living") == 0;
}

static const struct pf_sample *sample_of(
    const struct births *b, const struct pf_group *g, uint32_t i)
{
	return &b->in->samples[b->groups.samples[g->sample_first + i]];
}

static int64_t living_in(const struct births *b, const struct pf_group *g)
{
	int64_t living = 0;

	for (uint32_t i = 0; i < g->sample_count; i++) {
		const struct pf_sample *s = sample_of(b, g, i);

		if (is_living(b->in, s))
			living += s->value[b->type];
	}
	return living;
}

static void draw_table(struct pf_buf *out, const struct births *b, size_t shown)
{
	int64_t living = 0, rest = 0;

	for (size_t i = 0; i < b->groups.count; i++)
		living += living_in(b, &b->groups.items[i]);
	pf_buf_printf(
	    out, "#\n# living %" PRId64 "\n# count  living  created by  [module]\n", living);
	for (size_t i = 0; i < b->groups.count; i++) {
		const struct pf_group *g = &b->groups.items[i];
		const struct pf_frame *site = pf_site_frame(&b->frames, &b->groups, g);

		if (i >= shown) {
			rest += g->value;
			continue;
		}
		pf_buf_printf(out, "# %6" PRId64 " %7" PRId64 "  ", g->value, living_in(b, g));
		if (site)
			pf_text_frame(out, site);
		pf_buf_char(out, '\n');
	}
	if (b->groups.count > shown)
		pf_buf_printf(out, "# %zu more creators, count %" PRId64 "; ?n= shows more\n",
		    b->groups.count - shown, rest);
}

/* Who of them lives, by number and name. */
static void draw_living(struct pf_buf *out, const struct births *b, const struct pf_group *g)
{
	uint32_t shown = 0, more = 0;

	for (uint32_t i = 0; i < g->sample_count; i++) {
		const struct pf_sample *s = sample_of(b, g, i);
		struct pf_thread_labels t = pf_thread_labels(b->in, s);

		if (!is_living(b->in, s) || t.tid == 0 || s->value[b->type] <= 0)
			continue;
		if (shown == NAMES_SHOWN) {
			more++;
			continue;
		}
		pf_buf_printf(out, "%s%" PRId64 " \"", shown++ ? ", " : "#   living: ", t.tid);
		pf_utf8_add_plain(out, t.name);
		pf_buf_char(out, '"');
	}
	if (more)
		pf_buf_printf(out, " and %" PRIu32 " more", more);
	if (shown)
		pf_buf_char(out, '\n');
}

static void draw_stacks(struct pf_buf *out, const struct births *b)
{
	for (size_t i = 0; i < b->groups.count && i < STACKS_SHOWN; i++) {
		const struct pf_group *g = &b->groups.items[i];

		pf_buf_printf(out,
		    "#\n# %" PRId64 " thread%s, %" PRId64 " of them living, created by\n", g->value,
		    g->value == 1 ? "" : "s", living_in(b, g));
		pf_site_stack(out, &b->frames, &b->groups, g);
		draw_living(out, b, g);
	}
}

void pf_render_births(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct births b = {.in = in, .type = pf_profile_default_type(in)};
	size_t shown = query->rows > 0 ? (size_t)query->rows : ROWS_DEFAULT;
	int rc = pf_frames_init(&b.frames, in);

	if (rc == 0)
		rc = pf_groups_init(&b.groups, &b.frames, b.type);
	if (rc == 0) {
		pf_text_head(out, in, b.type);
		pf_text_table(out, in, query);
		draw_table(out, &b, shown);
		draw_stacks(out, &b);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_groups_finish(&b.groups);
	pf_frames_finish(&b.frames);
}
