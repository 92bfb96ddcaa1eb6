/* Tags: the labels of several samples on one line, for people.
 *
 *     #   bytes 16 to 1024, kind malloc, thread main worker
 */
#pragma once
#include "base/profile.h"

struct pf_buf;

/* A `#` line with every label of these samples of the profile: numbers from the least to the largest,
 * texts up to a handful. Nothing where there is none, or an address. */
void pf_tag_line(
    struct pf_buf *out, const struct pf_profile *in, const uint32_t *samples, uint32_t count);
