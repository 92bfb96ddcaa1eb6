/* Dump: what the tree would show, written as plain files. Needs no /dev/fuse and no tree.
 *
 *   whole:        DIR/heap DIR/heap.pprof ... DIR/cpu.pprof DIR/status DIR/config/..., as in the tree
 *   by command:   DIR/CMD_cpu_20261121_065226.prof, CMD_mem_..., CMD_alloc_..., CMD_wall_...
 *
 * A file appears under its name when it is complete. What cannot be had (no recorder) is left out.
 * By command, what ends in the same second stands side by side: CMD_cpu_20261121_065226-2.prof.
 */
#include "base/clock.h"
#include "base/counter.h"
#include "base/mark.h"
#include "base/utc.h"
#include "fs/defined.h"
#include "fs/fs.h"
#include "fs/live.h"
#include "fs/make.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAME_NAMES_MAX = 1000 };

/* One dump under way. A profile that several files show is collected once. */
struct dump {
	struct pf_live live;
	int directory;
	bool by_command;
	bool dead;
	bool collected; /* `profile` is of `source` */
	enum pf_source source;
	int collect_error;
	struct pf_profile profile;
	int error; /* the first -errno */
};

/* NAME.EXTENSION, or if there is one already NAME-2.EXTENSION, NAME-3.EXTENSION ... */
static int rename_beside(int directory, const char *fresh, const char *name)
{
	int stem = (int)(strrchr(name, '.') - name);
	char free_name[NAME_MAX + 1];

	snprintf(free_name, sizeof(free_name), "%s", name);
	for (int n = 2;; n++) {
		if (renameat2(directory, fresh, directory, free_name, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST || n > SAME_NAMES_MAX)
			return -errno;
		snprintf(free_name, sizeof(free_name), "%.*s-%d%s", stem, name, n, name + stem);
	}
}

/* A whole dump replaces the one before it; a file by command and time stands beside others. */
static int give_name(const struct dump *dump, int directory, const char *fresh, const char *name)
{
	int rc = dump->by_command ? rename_beside(directory, fresh, name) : -EINVAL;

	if (rc != -EINVAL)
		return rc;
	/* Or the file system (NFS) does not know how. */
	return renameat(directory, fresh, directory, name) == 0 ? 0 : -errno;
}

static int write_file(
    const struct dump *dump, int directory, const char *name, const struct pf_buf *text)
{
	char fresh[NAME_MAX + 1];
	int fd, rc;

	snprintf(fresh, sizeof(fresh), ".%.200s.%d.new", name, (int)dump->live.pid);
	unlinkat(directory, fresh, 0);
	fd = openat(directory, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = pf_buf_write(text, fd);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0)
		rc = give_name(dump, directory, fresh, name);
	if (rc < 0)
		unlinkat(directory, fresh, 0);
	return rc;
}

static int collect(struct dump *dump, enum pf_source source)
{
	static const struct pf_query moment = {0};

	if (dump->collected && dump->source == source)
		return dump->collect_error;
	pf_profile_finish(&dump->profile);
	dump->collect_error = pf_make_profile(&dump->live, source, &moment, NULL, &dump->profile);
	dump->source = source;
	dump->collected = true;
	return dump->collect_error;
}

static void dump_entry(
    struct dump *dump, int directory, const struct pf_entry *entry, const char *name)
{
	struct pf_entry plain = *entry;
	struct pf_object object = pf_tree_object(&plain);
	struct pf_snapshot *snapshot = NULL;
	int rc;

	plain.room = NULL; /* a plain file has its size */
	rc = entry->kind == PF_KIND_PROFILE ? collect(dump, entry->profile->source) : 0;
	if (rc == -ENODATA || rc == -EOPNOTSUPP)
		return; /* not collected here: `status` says so */
	if (rc < 0) {
		dump->error = dump->error ? dump->error : rc;
		return;
	}
	if (entry->kind == PF_KIND_PROFILE)
		rc = pf_make_drawing(&dump->live, &object, &dump->profile, &snapshot);
	else
		rc = pf_make_print(&dump->live, &object, &snapshot);
	if (rc == 0)
		rc = write_file(dump, directory, name, &snapshot->text);
	pf_snapshot_drop(snapshot);
	dump->error = dump->error ? dump->error : rc;
}

/* A directory in that one, made if it is missing: or -1, and the dump has failed. */
static int open_below(struct dump *dump, int directory, const char *name)
{
	int fd;

	mkdirat(directory, name, 0700); /* or it is there; or the open says why not */
	fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && !dump->error)
		dump->error = -errno;
	return fd;
}

/* What only a living process has. */
static bool is_of_the_living(const struct pf_entry *entry)
{
	if (entry->kind == PF_KIND_PROFILE)
		return entry->profile->source == PF_SOURCE_THREADS;
	return entry->plain && entry->plain->living;
}

/* What stands at the root; and profiles that a link there leads to. */
static bool is_dumped(const struct pf_tree *tree, const struct pf_entry *entry)
{
	const struct pf_entry *above = pf_tree_entry(tree, entry->parent);

	if (entry->kind == PF_KIND_PRINT)
		return entry->parent == PF_TREE_ROOT && entry->listed;
	if (entry->kind != PF_KIND_PROFILE || entry->view < pf_table.views ||
	    entry->view >= pf_table.views + pf_table.view_count)
		return false; /* one of other tools' names */
	return entry->parent == PF_TREE_ROOT || (above && strcmp(above->name, ".now") == 0);
}

static void dump_defined_views(struct dump *dump, int directory, uint32_t number)
{
	struct pf_profile profile;
	int rc = pf_defined_make(&dump->live, number, &profile);

	for (size_t i = 0; i < pf_table.view_count && rc == 0; i++) {
		struct pf_entry entry = {.profile = &pf_defined_row, .view = &pf_table.views[i]};
		struct pf_object object = {.entry = &entry};
		struct pf_snapshot *snapshot;
		char name[NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.200s%s", pf_defined_name(&dump->live, number),
		    pf_table.views[i].suffix);
		rc = pf_make_drawing(&dump->live, &object, &profile, &snapshot);
		if (rc == 0)
			rc = write_file(dump, directory, name, &snapshot->text);
		pf_snapshot_drop(snapshot);
	}
	pf_profile_finish(&profile);
	dump->error = dump->error ? dump->error : rc;
}

/* custom/, if the program has defined anything. */
static void dump_defined(struct dump *dump)
{
	int directory;

	if (!pf_defined_name(&dump->live, 0))
		return;
	directory = open_below(dump, dump->directory, "custom");
	if (directory < 0)
		return;
	for (uint32_t n = 0; pf_defined_name(&dump->live, n); n++)
		dump_defined_views(dump, directory, n);
	close(directory);
}

/* config/NAME, cpu/hz, enable: how it was collected. */
static void dump_setting(struct dump *dump, const struct pf_entry *entry)
{
	const struct pf_entry *above = pf_tree_entry(dump->live.tree, entry->parent);
	int directory;

	if (!entry->listed || (entry->show != pf_knob_show && entry->show != pf_enable_show))
		return;
	if (entry->parent == PF_TREE_ROOT) {
		dump_entry(dump, dump->directory, entry, entry->name);
		return;
	}
	directory = open_below(dump, dump->directory, above->name);
	if (directory < 0)
		return;
	dump_entry(dump, directory, entry, entry->name);
	close(directory);
}

/* Another name of a file that was written; the link of an earlier dump will do. */
static void dump_link(struct dump *dump, int directory, const char *name, const char *target)
{
	if (faccessat(directory, target, F_OK, 0) != 0)
		return;
	if (symlinkat(target, directory, name) < 0 && errno != EEXIST && !dump->error)
		dump->error = -errno;
}

/* goroutine, and Go's names under debug/pprof/: the same bytes as NAME.pprof. */
static void dump_links(struct dump *dump)
{
	int debug = open_below(dump, dump->directory, "debug");
	int go = debug < 0 ? -1 : open_below(dump, debug, "pprof");

	for (size_t i = 0; i < pf_table.profile_count && go >= 0; i++) {
		const struct pf_profile_row *row = &pf_table.profiles[i];
		char target[64];

		snprintf(target, sizeof(target), "../../%s.pprof", row->stem);
		dump_link(dump, go, row->go_name, target);
		if (row->alias)
			dump_link(dump, dump->directory, row->alias, row->stem);
	}
	if (go >= 0)
		close(go);
	if (debug >= 0)
		close(debug);
}

static void dump_whole(struct dump *dump)
{
	const struct pf_tree *tree = dump->live.tree;

	for (size_t i = 0; i < tree->count; i++) {
		const struct pf_entry *entry = &tree->entries[i];

		if (is_dumped(tree, entry) && !(dump->dead && is_of_the_living(entry)))
			dump_entry(dump, dump->directory, entry, entry->name);
		dump_setting(dump, entry);
	}
	dump_links(dump);
	dump_defined(dump);
}

/* CMD_cpu, CMD_mem ...: what a profile is called in a file's name; NULL: its collector has a better
 * one. Those of the heap are called as go test calls them. */
static const char *word_of(const struct dump *dump, const struct pf_profile_row *row)
{
	static const char *const heap[][2] = {{"heap", "mem"}, {"allocs", "alloc"}};

	for (size_t i = 0; i < PF_COUNT(heap); i++)
		if (strcmp(row->stem, heap[i][0]) == 0)
			return heap[i][1];
	return strcmp(row->stem, dump->live.door->collectors[row->collector].name) == 0 ? row->stem
											: NULL;
}

static void dump_by_command(struct dump *dump, const struct pf_fs_dump *wish)
{
	char stamp[PF_UTC_TEXT], path[64], name[NAME_MAX + 1];

	pf_utc_stamp(pf_clock_real_ns(), stamp);
	stamp[strcspn(stamp, "T")] = '_';
	for (size_t i = 0; i < pf_table.profile_count; i++) {
		const struct pf_profile_row *row = &pf_table.profiles[i];
		const struct pf_entry *entry;
		const char *word;

		if (row->collector == PF_COLLECTOR_COUNT || !wish->profiles[row->collector])
			continue;
		snprintf(path, sizeof(path), "%s%s.pprof", row->window ? ".now/" : "", row->stem);
		entry = pf_tree_path(dump->live.tree, path);
		word = word_of(dump, row);
		if (!entry || !word)
			continue;
		snprintf(name, sizeof(name), "%.150s_%s_%s.prof", wish->command, word, stamp);
		dump_entry(dump, dump->directory, entry, name);
	}
}

/* The directory is made if it is missing, for its owner alone. */
static int open_directory(const char *path)
{
	int fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

PF_PUBLIC int proffs_fs_dump(const struct pf_sampler *sampler, const struct pf_fs_dump *wish)
{
	struct dump dump = {
	    .directory = -1, .by_command = wish->command != NULL, .dead = wish->dead};
	const char *why;
	int rc = pf_live_adopt(sampler, &why);

	if (rc == 0)
		rc = dump.directory = open_directory(wish->directory);
	if (rc >= 0)
		rc = pf_live_init(&dump.live, sampler);
	if (rc == 0) {
		dump.live.where = wish->directory;
		pf_lookup_set_program(&dump.live.lookup, wish->lines);
		dump.live.pid = wish->pid;
		if (wish->command)
			dump_by_command(&dump, wish);
		else
			dump_whole(&dump);
		rc = dump.error;
		pf_profile_finish(&dump.profile);
		pf_live_finish(&dump.live);
	}
	if (dump.directory >= 0)
		close(dump.directory);
	pf_count(rc == 0 ? PF_COUNTER_DUMPS : PF_COUNTER_DUMPS_FAILED);
	return rc;
}
