#include "fs/chart.h"
#include "base/buf.h"
#include "base/clock.h"
#include "fs/history.h"
#include "fs/live.h"
#include "fs/proc.h"
#include "render/render.h"

#include <inttypes.h>
#include <unistd.h>

enum { SERIES_MAX = 3, ROWS_MAX = 600 };

/* A counter is shown by its increase a second, times `scale`. */
static const struct chart {
	const char *title, *unit;
	double scale;
	bool brief; /* on the landing page, too */
	struct {
		enum pf_history_column column;
		const char *name; /* NULL: no more */
	} series[SERIES_MAX];
} charts[] = {
    {"CPU", "%", 0.1, true, /* of one CPU: milliseconds in a second */
	{{PF_HISTORY_CPU_USER, "user"}, {PF_HISTORY_CPU_SYSTEM, "system"},
	    {PF_HISTORY_AGENT_CPU, "the agent's part"}}},
    {"Memory", "bytes", 1, true, {{PF_HISTORY_RSS, "resident"}, {PF_HISTORY_HEAP, "heap in use"}}},
    {"Threads", "", 1, true, {{PF_HISTORY_THREADS, "threads"}}},
    {"Allocation", "bytes/s", 1, false, {{PF_HISTORY_ALLOCATED, "allocated"}}},
    {"Page faults", "/s", 1, false,
	{{PF_HISTORY_MINOR_FAULTS, "minor"}, {PF_HISTORY_MAJOR_FAULTS, "major"}}},
    {"Context switches", "/s", 1, false, {{PF_HISTORY_SWITCHES, "switches"}}},
    {"Records in profiles", "", 1, false,
	{{PF_HISTORY_HEAP_RECORDS, "heap"}, {PF_HISTORY_MUTEX_RECORDS, "mutex"},
	    {PF_HISTORY_BLOCK_RECORDS, "block"}}},
};

static const struct span {
	const char *name;
	int64_t seconds;
} spans[] = {
    {"10 minutes", 600},
    {"hour", 3600},
    {"day", PF_HISTORY_DAY_SECONDS},
};

static void add_values(struct pf_buf *out, const struct pf_history_rows *rows,
    enum pf_history_column column, double scale)
{
	for (size_t i = 0; i < rows->count; i++) {
		double value = pf_history_columns[column].counter
				   ? pf_history_rate(rows, i, column)
				   : (double)rows->row[i].value[column];

		pf_buf_str(out, i ? "," : "");
		if (value < 0)
			pf_buf_str(out, "null");
		else
			pf_buf_printf(out, "%.6g", value * scale);
	}
}

static void add_chart(
    struct pf_buf *out, const struct chart *chart, const struct pf_history_rows *rows)
{
	pf_buf_printf(
	    out, "{\"title\":\"%s\",\"unit\":\"%s\",\"series\":[", chart->title, chart->unit);
	for (int i = 0; i < SERIES_MAX && chart->series[i].name; i++) {
		pf_buf_printf(
		    out, "%s{\"name\":\"%s\",\"values\":[", i ? "," : "", chart->series[i].name);
		add_values(out, rows, chart->series[i].column, chart->scale);
		pf_buf_str(out, "]}");
	}
	pf_buf_str(out, "]}");
}

static void add_span(struct pf_buf *out, struct pf_live *live, const struct span *span, bool brief)
{
	struct pf_history_rows rows = {.row = NULL};
	bool first = true;

	pf_buf_fail(out, pf_history_read(live->history, span->seconds, ROWS_MAX, &rows));
	pf_buf_printf(
	    out, "{\"name\":\"%s\",\"seconds\":%" PRId64 ",\"times\":[", span->name, span->seconds);
	for (size_t i = 0; i < rows.count; i++)
		pf_buf_printf(out, "%s%" PRId64, i ? "," : "", rows.row[i].time_ns / PF_NS_PER_MS);
	pf_buf_str(out, "],\n\"charts\":[");
	for (size_t i = 0; i < PF_COUNT(charts); i++) {
		if (brief && !charts[i].brief)
			continue;
		pf_buf_str(out, first ? "" : ",\n");
		add_chart(out, &charts[i], &rows);
		first = false;
	}
	pf_buf_str(out, "]}");
	pf_history_rows_finish(&rows);
}

void pf_chart_data(struct pf_buf *out, struct pf_live *live, bool brief)
{
	PF_SCOPED(pf_buf) name = PF_BUF_INIT;

	pf_proc_name(&name);
	pf_buf_str(out, "{\"program\":");
	pf_page_string(out, pf_buf_text(&name));
	pf_buf_fail(out, name.error);
	pf_buf_printf(out, ",\"pid\":%d,\"made\":%" PRId64 ",\"spans\":[\n", (int)getpid(),
	    pf_clock_real_ns() / PF_NS_PER_MS);
	for (size_t i = 0; i < PF_COUNT(spans) && !(brief && i); i++) {
		pf_buf_str(out, i ? ",\n" : "");
		add_span(out, live, &spans[i], brief);
	}
	pf_buf_str(out, "]}");
}

void pf_chart_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	PF_SCOPED(pf_buf) title = PF_BUF_INIT;

	pf_proc_name(&title);
	pf_buf_str(&title, " charts");
	pf_page_open(out, PF_PAGE_CHARTS, pf_buf_text(&title));
	pf_buf_fail(out, title.error);
	pf_chart_data(out, live, false);
	pf_page_close(out, PF_PAGE_CHARTS);
}
