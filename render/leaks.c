/* Leaks: what has been in use for long, a row for each stack, with the ages of its blocks.
 *
 *     # heap_leaks: inuse_space
 *     # total 1536000 (1.5 MiB)
 *     #     bytes  bytes%    objects  oldest_s  youngest_s  function  [module]
 *         1024000  66.67%       1000        12           3  read_request  [server]
 *          512000  33.33%        500        12          12  load_config  [server]
 *     #
 *     # stack 1 of 2: 1024000 bytes in 1000 objects, allocated 3 to 12 s ago
 *     #     read_request  [server]
 *     #     main  [server]
 *
 * A leak goes on: its youngest is young. What was set up once has no young ones.
 */
#include "base/buf.h"
#include "render/frame.h"
#include "render/render.h"
#include "render/site.h"
#include "render/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { ROWS_DEFAULT = 100, STACKS_SHOWN = 10 };

struct leaks {
	const struct pf_profile *in;
	struct pf_frames frames;
	struct pf_groups groups;
	int64_t total;
};

struct leak {
	int64_t objects, oldest_s, youngest_s;
};

static void read_label(const struct pf_label *label, struct leak *leak)
{
	if (strcmp(label->key, "oldest") == 0 && label->num > leak->oldest_s)
		leak->oldest_s = label->num;
	if (strcmp(label->key, "youngest") == 0 && label->num < leak->youngest_s)
		leak->youngest_s = label->num;
}

static struct leak leak_of(const struct leaks *all, const struct pf_group *g)
{
	struct leak leak = {.youngest_s = INT64_MAX};

	for (uint32_t i = 0; i < g->sample_count; i++) {
		const struct pf_sample *s =
		    &all->in->samples[all->groups.samples[g->sample_first + i]];

		leak.objects += s->value[0];
		for (uint32_t k = 0; k < s->label_count; k++)
			read_label(&all->in->labels[s->label_first + k], &leak);
	}
	if (leak.youngest_s > leak.oldest_s)
		leak.youngest_s = leak.oldest_s;
	return leak;
}

static void draw_table(struct pf_buf *out, const struct leaks *all, size_t shown)
{
	int64_t rest = 0;

	pf_buf_str(
	    out, "#      bytes  bytes%    objects  oldest_s  youngest_s  function  [module]\n");
	for (size_t i = 0; i < all->groups.count; i++) {
		const struct pf_group *g = &all->groups.items[i];
		const struct pf_frame *site = pf_site_frame(&all->frames, &all->groups, g);
		struct leak leak = leak_of(all, g);

		if (i >= shown) {
			rest += g->value;
			continue;
		}
		pf_buf_printf(out,
		    " %11" PRId64 " %6.2f%% %10" PRId64 " %9" PRId64 " %11" PRId64 "  ", g->value,
		    all->total ? 100.0 * (double)g->value / (double)all->total : 0, leak.objects,
		    leak.oldest_s, leak.youngest_s);
		if (site)
			pf_text_frame(out, site);
		pf_buf_char(out, '\n');
	}
	if (all->groups.count > shown)
		pf_buf_printf(out, "# %zu more stacks, bytes %" PRId64 "; ?n= shows more\n",
		    all->groups.count - shown, rest);
}

static void draw_stacks(struct pf_buf *out, const struct leaks *all)
{
	for (size_t i = 0; i < all->groups.count && i < STACKS_SHOWN; i++) {
		const struct pf_group *g = &all->groups.items[i];
		struct leak leak = leak_of(all, g);

		pf_buf_printf(out,
		    "#\n# stack %zu of %zu: %" PRId64 " bytes in %" PRId64
		    " objects, allocated %" PRId64 " to %" PRId64 " s ago\n",
		    i + 1, all->groups.count, g->value, leak.objects, leak.youngest_s,
		    leak.oldest_s);
		pf_site_stack(out, &all->frames, &all->groups, g);
	}
}

void pf_render_leaks(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	uint32_t type = pf_profile_default_type(in);
	size_t shown = query->rows > 0 ? (size_t)query->rows : ROWS_DEFAULT;
	struct leaks all = {.in = in};
	int rc = query->lines ? pf_frames_init_by_line(&all.frames, in)
			      : pf_frames_init(&all.frames, in);

	all.total = in->type_count ? pf_profile_total(in, type) : 0;
	if (rc == 0)
		rc = pf_groups_init(&all.groups, &all.frames, type);
	if (rc == 0) {
		pf_text_head(out, in, type);
		draw_table(out, &all, shown);
		draw_stacks(out, &all);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_groups_finish(&all.groups);
	pf_frames_finish(&all.frames);
}
