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

struct pf_kept_file *pf_kept_file_create(const char *name, struct pf_snapshot *snapshot)
{
	struct pf_kept_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->snapshot = pf_snapshot_hold(snapshot);
	file->bytes = snapshot->text.length;
	snprintf(file->name, sizeof(file->name), "%s", name);
	return file;
}

void pf_kept_file_destroy(struct pf_kept_file *first)
{
	while (first) {
		struct pf_kept_file *next = first->next;

		pf_kept_file_destroy(first->files);
		pf_snapshot_drop(first->snapshot);
		free(first);
		first = next;
	}
}

void pf_kept_finish(struct pf_kept *kept)
{
	pf_kept_file_destroy(kept->oldest);
	kept->oldest = NULL;
}

/* ---- the queue ---- */

static struct pf_kept_file **find_in(struct pf_kept_file **at, const char *name)
{
	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static struct pf_kept_file *find_key(struct pf_kept_file *file, int key)
{
	struct pf_kept_file *found = NULL;

	for (; file && !found; file = file->next)
		found = file->key == key ? file : find_key(file->files, key);
	return found;
}

/* The names of the queue itself (key 0), or those in the directory of that key; NULL: it has gone. */
static struct pf_kept_file **names_locked(
    struct pf_kept *kept, int key, struct pf_kept_file **directory)
{
	*directory = NULL;
	if (key == 0)
		return &kept->oldest;
	*directory = find_key(kept->oldest, key);
	return *directory ? &(*directory)->files : NULL;
}

static struct pf_kept_file *take_out_locked(struct pf_kept *kept, struct pf_kept_file **at)
{
	struct pf_kept_file *file = *at;

	*at = file->next;
	file->next = NULL;
	kept->count--;
	kept->bytes -= file->bytes;
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
		if (!*find_in(&kept->oldest, file->name))
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

/* Behind the newest; returns those that had to go. */
static struct pf_kept_file *append_locked(struct pf_kept *kept, struct pf_kept_file *file)
{
	struct pf_kept_file **at = &kept->oldest;

	while (*at)
		at = &(*at)->next;
	*at = file;
	kept->count++;
	kept->bytes += file->bytes;
	return take_surplus_locked(kept);
}

void pf_kept_trim(struct pf_kept *kept)
{
	struct pf_kept_file *surplus;

	pf_lock_take(&kept->lock);
	surplus = take_surplus_locked(kept);
	pf_lock_give(&kept->lock);
	pf_kept_file_destroy(surplus);
}

int pf_kept_add(struct pf_kept *kept, const char *stem, int64_t time_ns, uint64_t capture,
    struct pf_snapshot *snapshot)
{
	struct pf_kept_file *file = pf_kept_file_create("", snapshot);
	struct pf_kept_file *surplus;

	if (!file)
		return -ENOMEM;
	file->capture = capture;
	pf_lock_take(&kept->lock);
	choose_name_locked(kept, file, stem, time_ns);
	surplus = append_locked(kept, file);
	pf_lock_give(&kept->lock);
	pf_kept_file_destroy(surplus);
	return 0;
}

struct pf_kept_file *pf_kept_directory_create(const char *name, struct pf_kept_file *files)
{
	struct pf_kept_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	snprintf(file->name, sizeof(file->name), "%s", name);
	file->files = files;
	for (struct pf_kept_file *f = files; f; f = f->next) {
		f->above = file;
		file->bytes += f->bytes;
	}
	return file;
}

/* A directory and those in it become known. */
static void settle_locked(struct pf_kept *kept, struct pf_kept_file *directory, int64_t time_ns)
{
	directory->key = ++kept->last_key;
	directory->time_ns = time_ns;
	for (struct pf_kept_file *f = directory->files; f; f = f->next)
		if (!f->snapshot)
			settle_locked(kept, f, time_ns);
}

int pf_kept_add_directory(
    struct pf_kept *kept, const char *name, int64_t time_ns, struct pf_kept_file *files)
{
	struct pf_kept_file *file = pf_kept_directory_create(name, files);
	struct pf_kept_file *surplus = NULL;
	bool taken;

	if (!file)
		return -ENOMEM;
	pf_lock_take(&kept->lock);
	taken = *find_in(&kept->oldest, name);
	if (!taken) {
		settle_locked(kept, file, time_ns);
		surplus = append_locked(kept, file);
	}
	pf_lock_give(&kept->lock);
	if (taken)
		free(file);
	pf_kept_file_destroy(surplus);
	return taken ? -EEXIST : 0;
}

bool pf_kept_has(struct pf_kept *kept, const char *name)
{
	bool has;

	pf_lock_take(&kept->lock);
	has = *find_in(&kept->oldest, name);
	pf_lock_give(&kept->lock);
	return has;
}

/* ---- rows of the table ---- */

int pf_kept_list(struct pf_live *live, int key, pf_add_fn *add, void *to)
{
	struct pf_kept *kept = pf_captures_kept(live->captures);
	struct pf_kept_file *directory, **first;

	pf_lock_take(&kept->lock);
	first = names_locked(kept, key, &directory);
	for (struct pf_kept_file *file = first ? *first : NULL; file; file = file->next)
		add(to, file->name, file->key != 0);
	pf_lock_give(&kept->lock);
	return 0;
}

int pf_kept_find(struct pf_live *live, int key, const char *name, struct pf_found *out)
{
	struct pf_kept *kept = pf_captures_kept(live->captures);
	struct pf_kept_file *directory, **first, *file;

	pf_lock_take(&kept->lock);
	first = names_locked(kept, key, &directory);
	file = first ? *find_in(first, name) : NULL;
	if (file)
		*out = (struct pf_found){
		    .snapshot = file->snapshot ? pf_snapshot_hold(file->snapshot) : NULL,
		    .key = file->key,
		    .time_ns = file->time_ns,
		};
	pf_lock_give(&kept->lock);
	return file ? 0 : -ENOENT;
}

/* Out of the queue, or out of its directory: *out, to be destroyed. */
static int remove_locked(struct pf_kept *kept, int key, const char *name, struct pf_kept_file **out)
{
	struct pf_kept_file *directory;
	struct pf_kept_file **first = names_locked(kept, key, &directory);
	struct pf_kept_file **at = first ? find_in(first, name) : NULL;

	if (!at || !*at)
		return -ENOENT;
	if ((*at)->files)
		return -ENOTEMPTY;
	if (!directory) {
		*out = take_out_locked(kept, at);
		return 0;
	}
	*out = *at;
	*at = (*out)->next;
	(*out)->next = NULL;
	for (; directory; directory = directory->above)
		directory->bytes -= (*out)->bytes;
	kept->bytes -= (*out)->bytes;
	return 0;
}

int pf_kept_remove(struct pf_live *live, int key, const char *name)
{
	struct pf_kept *kept = pf_captures_kept(live->captures);
	struct pf_kept_file *file = NULL;
	int rc;

	pf_lock_take(&kept->lock);
	rc = remove_locked(kept, key, name, &file);
	pf_lock_give(&kept->lock);
	if (rc < 0)
		return rc;
	/* cpu.pprof must not go on showing what its owner has removed. */
	if (file->capture)
		pf_capture_forget(live->captures, file->capture);
	pf_kept_file_destroy(file);
	return 0;
}
