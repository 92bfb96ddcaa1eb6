#include "fs/freeze.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"
#include "fs/capture.h"
#include "fs/defined.h"
#include "fs/kept.h"
#include "fs/live.h"
#include "fs/make.h"
#include "fs/snapshot.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is collected of one moment, once per source, and the files that become of it. */
struct freeze {
	struct pf_live *live;
	struct pf_profile profiles[PF_SOURCE_COUNT];
	bool taken[PF_SOURCE_COUNT];
	struct pf_profile *defined; /* the program's own */
	uint32_t defined_count;
	struct pf_kept_file *first, **last;
};

static bool is_instant(enum pf_source source)
{
	return !pf_make_row(source)->window;
}

/* What a process does not have is left out, as it is in the tree itself. */
static int collect(struct freeze *f, struct pf_wait *wait)
{
	static const struct pf_query moment = {.balance = true};

	for (int s = 0; s < PF_SOURCE_COUNT; s++) {
		enum pf_source source = (enum pf_source)s;
		int rc;

		if (!is_instant(source))
			continue;
		rc = pf_make_profile(f->live, source, &moment, wait, &f->profiles[s]);
		f->taken[s] = rc == 0;
		if (rc < 0 && rc != -EOPNOTSUPP && rc != -ENODATA)
			return rc;
	}
	return 0;
}

static int collect_defined(struct freeze *f)
{
	uint32_t count = 0;
	int rc = 0;

	while (pf_defined_name(f->live, count))
		count++;
	if (count == 0)
		return 0;
	f->defined = pf_memory_new(count, sizeof(*f->defined));
	if (!f->defined)
		return -ENOMEM;
	while (f->defined_count < count && rc == 0) {
		rc = pf_defined_make(f->live, f->defined_count, &f->defined[f->defined_count]);
		f->defined_count++;
	}
	return rc;
}

/* Lets go of `snapshot` in every case. */
static int add_file(struct freeze *f, const char *name, struct pf_snapshot *snapshot)
{
	struct pf_kept_file *file = pf_kept_file_create(name, snapshot);

	pf_snapshot_drop(snapshot);
	if (!file)
		return -ENOMEM;
	*f->last = file;
	f->last = &file->next;
	return 0;
}

static int draw_views(struct freeze *f, const struct pf_profile_row *row, const char *stem,
    const struct pf_profile *profile)
{
	for (size_t i = 0; i < pf_table.view_count; i++) {
		struct pf_entry entry = {.profile = row, .view = &pf_table.views[i]};
		struct pf_object object = {.entry = &entry};
		struct pf_snapshot *snapshot;
		char name[PF_KEPT_NAME];
		int rc = pf_make_drawing(f->live, &object, profile, &snapshot);

		if (rc < 0)
			return rc;
		snprintf(name, sizeof(name), "%s%s", stem, pf_table.views[i].suffix);
		rc = add_file(f, name, snapshot);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* 0, or -EINTR when the writer has had enough. */
static int still_wanted(struct pf_wait *wait)
{
	return wait ? pf_wait_until(wait, 0) : 0;
}

static int draw_profiles(struct freeze *f, struct pf_wait *wait)
{
	int rc = 0;

	for (size_t i = 0; i < pf_table.profile_count && rc == 0; i++) {
		const struct pf_profile_row *row = &pf_table.profiles[i];

		if (f->taken[row->source])
			rc = draw_views(f, row, row->stem, &f->profiles[row->source]);
		if (rc == 0)
			rc = still_wanted(wait);
	}
	return rc;
}

/* custom/, a directory in the directory. */
static int draw_defined(struct freeze *f, struct pf_wait *wait)
{
	struct freeze inner = {.live = f->live, .last = &inner.first};
	struct pf_kept_file *directory = NULL;
	int rc = 0;

	for (uint32_t n = 0; n < f->defined_count && rc == 0; n++) {
		rc = draw_views(
		    &inner, &pf_defined_row, pf_defined_name(f->live, n), &f->defined[n]);
		if (rc == 0)
			rc = still_wanted(wait);
	}
	if (rc == 0 && inner.first) {
		directory = pf_kept_directory_create("custom", inner.first);
		rc = directory ? 0 : -ENOMEM;
	}
	if (rc < 0)
		pf_kept_file_destroy(inner.first);
	if (directory) {
		*f->last = directory;
		f->last = &directory->next;
	}
	return rc;
}

/* Printed at once, before the drawing, so that they tell of the same moment. */
static int print_plains(struct freeze *f)
{
	int rc = 0;

	for (size_t i = 0; i < pf_table.plain_count && rc == 0; i++) {
		const struct pf_plain_row *row = &pf_table.plains[i];
		struct pf_entry entry = {.show = row->show, .answer = row->answer, .arg = row->arg};
		struct pf_object object = {.entry = &entry};
		struct pf_snapshot *snapshot;

		if (!row->frozen)
			continue;
		rc = pf_make_print(f->live, &object, &snapshot);
		if (rc == 0)
			rc = add_file(f, row->path, snapshot);
	}
	return rc;
}

int pf_freeze(struct pf_live *live, const char *name, size_t length, struct pf_wait *wait)
{
	struct pf_kept *kept = pf_captures_kept(live->captures);
	struct freeze f = {.live = live, .last = &f.first};
	int64_t time_ns = pf_clock_real_ns();
	char copy[PF_KEPT_NAME];
	int rc;

	snprintf(copy, sizeof(copy), "%.*s", (int)length, name);
	if (pf_kept_has(kept, copy)) /* before the work; looked at again in the end */
		return -EEXIST;
	rc = collect(&f, wait);
	if (rc == 0)
		rc = collect_defined(&f);
	if (rc == 0)
		rc = print_plains(&f);
	if (rc == 0)
		rc = draw_profiles(&f, wait);
	if (rc == 0)
		rc = draw_defined(&f, wait);
	if (rc == 0)
		rc = pf_kept_add_directory(kept, copy, time_ns, f.first);
	if (rc < 0)
		pf_kept_file_destroy(f.first);
	for (int s = 0; s < PF_SOURCE_COUNT; s++)
		pf_profile_finish(&f.profiles[s]);
	for (uint32_t n = 0; n < f.defined_count; n++)
		pf_profile_finish(&f.defined[n]);
	pf_memory_free(f.defined);
	return rc;
}

/* ---- the control ---- */

/* A file name that neither hides, nor leads elsewhere, nor drives a terminal. */
static bool is_name(const char *text, size_t length)
{
	char copy[PF_KEPT_NAME];

	if (length == 0 || length >= sizeof(copy) || text[0] == '.')
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	for (size_t i = 0; i < length; i++)
		if (copy[i] == '/' || copy[i] == '\0' || pf_buf_control(copy + i))
			return false;
	return true;
}

void pf_freeze_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	struct pf_control *control = live->control;

	pf_lock_take(&control->lock);
	pf_buf_str(out, *control->frozen ? control->frozen : "none");
	pf_lock_give(&control->lock);
	pf_buf_char(out, '\n');
}

int pf_freeze_store(
    struct pf_live *live, int arg, const char *text, size_t length, struct pf_wait *wait)
{
	struct pf_control *control = live->control;
	int rc;

	while (length && isspace((unsigned char)text[length - 1]))
		length--;
	while (length && isspace((unsigned char)*text))
		text++, length--;
	if (!is_name(text, length))
		return -EINVAL;
	rc = pf_freeze(live, text, length, wait);
	if (rc < 0)
		return rc;
	pf_lock_take(&control->lock);
	snprintf(control->frozen, sizeof(control->frozen), "%.*s", (int)length, text);
	pf_lock_give(&control->lock);
	pf_event_add(&live->events, "snapshot %.*s", (int)length, text);
	return 0;
}
