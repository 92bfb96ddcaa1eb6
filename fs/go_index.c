/* debug/pprof/index.html: the page that net/http/pprof shows at /debug/pprof/, with its counts: how many
 * records a profile has now. Links lead to files beside it, and to the flame graphs above. */
#include "base/buf.h"
#include "base/sort.h"
#include "fs/landing.h"
#include "fs/live.h"
#include "render/render.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>/debug/pprof/</title>\n"
    "<style>\nbody { font: 14px/1.5 system-ui, sans-serif; margin: 20px }\n"
    "td, th { padding: 1px 14px 1px 0; text-align: left }\n.number { text-align: right }\n"
    "</style>\n</head>\n<body>\n<h1>/debug/pprof/</h1>\n"
    "<p>Set debug=1 as a query parameter to export in legacy text format</p>\n"
    "<p>Types of profiles available:</p>\n<table>\n"
    "<tr><th class=\"number\">Count</th><th>Profile</th><th></th><th></th></tr>\n";

enum { ROWS_MAX = 64 };

/* What stands under debug/pprof/, by name. */
struct rows {
	const struct pf_entry *items[ROWS_MAX];
	size_t count;
};

static int by_name(const void *a, const void *b)
{
	const struct pf_entry *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static struct rows find_rows(const struct pf_tree *tree)
{
	const struct pf_entry *home = pf_tree_path(tree, "debug/pprof");
	struct rows rows = {.count = 0};

	for (size_t i = 0; home && i < tree->count && rows.count < ROWS_MAX; i++) {
		const struct pf_entry *e = &tree->entries[i];

		if (e->parent == home->id && e->listed && strcmp(e->name, "index.html") != 0)
			rows.items[rows.count++] = e;
	}
	if (rows.count)
		pf_sort(rows.items, rows.count, sizeof(*rows.items), by_name);
	return rows;
}

/* NULL: no profile. One that takes time is a link to where it is made. */
static const struct pf_profile_row *profile_of(const struct pf_tree *tree, const struct pf_entry *e)
{
	if (e->kind == PF_KIND_LINK)
		e = pf_tree_entry(tree, e->to);
	return e && e->kind == PF_KIND_PROFILE ? e->profile : NULL;
}

/* Records of now; 0, as Go says, of what takes time or is no profile. No names are looked up. */
static int64_t count_of(struct pf_live *live, const struct pf_profile_row *row)
{
	struct pf_query moment = {0};
	struct pf_profile p;
	int64_t count = 0;

	if (!row || row->window)
		return 0;
	if (row->source == PF_SOURCE_THREADS && live->door->threads)
		return (int64_t)live->door->threads(NULL, 0);
	pf_profile_init(&p);
	if (live->door->collect[row->source](&p, &moment, NULL) == 0 && p.error == 0)
		count = (int64_t)p.sample_count;
	pf_profile_finish(&p);
	return count;
}

static void add_row(struct pf_buf *out, struct pf_live *live, const struct pf_entry *e)
{
	const struct pf_profile_row *row = profile_of(live->tree, e);

	pf_buf_printf(out,
	    "<tr><td class=\"number\">%" PRId64 "</td><td><a href=\"%s\">%s</a></td><td>",
	    count_of(live, row), e->name, e->name);
	if (row && !row->window)
		pf_buf_printf(out, "<a href=\"%s%%3Fdebug=1\">debug=1</a>", e->name);
	pf_buf_str(out, "</td><td>");
	if (row)
		pf_buf_printf(out, "<a href=\"../../%s.html\">flame graph</a>", row->stem);
	pf_buf_str(out, "</td></tr>\n");
}

static void describe(struct pf_buf *out, struct pf_live *live, const struct pf_entry *e)
{
	const struct pf_profile_row *row = profile_of(live->tree, e);

	pf_buf_printf(out, "<li><b>%s:</b> ", e->name);
	pf_page_text(out, row ? row->help : e->help ? e->help : "");
	pf_buf_str(out, "</li>\n");
}

void pf_landing_go_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	struct rows rows = find_rows(live->tree);

	pf_buf_str(out, head);
	for (size_t i = 0; i < rows.count; i++)
		add_row(out, live, rows.items[i]);
	pf_buf_str(out,
	    "</table>\n<p><a href=\"goroutine%3Fdebug=2\">full goroutine stack dump</a></p>\n"
	    "<p>Profile Descriptions:</p>\n<ul>\n");
	for (size_t i = 0; i < rows.count; i++)
		describe(out, live, rows.items[i]);
	pf_buf_str(out,
	    "</ul>\n<p><a href=\"../../index.html\">the whole tree</a></p>\n</body>\n</html>\n");
}
