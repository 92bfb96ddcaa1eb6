/* Chart: the process's last minutes, hour and day as pages for browsers, from history.
 *
 *     {"program": ..., "pid": ..., "made": milliseconds since the epoch,
 *      "spans": [{"name": "10 minutes", "seconds": 600, "times": [...],
 *                 "charts": [{"title": "CPU", "unit": "%", "series": [{"name": "user", "values": [...]}]}]}]}
 *
 * Each span is read in as many steps as a screen has room for. What was not known is null.
 */
#pragma once
#include "fs/table.h"

/* The data alone, as JSON; `brief`: the first span and the charts of the landing page. */
void pf_chart_data(struct pf_buf *out, struct pf_live *live, bool brief);

pf_show_fn pf_chart_show; /* a row of fs/table.c: the page */
