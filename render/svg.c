/* SVG: a flame graph as a picture. Wide is expensive; above a frame stands what it calls.
 *
 *         [ alloc ]
 *     [     add     ][ alloc ]
 *     [        handle        ][al]
 *     [           main           ]
 *     [            all           ]
 *
 * Plain XML for browsers, image viewers and reports: no script, no font of its own, light or dark
 * as the viewer likes. Each frame tells its whole name and numbers when it is pointed at.
 */
#include "base/clock.h"
#include "base/utc.h"
#include "render/colour.h"
#include "render/frametree.h"
#include "render/page.h"
#include "render/render.h"

#include <errno.h>
#include <string.h>

#include "render/svg.inc"

enum { WIDTH = 1200, MARGIN = 12, ROW = 18, HEAD = 62, LINE = 18, LEGEND_MAX = 60 };
static const double LETTER = 6.63;   /* 11 px in the monospace fonts that systems have */
static const double SMALLEST = 0.25; /* narrower is not drawn */

struct picture {
	struct pf_buf *out;
	const struct pf_profile *in;
	struct pf_frametree tree;
	struct pf_colours colours;
	uint32_t type;
	const char *unit;
	int64_t total;
	uint32_t rows; /* with "all" */
	size_t left_out;
};

static double x_of(const struct picture *p, int64_t value)
{
	return (double)value * (WIDTH - 2 * MARGIN) / (double)p->total;
}

/* "721.6 ms, 70.00 %" */
static void add_share(const struct picture *p, int64_t value)
{
	pf_page_value(p->out, p->unit, value);
	pf_buf_printf(p->out, ", %.2f %%", 100.0 * (double)value / (double)p->total);
}

static void add_title(const struct picture *p, const struct pf_frame *frame, const char *name,
    const struct pf_frametree_node *node)
{
	pf_buf_str(p->out, "<title>");
	pf_page_text(p->out, name);
	if (*frame->module && *frame->function != '[') {
		pf_buf_str(p->out, "  [");
		pf_page_text(p->out, frame->module);
		pf_buf_char(p->out, ']');
	}
	pf_buf_char(p->out, '\n');
	add_share(p, node->total);
	if (node->self && node->self != node->total) {
		pf_buf_str(p->out, "; in itself ");
		add_share(p, node->self);
	}
	pf_buf_str(p->out, "</title>");
}

static void add_box(const struct picture *p, double x, uint32_t row, double width, const char *text)
{
	PF_SCOPED(pf_buf) clip = PF_BUF_INIT;
	uint32_t y = HEAD + (p->rows - 1 - row) * ROW;
	double room = (width - 6) / LETTER;

	pf_buf_printf(p->out, "<rect x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"%d\"/>",
	    MARGIN + x, y, width > 1.5 ? width - 0.5 : width, ROW - 1);
	if (room >= 3)
		pf_page_clip(&clip, text, (size_t)room);
	if (clip.length) {
		pf_buf_printf(p->out, "<text x=\"%.2f\" y=\"%u\">", MARGIN + x + 3, y + 13);
		pf_page_text(p->out, pf_buf_text(&clip));
		pf_buf_str(p->out, "</text>");
	}
	pf_buf_fail(p->out, clip.error);
}

static void draw_frame(void *to, const struct pf_frametree_node *node)
{
	struct picture *p = to;
	const struct pf_frame *frame = &p->tree.frames.items[node->frame];
	PF_SCOPED(pf_buf) name = PF_BUF_INIT;
	double width = x_of(p, node->total);

	if (width < SMALLEST) {
		p->left_out++;
		return;
	}
	pf_buf_printf(p->out, "<g class=\"m%u\">",
	    p->colours.colour[pf_colours_module(&p->colours, frame->module)]);
	pf_frametree_name(&name, frame);
	add_title(p, frame, pf_buf_text(&name), node);
	add_box(p, x_of(p, node->before), node->depth + 1, width, pf_buf_text(&name));
	pf_buf_str(p->out, "</g>\n");
	pf_buf_fail(p->out, name.error);
}

/* ---- round the picture ---- */

static void add_line(struct pf_buf *out, const char *class, uint32_t y, const char *text)
{
	PF_SCOPED(pf_buf) clip = PF_BUF_INIT;

	pf_page_clip(&clip, text, (size_t)((WIDTH - 2 * MARGIN) / LETTER));
	pf_buf_fail(out, clip.error);
	pf_buf_printf(out, "<text class=\"%s\" x=\"%d\" y=\"%u\">", class, MARGIN, y);
	pf_page_text(out, pf_buf_text(&clip));
	pf_buf_str(out, "</text>\n");
}

static void draw_head(const struct picture *p)
{
	const struct pf_profile *in = p->in;
	PF_SCOPED(pf_buf) line = PF_BUF_INIT;
	char time[PF_UTC_TEXT];

	if (in->mapping_count)
		pf_buf_printf(&line, "%s: ", pf_place_basename(in->mappings[0].path));
	pf_buf_str(&line, in->name ? in->name : "");
	add_line(p->out, "head", 26, pf_buf_text(&line));
	pf_buf_clear(&line);
	pf_buf_printf(&line, "%s ", in->type_count ? in->types[p->type].type : "");
	pf_page_value(&line, p->unit, p->total);
	if (in->time_ns) {
		pf_utc_text(in->time_ns, time);
		pf_buf_printf(&line, ", %s %s", in->duration_ns ? "from" : "at", time);
	}
	if (in->duration_ns)
		pf_buf_printf(&line, ", %.3f s", (double)in->duration_ns / PF_NS_PER_SECOND);
	add_line(p->out, "note", 46, pf_buf_text(&line));
	pf_buf_fail(p->out, line.error);
}

/* Which colour is which module: as many lines as it takes. Returns the next line's place. */
static uint32_t draw_legend(const struct picture *p, uint32_t y)
{
	double x = MARGIN;

	for (size_t i = 0; i < p->colours.count && i < LEGEND_MAX; i++) {
		PF_SCOPED(pf_buf) clip = PF_BUF_INIT;
		double width;

		if (!*p->colours.modules[i])
			continue;
		pf_page_clip(&clip, p->colours.modules[i], 40);
		width = 17 + LETTER * (double)clip.length + 14;
		if (x + width > WIDTH - MARGIN) {
			x = MARGIN;
			y += LINE;
		}
		pf_buf_printf(p->out,
		    "<g class=\"m%u\"><rect x=\"%.2f\" y=\"%u\" width=\"11\" height=\"11\"/>"
		    "<text x=\"%.2f\" y=\"%u\">",
		    p->colours.colour[i], x, y - 10, x + 16, y);
		pf_page_text(p->out, pf_buf_text(&clip));
		pf_buf_fail(p->out, clip.error);
		pf_buf_str(p->out, "</text></g>\n");
		x += width;
	}
	return y + LINE + 4;
}

/* What was lost, and what is not to be seen. Returns the next line's place. */
static uint32_t draw_notes(const struct picture *p, uint32_t y)
{
	PF_SCOPED(pf_buf) line = PF_BUF_INIT;
	int64_t below = p->in->type_count ? pf_frametree_below(&p->tree, p->type) : 0;

	for (size_t i = 0; i < p->in->comment_count; i++, y += LINE)
		add_line(p->out, "note", y, p->in->comments[i]);
	if (below) {
		pf_page_value(&line, p->unit, below);
		pf_buf_str(&line, " went away, which has no width");
		add_line(p->out, "note", y, pf_buf_text(&line));
		y += LINE;
	}
	if (p->left_out) {
		pf_buf_clear(&line);
		pf_buf_printf(&line, "frames too narrow to be drawn: %zu", p->left_out);
		add_line(p->out, "note", y, pf_buf_text(&line));
		y += LINE;
	}
	pf_buf_fail(p->out, line.error);
	return y;
}

static void draw_frames(struct picture *p)
{
	int rc;

	if (p->total == 0) {
		add_line(p->out, "note", HEAD + 13, "nothing was recorded");
		return;
	}
	pf_buf_str(p->out, "<g class=\"m0\"><title>all\n");
	add_share(p, p->total);
	pf_buf_str(p->out, "</title>");
	add_box(p, 0, 0, WIDTH - 2 * MARGIN, "all");
	pf_buf_str(p->out, "</g>\n");
	rc = pf_frametree_walk(&p->tree, p->type, draw_frame, p);
	pf_buf_fail(p->out, rc);
}

static void draw_style(struct pf_buf *out)
{
	pf_buf_str(out, "<style>\n");
	pf_buf_add(out, svg_css, sizeof(svg_css));
	for (int i = 0; i < PF_COLOUR_COUNT; i++)
		pf_buf_printf(out, ".m%d rect { fill: %s }\n", i, pf_colour_palette[i].light);
	pf_buf_str(out, "@media (prefers-color-scheme: dark) {\n");
	for (int i = 0; i < PF_COLOUR_COUNT; i++)
		pf_buf_printf(out, "\t.m%d rect { fill: %s }\n", i, pf_colour_palette[i].dark);
	pf_buf_str(out, "}\n</style>\n");
}

/* Everything but the first lines, whose height it returns: what is not drawn is known only then. */
static uint32_t draw_body(struct picture *p)
{
	uint32_t y = HEAD + p->rows * ROW + 26;

	draw_head(p);
	draw_frames(p);
	y = draw_legend(p, y);
	return draw_notes(p, y);
}

static void draw(struct pf_buf *out, struct picture *p)
{
	PF_SCOPED(pf_buf) body = PF_BUF_INIT;
	uint32_t height;

	p->out = &body;
	height = draw_body(p);
	pf_buf_printf(out,
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
	    "viewBox=\"0 0 %d %u\">\n",
	    WIDTH, height, WIDTH, height);
	draw_style(out);
	pf_buf_printf(out, "<rect class=\"paper\" width=\"%d\" height=\"%u\"/>\n", WIDTH, height);
	pf_buf_add(out, body.at, body.length);
	pf_buf_str(out, "</svg>\n");
	pf_buf_fail(out, body.error);
}

/* How high it is, and how wide: all that has a value. */
static void measure(struct picture *p)
{
	p->rows = 1;
	for (size_t i = 0; p->in->type_count && i < p->tree.groups.count; i++) {
		uint32_t rows = p->tree.groups.items[i].depth + 1;

		if (pf_frametree_value(&p->tree, i, p->type) && rows > p->rows)
			p->rows = rows;
	}
}

void pf_render_svg(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct picture p = {.in = in, .type = pf_profile_default_type(in), .unit = ""};
	int rc = pf_frametree_init(&p.tree, in, query->lines);

	if (rc == 0)
		rc = pf_colours_init(&p.colours, &p.tree.frames);
	if (rc == 0 && in->type_count) {
		p.unit = in->types[p.type].unit;
		p.total = pf_frametree_total(&p.tree, p.type);
	}
	if (rc == 0) {
		measure(&p);
		draw(out, &p);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_colours_finish(&p.colours);
	pf_frametree_finish(&p.tree);
}
