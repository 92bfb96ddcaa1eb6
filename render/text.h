/* What the texts share: the `#` lines on top, numbers with their unit, frames on a line. */
#pragma once
#include "base/profile.h"
#include "render/frame.h"

struct pf_buf;

/* Profile, time, columns' total, comments: `#` lines. */
void pf_text_head(struct pf_buf *out, const struct pf_profile *in, uint32_t type);

/* A number for people and awk: nanoseconds as milliseconds, everything else as it is. */
void pf_text_value(struct pf_buf *out, const char *unit, int64_t value, int width);

/* "cart::Cart::add  [libcart.so]", or with a line "cart::Cart::add  /src/cart.cc:12", without
 * control bytes. */
void pf_text_frame(struct pf_buf *out, const struct pf_frame *frame);

/* What the profile's text ends with: `#` lines, or nothing. */
void pf_text_notes(struct pf_buf *out, const struct pf_profile *in);

/* The rows every text has: flat, flat%, sum%, cum, cum%, function, file:line or module; as many, and
 * in the order, as the query asks. */
void pf_text_table(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query);
