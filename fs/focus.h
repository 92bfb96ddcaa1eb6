/* Focus: of a profile, the samples whose stack has a function that matches, as pprof's -focus, and
 * the stacks that are large enough (min=).
 *
 * A pattern is a POSIX extended regular expression from anybody who can name a file, compiled in
 * somebody else's process: repetitions that would need much memory are refused.
 */
#pragma once
#include "base/profile.h"

/* 0, or -EINVAL: not a pattern, or too large a one. */
int pf_focus_check(const char *pattern);

/* Does it leave anything out? */
bool pf_focus_wanted(const struct pf_query *query);

/* *out: `in` with the samples that match query->focus, and of these the stacks with at least
 * query->least in this column; and comments that say so. Everything else is in's, which must outlive
 * it. 0, -EINVAL, -ENOMEM; pf_focus_finish() in every case. */
int pf_focus_take(const struct pf_profile *in, const struct pf_query *query, uint32_t type,
    struct pf_profile *out);
void pf_focus_finish(struct pf_profile *out);
