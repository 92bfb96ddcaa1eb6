/* Kept: what stands under captures/, a queue whose oldest go first (config/captures_keep by count,
 * captures_keep_bytes by size). A reader who has a file open keeps its bytes.
 *
 *     cpu-20261121T024500.pprof     a finished capture: a file
 *     before-release/               a snapshot (freeze.c): a directory of files and directories,
 *                                   one in the queue
 *
 * Any thread of ours; the lock inside has rank PF_LOCK_LEAF.
 */
#pragma once
#include "base/lock.h"
#include "fs/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_live;
struct pf_snapshot;

enum { PF_KEPT_NAME = 65 };

struct pf_kept_file {
	struct pf_kept_file *next;    /* newer; in a directory: the next name */
	struct pf_snapshot *snapshot; /* held; NULL: a directory */
	struct pf_kept_file *files;   /* of a directory */
	struct pf_kept_file *above;   /* the directory it is in; NULL: the queue */
	size_t bytes;
	uint64_t capture; /* whose result it is, or 0 */
	int64_t time_ns;  /* of a directory: since the epoch */
	int key;          /* of a directory; 0: a file */
	char name[PF_KEPT_NAME];
};

struct pf_kept {
	struct pf_lock lock;
	struct pf_kept_file *oldest; /* guarded by lock, as all below */
	size_t count;
	size_t bytes;
	int last_key;
};

void pf_kept_init(struct pf_kept *kept);
void pf_kept_finish(struct pf_kept *kept);

/* Keeps one more, named "STEM-YYYYMMDDTHHMMSS.pprof" (UTC) after time_ns since the epoch, and lets
 * the oldest go that are too many; the newest stays however large. Holds `snapshot` for itself.
 * 0 or -ENOMEM. */
int pf_kept_add(struct pf_kept *kept, const char *stem, int64_t time_ns, uint64_t capture,
    struct pf_snapshot *snapshot);

/* Lets go what is too many by now: the settings may have changed. */
void pf_kept_trim(struct pf_kept *kept);

/* A directory of `files`, which it takes over if it succeeds. 0, -EEXIST, -ENOMEM. */
int pf_kept_add_directory(
    struct pf_kept *kept, const char *name, int64_t time_ns, struct pf_kept_file *files);
bool pf_kept_has(struct pf_kept *kept, const char *name);

/* A file for such a directory; holds `snapshot` for itself. NULL: no memory. */
struct pf_kept_file *pf_kept_file_create(const char *name, struct pf_snapshot *snapshot);
/* A directory for such a directory, with the files that it takes over. NULL: no memory. */
struct pf_kept_file *pf_kept_directory_create(const char *name, struct pf_kept_file *files);
/* It and all behind it; NULL is fine. */
void pf_kept_file_destroy(struct pf_kept_file *first);

/* Rows of fs/table.c. */
int pf_kept_list(struct pf_live *live, int key, pf_add_fn *add, void *to);
int pf_kept_find(struct pf_live *live, int key, const char *name, struct pf_found *out);
int pf_kept_remove(struct pf_live *live, int key, const char *name);
