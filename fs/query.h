/* Query: what stands behind a name, in three spellings.
 *
 *     heap?gc=1&debug=1        as net/http/pprof has it (quote the & for the shell)
 *     heap,gc=1,debug=1        the same for shells that expand ? themselves
 *     cpu-5s.pprof             cpu.pprof with seconds=5; a copy keeps a telling name
 *
 * Unknown keys are ignored, as HTTP servers do; the first of two equal keys counts. The text comes
 * from anybody who can name a file, so nothing is believed about it.
 */
#pragma once
#include "base/query.h"

#include <limits.h>
#include <stddef.h>

struct pf_name {
	char base[NAME_MAX + 1]; /* the name in the tree: "heap", "cpu.pprof" */
	struct pf_query query;
	int error; /* 0, or -EINVAL for a bad value: to be told only if base exists */
};

/* 0 or -ENAMETOOLONG. */
int pf_query_parse(const char *name, struct pf_name *out);

/* Seconds, with up to nine decimals, white space around them allowed: 0; -EINVAL not a number;
 * -ERANGE negative or more than a day. */
int pf_query_seconds(const char *text, size_t length, int64_t *ns);
