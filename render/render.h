/* The render room's front door: a profile in, bytes out. No signal, no thread, no mount. */
#pragma once
#include "base/history.h"
#include "base/number.h"
#include "base/profile.h"

#include <sys/types.h>

struct pf_buf;

/* Names. One per tree or command; a cache of what was looked up, bounded. Not thread-safe: the
 * caller serialises (fs keeps it behind a lock of rank PF_LOCK_SYMBOL). */
struct pf_symbols;

struct pf_symbols *pf_symbols_create(void); /* NULL: no memory */
void pf_symbols_destroy(struct pf_symbols *symbols);

/* Names for every address of `p` and every label `type` that is a linker's name: pf_profile_set_locations(), then lines from the symbol tables
 * of the mapped files (or their separate debug files), demangled; mappings get has_functions.
 * Of the addresses `created_by` of a sample one remains, as a name (render/creator.h).
 * Errors stick in p->error; an address without a name is no error: its line is "[module]". */
void pf_symbols_resolve(struct pf_symbols *symbols, struct pf_profile *p);

/* "NAME+0x1f" style lookups of one address are not here: resolve a profile. */

/* Source lines and inlined functions, from debug information. `ask` has somebody find them: what is
 * asked and answered is render/lines.h's secret. 0, or -errno when that did not end well; what was
 * answered until then counts. */
struct pf_lines;
typedef int pf_lines_ask_fn(void *with, const struct pf_buf *asked, struct pf_buf *answer);
struct pf_lines *pf_lines_create(pf_lines_ask_fn *ask, void *with); /* NULL: no memory */
void pf_lines_destroy(struct pf_lines *lines);                      /* takes NULL */
/* The process whose mappings will be asked about: the kernel may have files of it that others have
 * replaced. */
void pf_lines_set_process(struct pf_lines *lines, pid_t pid);

/* *out: `in`, whose addresses have names, with lines: inlined functions as lines of their own,
 * innermost first. What is not found keeps its name, and is counted. Everything else is in's, which
 * must outlive it. One at a time; sleeps as long as `ask` does. 0 or -ENOMEM; pf_lines_finish(out)
 * in every case. */
int pf_lines_take(struct pf_lines *lines, const struct pf_profile *in, struct pf_profile *out);
void pf_lines_finish(struct pf_profile *out);

/* Finds them in this very process: for commands, not for a watched program. */
pf_lines_ask_fn pf_lines_ask_here;

pf_render_fn pf_render_pprof;      /* gzipped profile.proto */
pf_render_fn pf_render_text;       /* for people and awk: flat, flat%, sum%, cum, cum%, function */
pf_render_fn pf_render_folded;     /* root;...;leaf COUNT */
pf_render_fn pf_render_threads;    /* one block per thread, same stacks together */
pf_render_fn pf_render_births;     /* who created how many threads, and which of them live */
pf_render_fn pf_render_frames;     /* the bare frames of its stacks, one a line */
pf_render_fn pf_render_throws;     /* exceptions by type, how and where */
pf_render_fn pf_render_leaks;      /* one row a stack, with the ages of its blocks */
pf_render_fn pf_render_lifetime;   /* one row a stack: allocations a second, median life */
pf_render_fn pf_render_legacy;     /* Go's debug=1 (reference/pprof.md 3.5) */
pf_render_fn pf_render_binary;     /* gperftools' CPU profile */
pf_render_fn pf_render_symbolized; /* the same, or pf_render_legacy, with names in front */
pf_render_fn pf_render_waiting;    /* pf_render_text, and who waits right now */
pf_render_fn pf_render_stacks;     /* Go's goroutine?debug=2 */

/* Errors stick in `out`. Key value lines; JSON; what Prometheus scrapes, in its own text format and
 * in the OpenMetrics one. */
void pf_render_numbers_text(struct pf_buf *out, const struct pf_numbers *in);
void pf_render_numbers_json(struct pf_buf *out, const struct pf_numbers *in);
void pf_render_numbers_prometheus(struct pf_buf *out, const struct pf_numbers *in);
void pf_render_numbers_openmetrics(struct pf_buf *out, const struct pf_numbers *in);

/* Rows for awk; JSON with an array for each column, null for what is not known. */
void pf_render_history_text(struct pf_buf *out, const struct pf_history_rows *in);
void pf_render_history_json(struct pf_buf *out, const struct pf_history_rows *in);

/* The profile in a file that pf_render_pprof or another tool wrote, gzipped or plain. `out` is
 * initialised by the caller, who finishes it in every case; it has no name. 0; -EINVAL for what is
 * no complete, consistent profile; -E2BIG more columns than PF_VALUES_MAX; -EFBIG; -ENOMEM. */
int pf_pprof_read(struct pf_profile *out, const void *bytes, size_t length);

/* *out: `in` without what it says one need not see (drop_frames): shorter stacks; everything else
 * is in's, which must outlive it. A pattern that is none drops nothing. 0 or -ENOMEM;
 * pf_drop_finish(out) in every case. */
int pf_drop_take(const struct pf_profile *in, struct pf_profile *out);
void pf_drop_finish(struct pf_profile *out);

pf_render_fn pf_render_svg;  /* a flame graph as a picture, the root at the bottom */
pf_render_fn pf_render_html; /* an interactive one, as a page that needs nothing else */

/* Pages for browsers, self-contained. */
enum pf_page {
	PF_PAGE_FLAME,
	PF_PAGE_CHARTS,  /* its data: see fs/chart.h */
	PF_PAGE_LANDING, /* its data: the body's HTML */
};

/* Writes the page up to its data; append one JSON value (or HTML), then call pf_page_close(). */
void pf_page_open(struct pf_buf *out, enum pf_page page, const char *title);
void pf_page_close(struct pf_buf *out, enum pf_page page);
/* Text from outside, between tags or in quotes, of HTML or XML: escaped, control characters as '?', bytes
 * that are not UTF-8 as U+FFFD. */
void pf_page_text(struct pf_buf *out, const char *text);
/* The same of a whole text for <pre>: lines stay. */
void pf_page_lines(struct pf_buf *out, const char *from, size_t length);
/* A page that shows a text. */
void pf_page_plain(struct pf_buf *out, const char *title, const char *from, size_t length);
/* The same as a JSON string with its quotes, safe inside <script>. */
void pf_page_string(struct pf_buf *out, const char *text);
