/* What a reader asked for behind the name: `heap?gc=1&debug=1`, `profile,seconds=5`, `cpu-5s`.
 * Parsed by fs/query.c; read by collectors and renderers. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { PF_QUERY_FOCUS = 192 };

struct pf_query {
	int64_t seconds_ns; /* 0: not asked for */
	int64_t hz;         /* 0: as the knob says */
	int64_t debug;      /* Go's debug=0,1,2 */
	int64_t rows;       /* n=: rows of text; 0: as the view likes */
	int64_t least;      /* min=: only stacks with so much; 0: all */
	int64_t captures;   /* of heap_leaks: what has outlived so many; 0: not asked for */
	int64_t tid;        /* set by fs: of this thread alone; 0: of all */
	bool balance;       /* set by fs: the heap's text, which ends with the whole process */
	bool json;          /* instead of lines */
	bool gc;            /* give free memory back first */
	bool lines;         /* file:line and inlined functions, too: config/symbols */
	bool all_frames;    /* frames=all: those that the profile's readers need not see, too */
	bool sort_cum;      /* sort=cum: rows of text by what is under them as well */
	char focus[PF_QUERY_FOCUS]; /* only stacks with a function like this; "": all */
};
