/* Dump: what the tree would show, written as plain files. Needs no /dev/fuse and no tree.
 *
 *   whole:        DIR/heap DIR/heap.pprof ... DIR/captures/..., by the names of the tree
 *   by command:   DIR/CMD_cpu_20261121_065226.prof, CMD_mem_..., CMD_alloc_..., CMD_wall_...
 *
 * A whole dump is a walk over what the tree lists. Each profile is collected once, so all of its
 * files are of one moment. A listed link to what takes time is that file; another name of a file is
 * a link here, too. Left out is (is_dumped) what is nothing as a plain file: `events`, cpu/wait,
 * wall/wait, debug/pprof/symbol and its other name; and what cannot be had, as `status` says.
 *
 * A file appears under its name when it is complete. By command, what ends in the same second stands
 * side by side: CMD_cpu_20261121_065226-2.prof.
 */
#include "base/clock.h"
#include "base/counter.h"
#include "base/lock.h"
#include "base/mark.h"
#include "base/utc.h"
#include "fs/capture.h"
#include "fs/defined.h"
#include "fs/fs.h"
#include "fs/live.h"
#include "fs/make.h"
#include "fs/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAME_NAMES_MAX = 1000 };

/* What several files show is collected once. */
struct taken {
	bool asked;
	int error;
	struct pf_profile profile;
	struct pf_capture *capture;     /* held; or NULL */
	const struct pf_profile *shown; /* of the two */
};

/* One dump under way. */
struct dump {
	struct pf_live live;
	int directory;
	bool by_command;
	bool dead;
	struct taken taken[PF_SOURCE_COUNT + 1]; /* the last: of `defined` */
	int defined;                             /* the program's own profile of this number */
	int error;                               /* the first -errno */
};

static void note_error(struct dump *dump, int rc)
{
	if (rc < 0 && !dump->error)
		dump->error = rc;
}

/* ---- files ---- */

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

/* ---- what a file shows ---- */

/* With the recorder off there may still be a capture. */
static void fall_back(struct dump *dump, enum pf_source source, struct taken *t)
{
	if (t->error != -ENODATA || dump->by_command)
		return;
	t->capture = pf_capture_latest(dump->live.captures, source);
	if (!t->capture)
		return;
	t->shown = pf_capture_profile(t->capture);
	t->error = 0;
}

static const struct taken *take(struct dump *dump, enum pf_source source)
{
	/* Where all of its memory is, only the living can say. */
	const struct pf_query moment = {.balance = !dump->dead && !dump->by_command};
	struct taken *t = &dump->taken[source];

	if (t->asked)
		return t;
	t->asked = true;
	t->shown = &t->profile;
	t->error = pf_make_profile(&dump->live, source, &moment, NULL, &t->profile);
	fall_back(dump, source, t);
	return t;
}

/* The program's own profile of this number. Its files come one after the other. */
static const struct taken *take_defined(struct dump *dump, int number)
{
	struct taken *t = &dump->taken[PF_SOURCE_COUNT];

	if (t->asked && dump->defined == number)
		return t;
	pf_profile_finish(&t->profile);
	t->asked = true;
	t->shown = &t->profile;
	t->error = pf_defined_make(&dump->live, (uint32_t)number, &t->profile);
	dump->defined = number;
	return t;
}

static void forget_taken(struct dump *dump)
{
	for (int i = 0; i <= PF_SOURCE_COUNT; i++) {
		if (dump->taken[i].asked)
			pf_profile_finish(&dump->taken[i].profile);
		if (dump->taken[i].capture)
			pf_capture_drop(dump->live.captures, dump->taken[i].capture);
	}
}

static int make(struct dump *dump, const struct pf_object *object, struct pf_snapshot **out)
{
	const struct pf_profile_row *row = object->member ? NULL : object->entry->profile;
	const struct taken *t;

	if (!row)
		return pf_make_print(&dump->live, object, out);
	t = row == &pf_defined_row ? take_defined(dump, object->key) : take(dump, row->source);
	return t->error < 0 ? t->error : pf_make_drawing(&dump->live, object, t->shown, out);
}

static void write_made(
    struct dump *dump, int directory, const char *name, const struct pf_object *object)
{
	struct pf_entry plain = *object->entry;
	struct pf_object sized = *object;
	struct pf_snapshot *snapshot = NULL;
	int rc;

	plain.room = NULL; /* a plain file has its size */
	sized.entry = &plain;
	rc = make(dump, &sized, &snapshot);
	if (rc == 0)
		rc = write_file(dump, directory, name, &snapshot->text);
	pf_snapshot_drop(snapshot);
	/* Not collected here, as `status` says; or a thread that has ended. */
	if (rc != -ENODATA && rc != -EOPNOTSUPP && rc != -ESRCH)
		note_error(dump, rc);
}

/* ---- the whole tree ---- */

static bool is_dumped(const struct dump *dump, const struct pf_object *object)
{
	const struct pf_entry *e = object->entry;

	if (e->kind == PF_KIND_STREAM || e->kind == PF_KIND_DIALOG || (e->plain && e->plain->waits))
		return false;
	if (!dump->dead)
		return true;
	if (e->kind == PF_KIND_PROFILE && e->profile->source == PF_SOURCE_THREADS)
		return false;
	return !(e->plain && e->plain->living) && !(e->list && e->list->living);
}

/* A directory in that one, made if it is missing: or -1, and the dump has failed. */
static int open_below(struct dump *dump, int directory, const char *name)
{
	int fd;

	mkdirat(directory, name, 0700); /* or it is there; or the open says why not */
	fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		note_error(dump, -errno);
	return fd;
}

/* An earlier dump's may be there. */
static void write_link(struct dump *dump, int directory, const char *name, const char *target)
{
	unlinkat(directory, name, 0);
	if (symlinkat(target, directory, name) < 0)
		note_error(dump, -errno);
}

/* What a link leads to that is not listed takes time in the tree; here it is a file like others. */
static void dump_link(
    struct dump *dump, int directory, const char *name, const struct pf_entry *link)
{
	const struct pf_entry *to = pf_tree_entry(dump->live.tree, link->to);
	struct pf_object object = pf_tree_object(to);

	if (!is_dumped(dump, &object))
		return;
	if (to->listed)
		write_link(dump, directory, name, link->target);
	else
		write_made(dump, directory, name, &object);
}

static void dump_member_link(
    struct dump *dump, int directory, const char *name, const struct pf_object *object)
{
	char target[PF_LINK_TARGET];

	if (object->member->link(&dump->live, object->key, target, sizeof(target)) == 0)
		write_link(dump, directory, name, target);
}

static void dump_directory(
    struct dump *dump, int directory, const char *name, const struct pf_object *object);

static void dump_object(
    struct dump *dump, int directory, const char *name, const struct pf_object *object)
{
	if (!is_dumped(dump, object))
		return;
	if (object->directory)
		dump_directory(dump, directory, name, object);
	else if (object->snapshot)
		note_error(dump, write_file(dump, directory, name, &object->snapshot->text));
	else if (object->member && object->member->link)
		dump_member_link(dump, directory, name, object);
	else if (object->fixed && object->entry->kind == PF_KIND_LINK)
		dump_link(dump, directory, name, object->entry);
	else
		write_made(dump, directory, name, object);
}

/* Names with a NUL behind each. They are taken first and used then: a list is told under its lock. */
struct names {
	struct pf_listing listing;
	struct pf_buf text;
};

static void add_name(struct pf_listing *listing, const char *name, uint64_t ino, uint32_t mode)
{
	struct names *names = (struct names *)listing;

	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		pf_buf_add(&names->text, name, strlen(name) + 1);
}

static void dump_names(struct dump *dump, int directory, const struct pf_object *parent)
{
	struct names names = {.listing = {add_name}, .text = PF_BUF_INIT};
	const struct pf_tree *tree = dump->live.tree;

	note_error(dump, pf_tree_list(tree, &dump->live, parent, &names.listing));
	note_error(dump, names.text.error);
	for (size_t at = 0; at < names.text.length;) {
		const char *name = names.text.at + at;
		struct pf_object object = {.entry = NULL};

		at += strlen(name) + 1;
		if (pf_tree_find(tree, &dump->live, parent, name, &object) == 0)
			dump_object(dump, directory, name, &object); /* else it went meanwhile */
		pf_snapshot_drop(object.snapshot);
	}
	pf_buf_finish(&names.text);
}

static void dump_directory(
    struct dump *dump, int directory, const char *name, const struct pf_object *object)
{
	int fd = open_below(dump, directory, name);

	if (fd < 0)
		return;
	dump_names(dump, fd, object);
	close(fd);
	if (!object->fixed)
		unlinkat(directory, name, AT_REMOVEDIR); /* if it is empty: a thread that ended */
}

/* thread/7/name of an earlier dump into the same place would pass for one of this process: the
 * directories of a list are emptied of what a dump puts there. */
static void forget_members(int directory, const struct pf_list_row *list)
{
	int below = openat(directory, list->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *names = below < 0 ? NULL : fdopendir(below);
	const struct dirent *d;
	char path[NAME_MAX + 64];

	if (!names && below >= 0)
		close(below);
	while (names && (d = readdir(names)) != NULL) {
		if (d->d_name[0] == '.' || d->d_type != DT_DIR)
			continue;
		for (size_t i = 0; i < list->member_count; i++) {
			snprintf(path, sizeof(path), "%s/%.40s", d->d_name, list->members[i].path);
			unlinkat(below, path, 0);
		}
		unlinkat(below, d->d_name, AT_REMOVEDIR);
	}
	if (names)
		closedir(names);
}

static void dump_whole(struct dump *dump)
{
	struct pf_object root = pf_tree_object(pf_tree_entry(dump->live.tree, PF_TREE_ROOT));

	for (size_t i = 0; i < pf_table.list_count; i++)
		if (pf_table.lists[i].members)
			forget_members(dump->directory, &pf_table.lists[i]);
	dump_names(dump, dump->directory, &root);
}

/* ---- by command ---- */

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
		struct pf_object object;
		const char *word;

		if (row->collector == PF_COLLECTOR_COUNT || !wish->profiles[row->collector])
			continue;
		snprintf(path, sizeof(path), "%s%s.pprof", row->window ? ".now/" : "", row->stem);
		entry = pf_tree_path(dump->live.tree, path);
		word = word_of(dump, row);
		if (!entry || !word)
			continue;
		snprintf(name, sizeof(name), "%.150s_%s_%s.prof", wish->command, word, stamp);
		object = pf_tree_object(entry);
		write_made(dump, dump->directory, name, &object);
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

	if (wish->dead)
		pf_lock_all_free(); /* this object's, as the sampler's are */
	if (rc == 0)
		rc = dump.directory = open_directory(wish->directory);
	if (rc >= 0)
		rc = pf_live_init(&dump.live, sampler);
	if (rc == 0) {
		dump.live.where = wish->directory;
		pf_lookup_set_program(&dump.live.lookup, wish->lines);
		dump.live.pid = wish->pid;
		if (wish->command) {
			dump_by_command(&dump, wish);
		} else {
			pf_live_borrow(&dump.live);
			dump_whole(&dump);
		}
		rc = dump.error;
		forget_taken(&dump);
		pf_live_finish(&dump.live);
	}
	if (dump.directory >= 0)
		close(dump.directory);
	pf_count(rc == 0 ? PF_COUNTER_DUMPS : PF_COUNTER_DUMPS_FAILED);
	return rc;
}
