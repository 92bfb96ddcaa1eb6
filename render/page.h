/* Page: what pages and pictures for browsers share: the pages themselves, built in from page/, and
 * text that cannot leave its place.
 *
 *     page/flame.html + flame.css + flame.js --embed.py, at build time--> one text with two gaps,
 *     for the title and for the data: JSON in a <script> that is never run
 *
 * The pages are self-contained, load nothing, and say so to the browser (Content-Security-Policy).
 */
#pragma once
#include "base/buf.h"
#include "render/render.h"

#include <stdint.h>

/* For people: "721.6 ms", "1.5 KiB", "1,500". */
void pf_page_value(struct pf_buf *out, const char *unit, int64_t value);

/* What fits into `width` letters: template arguments go first, then what stands before "::", then the
 * end. At most 4 * width + 4 bytes; "" where not even three letters fit. */
void pf_page_clip(struct pf_buf *out, const char *name, size_t width);
