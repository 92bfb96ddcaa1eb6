/* What the formats for older tools share. */
#pragma once
#include "base/profile.h"

#include <stdbool.h>

struct pf_buf;

/* The mappings as lines of /proc/PID/maps. Errors stick in `out`. */
void pf_legacy_map(struct pf_buf *out, const struct pf_profile *in);

/* Its text is Go's of a count, for which there is none that google-pprof reads: binary it does. */
bool pf_legacy_is_count(const struct pf_profile *in);

/* An address of a stack as binary profiles have it, in two spellings (see render/binary.c). */
enum { PF_BINARY_SPELLINGS = 2 };
uint64_t pf_binary_address(
    const struct pf_profile *in, const struct pf_sample *s, uint32_t frame, uint32_t spelling);
