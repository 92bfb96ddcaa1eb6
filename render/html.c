/* HTML: an interactive flame graph. This writes the data; page/flame.js draws it.
 *
 *     {"columns": [...], "modules": [...], "frames": ["main", 0, ...],
 *      "stacks": [shared, more, frame..., value..., shared, more, ...]}
 *
 * Stacks are in the tree's order, each from the root as what it shares with the one before and what
 * is new, with one value for each column: as small as text can be, and the page makes the tree from
 * it in one pass.
 *
 * A browser holds some million frames. Of more, the smallest in every column are left out with all
 * above them: their values go to one frame "[small frames]" in each place, so that sums stay true.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "base/utc.h"
#include "render/colour.h"
#include "render/frametree.h"
#include "render/page.h"
#include "render/render.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#ifdef PF_SMALL
enum { NODES_MAX = 1000 };
#else
enum { NODES_MAX = 2000000 };
#endif

/* How large a node is, by its largest share: the whole, a half, a quarter... in steps of a quarter of
 * that. */
enum { SIZE_COUNT = 256 };

struct sizes {
	uint8_t *of; /* of each node: 0 the largest */
	int64_t total;
	uint8_t kept; /* the smallest that is shown */
	size_t left_out;
};

struct page {
	struct pf_buf *out;
	const struct pf_profile *in;
	struct pf_frametree tree;
	struct pf_colours colours;
	struct sizes sizes;
};

/* ---- what is too small ---- */

static void note_size(void *to, const struct pf_frametree_node *node)
{
	struct sizes *s = to;
	double times = (double)s->total / (double)node->total; /* 1 and more */
	uint64_t bits, step;

	/* The exponent and two bits of the fraction: a logarithm, nearly. */
	memcpy(&bits, &times, sizeof(bits));
	step = (bits >> 50) - (1023ull << 2);
	if (step < s->of[node->number])
		s->of[node->number] = (uint8_t)step;
}

/* What is kept so that no more than NODES_MAX are: 0 or -ENOMEM. */
static int find_small(struct page *p, size_t count)
{
	struct sizes *s = &p->sizes;
	size_t of_size[SIZE_COUNT] = {0}, sum = 0;
	int rc = 0;

	s->of = pf_memory_new(count, sizeof(*s->of));
	if (!s->of)
		return -ENOMEM;
	memset(s->of, SIZE_COUNT - 1, count);
	for (uint32_t type = 0; type < p->in->type_count && rc == 0; type++) {
		s->total = pf_frametree_total(&p->tree, type);
		rc = pf_frametree_walk(&p->tree, type, note_size, s);
	}
	for (size_t i = 0; i < count; i++)
		of_size[s->of[i]]++;
	for (s->kept = 0, sum = of_size[0]; sum + of_size[s->kept + 1] <= NODES_MAX; s->kept++)
		sum += of_size[s->kept + 1];
	s->left_out = count - sum;
	return rc;
}

static bool is_small(const struct page *p, uint32_t node)
{
	return p->sizes.of && p->sizes.of[node] > p->sizes.kept;
}

/* ---- stacks ---- */

/* Where the one who writes stacks is. */
struct writer {
	uint32_t node;  /* number of the next one */
	uint32_t cut;   /* how many frames of the last stack were written before a small one */
	bool was_small; /* a small one stands behind these */
};

static void add_number(struct pf_buf *out, int64_t number)
{
	char text[24], *at = text + sizeof(text);
	size_t length;

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	*--at = ',';
	length = (size_t)(text + sizeof(text) - at);
	pf_buf_add(out, at, length);
}

/* How many of its frames are shown. */
static uint32_t depth_shown(
    const struct page *p, const struct writer *w, size_t stack, uint32_t shared)
{
	uint32_t depth = p->tree.groups.items[stack].depth;

	if (w->was_small && shared > w->cut)
		return w->cut;
	for (uint32_t i = shared; i < depth; i++)
		if (is_small(p, w->node + i - shared))
			return i;
	return depth;
}

static void write_stack(struct page *p, struct writer *w, size_t stack)
{
	uint32_t depth = p->tree.groups.items[stack].depth;
	uint32_t shared = pf_frametree_shared(&p->tree, stack);
	uint32_t shown = depth_shown(p, w, stack, shared);
	bool small = shown < depth;
	/* Of what was written: the small frame of the last stack may be this one's, too. */
	uint32_t same =
	    w->was_small && small && shown == w->cut && shared >= shown ? shown + 1 : shared;
	uint32_t more = shown + small - same;

	add_number(p->out, same);
	add_number(p->out, more);
	for (uint32_t i = same; i < shown; i++)
		add_number(p->out, pf_frametree_frame(&p->tree, stack, i));
	if (small && more)
		add_number(p->out, p->tree.frames.index.count);
	for (uint32_t type = 0; type < p->in->type_count; type++)
		add_number(p->out, pf_frametree_value(&p->tree, stack, type));
	w->node += depth - shared;
	w->cut = shown;
	w->was_small = small;
}

/* ---- the rest ---- */

static void write_names(struct page *p)
{
	const struct pf_frames *frames = &p->tree.frames;
	PF_SCOPED(pf_buf) name = PF_BUF_INIT;

	pf_buf_str(p->out, ",\n\"modules\":[");
	for (size_t i = 0; i < p->colours.count; i++) {
		pf_buf_str(p->out, i ? ",[" : "[");
		pf_page_string(p->out, p->colours.modules[i]);
		pf_buf_printf(p->out, ",%u]", p->colours.colour[i]);
	}
	pf_buf_str(p->out, "],\n\"frames\":[");
	for (size_t i = 0; i < frames->index.count; i++) {
		pf_buf_str(p->out, i ? ",\n" : "\n");
		pf_buf_clear(&name);
		pf_frametree_name(&name, &frames->items[i]);
		pf_page_string(p->out, pf_buf_text(&name));
		pf_buf_printf(
		    p->out, ",%u", pf_colours_module(&p->colours, frames->items[i].module));
	}
	pf_buf_fail(p->out, name.error);
	pf_buf_printf(p->out, "%s\n\"[small frames]\",-1]", frames->index.count ? "," : "");
}

static void write_columns(struct page *p)
{
	pf_buf_str(p->out, ",\n\"columns\":[");
	for (uint32_t type = 0; type < p->in->type_count; type++) {
		pf_buf_str(p->out, type ? ",{\"name\":" : "{\"name\":");
		pf_page_string(p->out, p->in->types[type].type);
		pf_buf_str(p->out, ",\"unit\":");
		pf_page_string(p->out, p->in->types[type].unit);
		pf_buf_printf(
		    p->out, ",\"below\":%" PRId64 "}", pf_frametree_below(&p->tree, type));
	}
	pf_buf_printf(p->out, "],\n\"column\":%u", pf_profile_default_type(p->in));
}

static void write_about(struct page *p, const char *program)
{
	const struct pf_profile *in = p->in;
	char time[PF_UTC_TEXT] = "";

	if (in->time_ns)
		pf_utc_text(in->time_ns, time);
	pf_buf_str(p->out, "{\"program\":");
	pf_page_string(p->out, program);
	pf_buf_str(p->out, ",\"profile\":");
	pf_page_string(p->out, in->name ? in->name : "");
	pf_buf_printf(p->out, ",\"time\":\"%s\",\"seconds\":%.3f,\"left_out\":%zu,\n\"comments\":[",
	    time, (double)in->duration_ns / PF_NS_PER_SECOND, p->sizes.left_out);
	for (size_t i = 0; i < in->comment_count; i++) {
		pf_buf_str(p->out, i ? "," : "");
		pf_page_string(p->out, in->comments[i]);
	}
	pf_buf_str(p->out, "],\n\"palette\":[");
	for (int i = 0; i < PF_COLOUR_COUNT; i++)
		pf_buf_printf(p->out, "%s\"%s\",\"%s\"", i ? "," : "", pf_colour_palette[i].light,
		    pf_colour_palette[i].dark);
	pf_buf_str(p->out, "]");
}

static void write_stacks(struct page *p)
{
	struct writer w = {0};
	size_t before;

	pf_buf_str(p->out, ",\n\"stacks\":[");
	before = p->out->length;
	for (size_t i = 0; i < p->tree.groups.count; i++)
		write_stack(p, &w, i);
	if (!p->out->error && p->out->length > before) /* each number has its comma in front */
		p->out->at[before] = ' ';
	pf_buf_str(p->out, "]}");
}

static void draw(struct page *p)
{
	PF_SCOPED(pf_buf) title = PF_BUF_INIT;
	const char *program =
	    p->in->mapping_count ? pf_place_basename(p->in->mappings[0].path) : "";

	pf_buf_printf(&title, "%s %s", program, p->in->name ? p->in->name : "");
	pf_page_open(p->out, PF_PAGE_FLAME, pf_buf_text(&title));
	pf_buf_fail(p->out, title.error);
	write_about(p, program);
	write_columns(p);
	write_names(p);
	write_stacks(p);
	pf_page_close(p->out, PF_PAGE_FLAME);
}

void pf_render_html(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct page p = {.out = out, .in = in};
	int rc = pf_frametree_init(&p.tree, in, query->lines);
	size_t count = rc == 0 ? pf_frametree_count(&p.tree) : 0;

	if (rc == 0)
		rc = pf_colours_init(&p.colours, &p.tree.frames);
	if (rc == 0 && count > NODES_MAX)
		rc = find_small(&p, count);
	if (rc == 0)
		draw(&p);
	else
		pf_buf_fail(out, rc);
	pf_memory_free(p.sizes.of);
	pf_colours_finish(&p.colours);
	pf_frametree_finish(&p.tree);
}
