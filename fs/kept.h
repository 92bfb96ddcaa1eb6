/* Kept: the files under captures/, a queue whose oldest go first (config/captures_keep by count,
 * captures_keep_bytes by size). A reader who has one open keeps its bytes.
 *
 * Any thread of ours; the lock inside has rank PF_LOCK_LEAF.
 */
#pragma once
#include "base/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_live;
struct pf_snapshot;

struct pf_kept_file {
	struct pf_kept_file *next; /* newer */
	struct pf_snapshot *snapshot;
	uint64_t capture; /* whose result it is */
	char name[64];
};

struct pf_kept {
	struct pf_lock lock;
	struct pf_kept_file *oldest; /* guarded by lock, as all below */
	size_t count;
	size_t bytes;
};

void pf_kept_init(struct pf_kept *kept);
void pf_kept_finish(struct pf_kept *kept);

/* Keeps one more, named "STEM-YYYYMMDDTHHMMSS.pprof" (UTC) after time_ns since the epoch, and lets
 * the oldest go that are too many; the newest stays however large. Holds `snapshot` for itself.
 * 0 or -ENOMEM. */
int pf_kept_add(struct pf_kept *kept, const char *stem, int64_t time_ns, uint64_t capture,
    struct pf_snapshot *snapshot);

/* Rows of fs/table.c. */
void pf_kept_list(struct pf_live *live, void (*add)(void *to, const char *name), void *to);
int pf_kept_find(struct pf_live *live, const char *name, struct pf_snapshot **snapshot, int *key);
int pf_kept_remove(struct pf_live *live, const char *name);
