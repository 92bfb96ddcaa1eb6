#include "fs/kept.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/knob.h"
#include "base/utc.h"
#include "fs/capture.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void pf_kept_init(struct pf_kept *kept)
{
	*kept = (struct pf_kept){.lock = PF_LOCK_INIT(PF_LOCK_LEAF)};
}

static void free_all(struct pf_kept_file *file)
{
	while (file) {
		struct pf_kept_file *next = file->next;

		pf_snapshot_drop(file->snapshot);
		free(file);
		file = next;
	}
}

void pf_kept_finish(struct pf_kept *kept)
{
	free_all(kept->oldest);
	kept->oldest = NULL;
}

static struct pf_kept_file **find_locked(struct pf_kept *kept, const char *name)
{
	struct pf_kept_file **at = &kept->oldest;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static struct pf_kept_file *take_out_locked(struct pf_kept *kept, struct pf_kept_file **at)
{
	struct pf_kept_file *file = *at;

	*at = file->next;
	file->next = NULL;
	kept->count--;
	kept->bytes -= file->snapshot->text.length;
	return file;
}

/* A name that is not taken: two captures may begin in one second. */
static void choose_name_locked(
    struct pf_kept *kept, struct pf_kept_file *file, const char *stem, int64_t time_ns)
{
	char stamp[PF_UTC_TEXT], again[16] = "";

	pf_utc_stamp(time_ns, stamp);
	for (unsigned n = 2;; n++) {
		snprintf(
		    file->name, sizeof(file->name), "%.16s-%.16s%.12s.pprof", stem, stamp, again);
		if (!*find_locked(kept, file->name))
			return;
		snprintf(again, sizeof(again), "-%u", n);
	}
}

/* The files that are too many, as a chain. */
static struct pf_kept_file *take_surplus_locked(struct pf_kept *kept)
{
	size_t count_max = (size_t)pf_knob_get(PF_KNOB_CAPTURES_KEEP);
	size_t bytes_max = (size_t)pf_knob_get(PF_KNOB_CAPTURES_KEEP_BYTES);
	struct pf_kept_file *surplus = NULL;

	while (kept->count > 1 && (kept->count > count_max || kept->bytes > bytes_max)) {
		struct pf_kept_file *file = take_out_locked(kept, &kept->oldest);

		file->next = surplus;
		surplus = file;
		pf_count(PF_COUNTER_FS_CAPTURES_DROPPED);
	}
	return surplus;
}

int pf_kept_add(struct pf_kept *kept, const char *stem, int64_t time_ns, uint64_t capture,
    struct pf_snapshot *snapshot)
{
	struct pf_kept_file *file = calloc(1, sizeof(*file));
	struct pf_kept_file *surplus;
	struct pf_kept_file **at;

	if (!file)
		return -ENOMEM;
	file->snapshot = pf_snapshot_hold(snapshot);
	file->capture = capture;
	pf_lock_take(&kept->lock);
	choose_name_locked(kept, file, stem, time_ns);
	for (at = &kept->oldest; *at; at = &(*at)->next)
		;
	*at = file;
	kept->count++;
	kept->bytes += snapshot->text.length;
	surplus = take_surplus_locked(kept);
	pf_lock_give(&kept->lock);
	free_all(surplus);
	return 0;
}

/* ---- rows of the table ---- */

void pf_kept_list(struct pf_live *live, void (*add)(void *to, const char *name), void *to)
{
	struct pf_kept *kept = pf_captures_kept(live->captures);

	pf_lock_take(&kept->lock);
	for (struct pf_kept_file *file = kept->oldest; file; file = file->next)
		add(to, file->name);
	pf_lock_give(&kept->lock);
}

int pf_kept_find(struct pf_live *live, const char *name, struct pf_snapshot **snapshot, int *key)
{
	struct pf_kept *kept = pf_captures_kept(live->captures);
	struct pf_kept_file *file;

	pf_lock_take(&kept->lock);
	file = *find_locked(kept, name);
	if (file)
		*snapshot = pf_snapshot_hold(file->snapshot);
	pf_lock_give(&kept->lock);
	return file ? 0 : -ENOENT;
}

int pf_kept_remove(struct pf_live *live, const char *name)
{
	struct pf_kept *kept = pf_captures_kept(live->captures);
	struct pf_kept_file **at;
	struct pf_kept_file *file = NULL;

	pf_lock_take(&kept->lock);
	at = find_locked(kept, name);
	if (*at)
		file = take_out_locked(kept, at);
	pf_lock_give(&kept->lock);
	if (!file)
		return -ENOENT;
	/* cpu.pprof must not go on showing what its owner has removed. */
	pf_capture_forget(live->captures, file->capture);
	free_all(file);
	return 0;
}
