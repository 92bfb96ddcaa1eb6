/* debug/pprof/index.html: the page that net/http/pprof shows at /debug/pprof/, with its counts: how many
 * records a profile has now. Links lead to files beside it, and to the flame graphs above. */
#include "base/buf.h"
#include "fs/landing.h"
#include "fs/live.h"
#include "render/render.h"

#include <inttypes.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>/debug/pprof/</title>\n"
    "<style>\nbody { font: 14px/1.5 system-ui, sans-serif; margin: 20px }\n"
    "td, th { padding: 1px 14px 1px 0; text-align: left }\n.number { text-align: right }\n"
    "</style>\n</head>\n<body>\n<h1>/debug/pprof/</h1>\n"
    "<p>Set debug=1 as a query parameter to export in legacy text format</p>\n"
    "<p>Types of profiles available:</p>\n<table>\n"
    "<tr><th class=\"number\">Count</th><th>Profile</th><th></th><th></th></tr>\n";

/* Records of now, or -1: it takes time, or cannot be had. No names are looked up. */
static int64_t count_of(struct pf_live *live, const struct pf_profile_row *row)
{
	struct pf_query moment = {0};
	struct pf_profile p;
	int64_t count = -1;

	if (row->window)
		return -1;
	if (row->source == PF_SOURCE_THREADS && live->door->threads)
		return (int64_t)live->door->threads(NULL, 0);
	pf_profile_init(&p);
	if (live->door->collect[row->source](&p, &moment, NULL) == 0 && p.error == 0)
		count = (int64_t)p.sample_count;
	pf_profile_finish(&p);
	return count;
}

static void add_row(struct pf_buf *out, struct pf_live *live, const struct pf_profile_row *row)
{
	int64_t count = count_of(live, row);

	pf_buf_str(out, "<tr><td class=\"number\">");
	if (count >= 0)
		pf_buf_printf(out, "%" PRId64, count);
	pf_buf_printf(out, "</td><td><a href=\"%s\">%s</a></td>", row->go_name, row->go_name);
	pf_buf_str(out, "<td>");
	if (!row->window)
		pf_buf_printf(out, "<a href=\"%s%%3Fdebug=1\">debug=1</a>", row->go_name);
	pf_buf_printf(
	    out, "</td><td><a href=\"../../%s.html\">flame graph</a></td></tr>\n", row->stem);
}

void pf_landing_go_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	pf_buf_str(out, head);
	for (size_t i = 0; i < pf_table.profile_count; i++)
		if (live->door->collect[pf_table.profiles[i].source])
			add_row(out, live, &pf_table.profiles[i]);
	pf_buf_str(out,
	    "</table>\n<p><a href=\"goroutine%3Fdebug=2\">full goroutine stack dump</a></p>\n"
	    "<p>Profile Descriptions:</p>\n<ul>\n");
	for (size_t i = 0; i < pf_table.profile_count; i++) {
		if (!live->door->collect[pf_table.profiles[i].source])
			continue;
		pf_buf_printf(out, "<li><b>%s:</b> ", pf_table.profiles[i].go_name);
		pf_page_text(out, pf_table.profiles[i].help);
		pf_buf_str(out, "</li>\n");
	}
	pf_buf_str(out,
	    "</ul>\n<p><a href=\"../../index.html\">the whole tree</a></p>\n</body>\n</html>\n");
}
