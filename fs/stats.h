/* Stats: the process in numbers, for people and for Prometheus. The native counterpart of Go's
 * runtime.MemStats and of what its Prometheus client tells of a process.
 */
#pragma once
#include "fs/table.h"

enum { PF_METRICS_PROMETHEUS, PF_METRICS_OPEN };

/* Rows of fs/table.c: `stats` (asked with json=1: JSON); `metrics`, arg is one of the above; the
 * numbers of the last day, asked with seconds= and n=, arg 1: as JSON. */
pf_answer_fn pf_stats_answer;
pf_show_fn pf_metrics_show;
pf_answer_fn pf_history_answer;

/* What Go's heap has at the end of its debug=1, as comments of a profile: a head, then KEY = VALUE. */
void pf_stats_comment(struct pf_profile *out, const struct pf_sampler *door);
