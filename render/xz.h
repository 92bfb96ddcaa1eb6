/* xz, bounded: function names of stripped programs come packed so (.gnu_debugdata). */
#pragma once
#include "base/buf.h"

/* Appends what `bytes` unpack to: 0, -EINVAL for anything that is not complete xz, -EFBIG for more
 * than `limit` bytes (or a dictionary that needs more), -ENOMEM. */
int pf_xz_unpack(struct pf_buf *out, const void *bytes, size_t length, size_t limit);
