/* Snapshot: the bytes of one file at one moment. Everybody who opened the file then holds it; the
 * last one to let go frees it. Any thread of ours.
 */
#pragma once
#include "base/buf.h"

#include <stdint.h>

struct pf_snapshot {
	uint32_t holders; /* atomic */
	int64_t time_ns;  /* since the epoch: when it was made */
	struct pf_buf text;
};

/* Takes the buffer over and leaves it empty: one holder. NULL without memory, and then the buffer
 * is still the caller's. */
struct pf_snapshot *pf_snapshot_create(struct pf_buf *text);

struct pf_snapshot *pf_snapshot_hold(struct pf_snapshot *snapshot);
void pf_snapshot_drop(struct pf_snapshot *snapshot); /* NULL is fine */
