#include "fs/tree.h"
#include "base/buf.h"
#include "fs/defined.h"
#include "fs/query.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- finding ---- */

const struct pf_entry *pf_tree_entry(const struct pf_tree *tree, uint64_t id)
{
	if (id < PF_TREE_ROOT || id >= PF_TREE_ROOT + tree->count)
		return NULL;
	return &tree->entries[id - PF_TREE_ROOT];
}

struct pf_entry *pf_tree_child(
    const struct pf_tree *tree, uint64_t parent, const char *name, size_t length)
{
	for (size_t i = 0; i < tree->count; i++) {
		struct pf_entry *e = &tree->entries[i];

		if (e->parent == parent && e->id != PF_TREE_ROOT &&
		    strncmp(e->name, name, length) == 0 && e->name[length] == '\0')
			return e;
	}
	return NULL;
}

const struct pf_entry *pf_tree_path(const struct pf_tree *tree, const char *path)
{
	const struct pf_entry *e;
	uint64_t at = PF_TREE_ROOT;

	for (;;) {
		size_t length = strcspn(path, "/");

		e = pf_tree_child(tree, at, path, length);
		if (!e || path[length] == '\0')
			return e;
		at = e->id;
		path += length + 1;
	}
}

void pf_tree_name(const struct pf_tree *tree, const struct pf_entry *entry, char *out, size_t size)
{
	const struct pf_entry *parent = pf_tree_entry(tree, entry->parent);

	if (!parent || entry->parent == PF_TREE_ROOT) {
		snprintf(out, size, "%s", entry->name);
		return;
	}
	pf_tree_name(tree, parent, out, size);
	snprintf(out + strlen(out), size - strlen(out), "/%s", entry->name);
}

/* The same number for the same path, far from the entries' own (FNV-1a). */
static uint64_t ino_of(uint64_t parent, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ull ^ parent;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
	return (hash >> 2) | 1ull << 48;
}

struct pf_object pf_tree_object(const struct pf_entry *entry)
{
	return (struct pf_object){
	    .entry = entry,
	    .fixed = entry->kind != PF_KIND_PRINT && entry->kind != PF_KIND_PROFILE,
	    .directory = entry->kind == PF_KIND_DIRECTORY || entry->kind == PF_KIND_LIST,
	    .ino = entry->id,
	};
}

/* A link is, while it leads somewhere. */
static bool is_there(struct pf_live *live, const struct pf_plain_row *member, int key)
{
	char target[PF_LINK_TARGET];

	return !member->link || member->link(live, key, target, sizeof(target)) == 0;
}

/* What a profile of the program's own is in this form. */
static const struct pf_entry *defined_entry(
    const struct pf_tree *tree, const struct pf_view_row *view)
{
	return &tree->entries[tree->count - pf_table.view_count + (size_t)(view - pf_table.views)];
}

static int find_in_list(const struct pf_tree *tree, struct pf_live *live,
    const struct pf_object *parent, const char *name, struct pf_object *out)
{
	const struct pf_list_row *list = parent->entry->list;
	struct pf_found found = {.key = 0};
	int rc;

	*out = (struct pf_object){.entry = parent->entry, .ino = ino_of(parent->ino, name)};
	if (parent->fixed || !list->members) {
		rc = list->find(live, parent->key, name, &found);
		out->snapshot = found.snapshot;
		out->member = found.member;
		out->key = found.key;
		out->time_ns = found.time_ns;
		out->query = found.query;
		if (found.view)
			out->entry = defined_entry(tree, found.view);
		out->directory = rc == 0 && !out->snapshot && !out->member && !found.view;
		return rc;
	}
	out->key = parent->key;
	for (size_t i = 0; i < list->member_count; i++)
		if (strcmp(list->members[i].path, name) == 0) {
			out->member = &list->members[i];
			return is_there(live, out->member, out->key) ? 0 : -ENOENT;
		}
	return -ENOENT;
}

/* What a name with a query stands for: links are followed, and "cpu", a directory, means its
 * text. Only files that are made at open can be asked something. */
static const struct pf_entry *asked_entry(
    const struct pf_tree *tree, uint64_t parent, const char *base)
{
	const struct pf_entry *e = pf_tree_child(tree, parent, base, strlen(base));
	char text[NAME_MAX + 1];

	if (e && e->kind == PF_KIND_DIRECTORY && strlen(base) + 4 < sizeof(text)) {
		snprintf(text, sizeof(text), "%.250s.txt", base);
		e = pf_tree_child(tree, parent, text, strlen(text));
	}
	if (e && e->kind == PF_KIND_LINK)
		e = pf_tree_entry(tree, e->to);
	if (e && (e->kind == PF_KIND_PRINT || e->kind == PF_KIND_PROFILE))
		return e;
	return NULL;
}

/* Two wishes that exclude each other, as Go says: a difference has no text form. */
static bool contradicts(const struct pf_entry *entry, const struct pf_query *query)
{
	return entry->kind == PF_KIND_PROFILE && !entry->profile->window && query->seconds_ns &&
	       query->debug;
}

static int find_asked(
    const struct pf_tree *tree, uint64_t parent, const char *name, struct pf_object *out)
{
	struct pf_name parsed;
	const struct pf_entry *entry;
	int rc = pf_query_parse(name, &parsed);

	if (rc < 0)
		return rc;
	entry = strcmp(parsed.base, name) == 0 ? NULL : asked_entry(tree, parent, parsed.base);
	if (!entry)
		return -ENOENT;
	if (parsed.error)
		return parsed.error;
	if (contradicts(entry, &parsed.query))
		return -EINVAL;
	*out = pf_tree_object(entry);
	out->query = parsed.query;
	out->ino = ino_of(parent, name);
	return 0;
}

int pf_tree_find(const struct pf_tree *tree, struct pf_live *live, const struct pf_object *parent,
    const char *name, struct pf_object *out)
{
	const struct pf_entry *e;

	if (!parent->directory)
		return -ENOTDIR;
	if (parent->entry->kind == PF_KIND_LIST)
		return find_in_list(tree, live, parent, name, out);
	e = pf_tree_child(tree, parent->entry->id, name, strlen(name));
	if (!e)
		return find_asked(tree, parent->entry->id, name, out);
	*out = pf_tree_object(e);
	return 0;
}

/* ---- listing and attributes ---- */

static uint32_t type_of(const struct pf_object *object)
{
	if (object->directory)
		return S_IFDIR;
	if (object->member && object->member->link)
		return S_IFLNK;
	return object->fixed && object->entry->kind == PF_KIND_LINK ? S_IFLNK : S_IFREG;
}

int64_t pf_tree_size(const struct pf_object *object)
{
	const struct pf_entry *e = object->entry;

	if (object->directory || !e->room || (object->member && !object->member->page))
		return 0;
	return (int64_t)__atomic_load_n(e->room, __ATOMIC_RELAXED);
}

static bool may_be_written(const struct pf_entry *e)
{
	return e->kind == PF_KIND_CONTROL || e->kind == PF_KIND_DIALOG;
}

uint32_t pf_tree_mode(const struct pf_object *object)
{
	const struct pf_entry *e = object->entry;
	uint32_t type = type_of(object);

	if (type == S_IFLNK)
		return type | 0777;
	if (type == S_IFDIR)
		return type | (e->kind == PF_KIND_LIST && e->list->remove ? 0700 : 0500);
	return type | (object->fixed && may_be_written(e) ? 0600 : 0400);
}

struct list_names {
	struct pf_listing *to;
	uint64_t parent;
};

static void add_name(void *to, const char *name, bool directory)
{
	struct list_names *names = to;

	names->to->add(names->to, name, ino_of(names->parent, name), directory ? S_IFDIR : S_IFREG);
}

static void add_member(
    struct pf_live *live, int key, const struct pf_plain_row *member, struct list_names *names)
{
	if (is_there(live, member, key))
		names->to->add(names->to, member->path, ino_of(names->parent, member->path),
		    member->link ? S_IFLNK : S_IFREG);
}

static int list_run_time(
    struct pf_live *live, const struct pf_object *parent, struct pf_listing *to)
{
	const struct pf_list_row *list = parent->entry->list;
	struct list_names names = {to, parent->ino};

	if (parent->fixed || !list->members)
		return list->list(live, parent->key, add_name, &names);
	for (size_t i = 0; i < list->member_count; i++)
		add_member(live, parent->key, &list->members[i], &names);
	return 0;
}

int pf_tree_list(const struct pf_tree *tree, struct pf_live *live, const struct pf_object *parent,
    struct pf_listing *to)
{
	to->add(to, ".", parent->ino, S_IFDIR);
	to->add(to, "..", parent->fixed ? parent->entry->parent : parent->entry->id, S_IFDIR);
	if (parent->entry->kind == PF_KIND_LIST)
		return list_run_time(live, parent, to);
	for (size_t i = 1; i < tree->count; i++) {
		const struct pf_entry *e = &tree->entries[i];
		struct pf_object object = pf_tree_object(e);

		if (e->parent == parent->entry->id && e->listed)
			to->add(to, e->name, e->id, type_of(&object));
	}
	return 0;
}

/* ---- README ---- */

static void describe_profiles(const struct pf_tree *tree, struct pf_buf *out)
{
	pf_buf_str(out, "Profiles:\n");
	for (size_t i = 0; i < pf_table.profile_count; i++) {
		const struct pf_profile_row *row = &pf_table.profiles[i];
		char path[64];

		snprintf(path, sizeof(path), "%s%s", row->stem, row->window ? ".txt" : "");
		if (pf_tree_path(tree, path))
			pf_buf_printf(out, "  %-28s %s\n", row->stem, row->help);
	}
	pf_buf_str(out, "\nEach in these forms:\n");
	for (size_t i = 0; i < pf_table.view_count; i++)
		pf_buf_printf(
		    out, "  NAME%-24s %s\n", pf_table.views[i].suffix, pf_table.views[i].help);
}

void pf_tree_describe(const struct pf_tree *tree, struct pf_buf *out)
{
	char path[128];

	describe_profiles(tree, out);
	pf_buf_str(out, "\nFiles:\n");
	for (size_t i = 0; i < tree->count; i++) {
		const struct pf_entry *e = &tree->entries[i];

		if (!e->help || !e->listed)
			continue;
		pf_tree_name(tree, e, path, sizeof(path));
		pf_buf_printf(out, "  %-28s %s\n", path, e->help);
	}
	for (size_t i = 0; i < tree->count; i++) {
		const struct pf_entry *e = &tree->entries[i];

		if (e->kind != PF_KIND_LINK || !e->listed || e->help)
			continue;
		pf_tree_name(tree, e, path, sizeof(path));
		pf_buf_printf(out, "  %-28s -> %s\n", path, e->target);
	}
}
