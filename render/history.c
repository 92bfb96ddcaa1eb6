/* History as rows for awk and gnuplot, and as JSON for charts. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/utc.h"
#include "render/render.h"

void pf_render_history_text(struct pf_buf *out, const struct pf_history_rows *in)
{
	char stamp[PF_UTC_TEXT];

	pf_buf_printf(out,
	    "# history: a row is %lld s; - was not known; counters (+) are what had come together "
	    "by then\n",
	    (long long)in->step_seconds);
	for (int c = 0; c < PF_HISTORY_COLUMN_COUNT; c++)
		pf_buf_printf(out, "# %2d %s%s (%s): %s\n", c + 2, pf_history_columns[c].name,
		    pf_history_columns[c].counter ? "+" : "", pf_history_columns[c].unit,
		    pf_history_columns[c].what);
	pf_buf_str(out, "#time");
	for (int c = 0; c < PF_HISTORY_COLUMN_COUNT; c++)
		pf_buf_printf(out, " %s", pf_history_columns[c].name);
	pf_buf_char(out, '\n');
	for (size_t i = 0; i < in->count; i++) {
		pf_utc_text(in->row[i].time_ns, stamp);
		pf_buf_str(out, stamp);
		for (int c = 0; c < PF_HISTORY_COLUMN_COUNT; c++)
			if (in->row[i].value[c] < 0)
				pf_buf_str(out, " -");
			else
				pf_buf_printf(out, " %lld", (long long)in->row[i].value[c]);
		pf_buf_char(out, '\n');
	}
}

/* Each number's own array is shorter than an object for each row, and is what charts want. */
void pf_render_history_json(struct pf_buf *out, const struct pf_history_rows *in)
{
	pf_buf_printf(out, "{\"step_seconds\": %lld,\n\"time\": [", (long long)in->step_seconds);
	for (size_t i = 0; i < in->count; i++)
		pf_buf_printf(out, "%s%lld", i ? "," : "",
		    (long long)(in->row[i].time_ns / PF_NS_PER_SECOND));
	pf_buf_str(out, "],\n\"columns\": [");
	for (int c = 0; c < PF_HISTORY_COLUMN_COUNT; c++) {
		const struct pf_history_column_info *info = &pf_history_columns[c];

		pf_buf_printf(out,
		    "%s\n{\"name\": \"%s\", \"unit\": \"%s\", \"counter\": %s, \"what\": \"%s\",\n"
		    "\"value\": [",
		    c ? "," : "", info->name, info->unit, info->counter ? "true" : "false",
		    info->what);
		for (size_t i = 0; i < in->count; i++)
			if (in->row[i].value[c] < 0)
				pf_buf_str(out, i ? ",null" : "null");
			else
				pf_buf_printf(
				    out, "%s%lld", i ? "," : "", (long long)in->row[i].value[c]);
		pf_buf_str(out, "]}");
	}
	pf_buf_str(out, "\n]}\n");
}
