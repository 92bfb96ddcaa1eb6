/* Grows the tree from the table: every row becomes its entries. */
#include "base/buf.h"
#include "fs/control.h"
#include "fs/defined.h"
#include "fs/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOWHERE = 0 }; /* the parent of an entry that has no path */
enum { USUAL = 512 }; /* entries; there may be more */

/* A tree under construction: the first failure sticks. */
struct builder {
	struct pf_tree *tree;
	int error;
};

/* A new child; the pointer holds until the next one is added. */
static struct pf_entry *add_child(
    struct builder *b, uint64_t parent, const char *name, size_t length, enum pf_kind kind)
{
	struct pf_tree *tree = b->tree;
	static struct pf_entry nowhere; /* written after a failure, never read */
	struct pf_entry *e;
	int rc = pf_vec_reserve(
	    (void **)&tree->entries, &tree->capacity, sizeof(*tree->entries), tree->count + 1);
	char *own_name = b->error || rc < 0 ? NULL : strndup(name, length);

	if (!own_name) { /* whoever looks for a name finds none that is missing */
		b->error = -ENOMEM;
		nowhere = (struct pf_entry){.id = PF_TREE_ROOT};
		return &nowhere;
	}
	e = &tree->entries[tree->count];
	*e = (struct pf_entry){
	    .name = own_name,
	    .id = PF_TREE_ROOT + tree->count++,
	    .parent = parent,
	    .kind = kind,
	    .listed = true,
	};
	return e;
}

/* A path whose directories are made as needed; the same path again is the same entry. */
static struct pf_entry *add_path(struct builder *b, const char *path, enum pf_kind kind)
{
	uint64_t at = PF_TREE_ROOT;

	while (!b->error) {
		size_t length = strcspn(path, "/");
		struct pf_entry *child = pf_tree_child(b->tree, at, path, length);
		bool last = path[length] == '\0';

		if (!child)
			child = add_child(b, at, path, length, last ? kind : PF_KIND_DIRECTORY);
		if (last)
			return child;
		at = child->id;
		path += length + 1;
	}
	return add_child(b, at, "", 0, kind);
}

static void make_room(struct builder *b, struct pf_entry *e)
{
	e->room = malloc(sizeof(*e->room));
	if (e->room)
		*e->room = PF_PAGE_ROOM;
	else
		b->error = -ENOMEM;
}

static struct pf_entry *add_link(
    struct builder *b, const char *path, const char *target, uint64_t to)
{
	struct pf_entry *e = add_path(b, path, PF_KIND_LINK);

	e->target = strdup(target);
	e->to = to;
	if (!e->target)
		b->error = -ENOMEM;
	return e;
}

static struct pf_entry *add_profile(struct builder *b, const char *path,
    const struct pf_profile_row *row, const struct pf_view_row *view, int64_t seconds_ns)
{
	struct pf_entry *e = add_path(b, path, PF_KIND_PROFILE);

	e->profile = row;
	e->view = view;
	e->seconds_ns = seconds_ns;
	e->listed = !row->window;
	if (view->page)
		make_room(b, e);
	return e;
}

static struct pf_entry *add_plain(
    struct builder *b, const char *path, const struct pf_plain_row *row, int arg)
{
	enum pf_kind kind = row->store    ? PF_KIND_CONTROL
			    : row->ask    ? PF_KIND_DIALOG
			    : row->stream ? PF_KIND_STREAM
					  : PF_KIND_PRINT;
	struct pf_entry *e = add_path(b, path, kind);

	e->plain = row;
	e->show = row->show;
	e->answer = row->answer;
	e->store = row->store;
	e->arg = arg;
	e->help = row->help;
	if (row->page)
		make_room(b, e);
	return e;
}

/* What waits in its open or its read: "cpu/wait" is a link to ".now/cpu.wait". */
static void add_waiting(
    struct builder *b, const char *path, const struct pf_plain_row *row, int arg)
{
	const char *slash = strchr(path, '/');
	struct pf_entry *e;
	char place[80], target[96];

	snprintf(place, sizeof(place), ".now/%.64s", path);
	if (slash)
		place[strlen(".now/") + (size_t)(slash - path)] = '.';
	e = add_plain(b, place, row, arg);
	e->listed = false;
	snprintf(target, sizeof(target), "%s%s", slash ? "../" : "", place);
	add_link(b, path, target, e->id)->help = row->help;
}

static void add_row(struct builder *b, const char *path, const struct pf_plain_row *row, int arg)
{
	if (row->waits || row->stream)
		add_waiting(b, path, row, arg);
	else
		add_plain(b, path, row, arg);
}

/* A profile that takes time: made under .now/, which is not listed; what is listed are links. */
static void add_window_views(struct builder *b, const struct pf_profile_row *row)
{
	char path[64], target[80];
	uint64_t to;

	for (size_t i = 0; i < pf_table.view_count; i++) {
		const struct pf_view_row *view = &pf_table.views[i];

		if (!*view->suffix)
			continue; /* the bare name is the directory of controls */
		snprintf(path, sizeof(path), ".now/%s%s", row->stem, view->suffix);
		to = add_profile(b, path, row, view, 0)->id;
		add_link(b, strchr(path, '/') + 1, path, to);
	}
	snprintf(path, sizeof(path), ".now/%s", row->go_name);
	to = add_profile(b, path, row, &pf_table.go_view, pf_table.go_seconds_ns)->id;
	snprintf(target, sizeof(target), "../../%s", path);
	snprintf(path, sizeof(path), "debug/pprof/%s", row->go_name);
	add_link(b, path, target, to);
	/* profile?seconds=5 is understood at the root too, but not listed there. */
	if (pf_tree_child(b->tree, PF_TREE_ROOT, row->go_name, strlen(row->go_name)))
		return;
	snprintf(path, sizeof(path), ".now/%s", row->go_name);
	add_link(b, row->go_name, path, to)->listed = false;
}

static void add_instant_views(struct builder *b, const struct pf_profile_row *row)
{
	uint64_t first = 0;
	char path[64];

	for (size_t i = 0; i < pf_table.view_count; i++) {
		uint64_t id;

		snprintf(path, sizeof(path), "%s%s", row->stem, pf_table.views[i].suffix);
		id = add_profile(b, path, row, &pf_table.views[i], 0)->id;
		first = first ? first : id;
	}
	snprintf(path, sizeof(path), "debug/pprof/%s", row->go_name);
	add_profile(b, path, row, &pf_table.go_view, 0);
	if (row->alias)
		add_link(b, row->alias, row->stem, first);
}

/* A profile row of this source. */
static const struct pf_profile_row *row_of(enum pf_source source)
{
	size_t i = 0;

	while (i + 1 < pf_table.profile_count && pf_table.profiles[i].source != source)
		i++;
	return &pf_table.profiles[i];
}

static void add_other(struct builder *b, const struct pf_other_row *other)
{
	const struct pf_profile_row *row = row_of(other->source);
	char place[80], target[96];
	uint64_t to;

	if (!row->window) {
		add_profile(b, other->path, row, &other->view, 0)->help = other->view.help;
		return;
	}
	snprintf(place, sizeof(place), ".now/%.64s", other->path);
	*strrchr(place, '/') = '.';
	to = add_profile(b, place, row, &other->view, pf_table.go_seconds_ns)->id;
	snprintf(target, sizeof(target), "../%s", place);
	add_link(b, other->path, target, to)->help = other->view.help;
}

static void add_other_name(struct builder *b, const struct pf_link_row *link)
{
	const struct pf_entry *to = pf_tree_path(b->tree, link->target + strlen("../"));

	if (to)
		add_link(b, link->path, link->target, to->id);
}

static void add_window_controls(struct builder *b, const struct pf_profile_row *row)
{
	char path[64];

	for (size_t i = 0; i < pf_table.window_count; i++) {
		snprintf(path, sizeof(path), "%s/%s", row->stem, pf_table.windows[i].path);
		add_row(b, path, &pf_table.windows[i], (int)(row - pf_table.profiles));
	}
}

/* The row behind every knob; path and help are the knob's own. */
static const struct pf_plain_row knob_row = {
    .show = pf_knob_show,
    .store = pf_knob_store,
};

/* A knob's directory is config/, or one that a profile has made: no wall/hz without wall. */
static void add_knob(struct builder *b, int id)
{
	const char *path = pf_knobs[id].path;
	size_t length = strcspn(path, "/");

	if (strncmp(path, "config/", 7) != 0 && !pf_tree_child(b->tree, PF_TREE_ROOT, path, length))
		return;
	add_plain(b, path, &knob_row, id)->help = pf_knobs[id].help;
}

static void add_list(struct builder *b, const struct pf_list_row *row)
{
	struct pf_entry *e = add_path(b, row->path, PF_KIND_LIST);

	e->list = row;
	e->help = row->help;
	for (size_t i = 0; i < row->member_count; i++)
		if (row->members[i].page && !e->room)
			make_room(b, e);
}

static void add_defined(struct builder *b, const struct pf_view_row *view)
{
	struct pf_entry *e = add_child(b, NOWHERE, "custom", strlen("custom"), PF_KIND_PROFILE);

	e->profile = &pf_defined_row;
	e->view = view;
	e->listed = false;
}

void pf_tree_page_path(const char *path, char out[PF_TREE_PAGE_PATH])
{
	size_t start = strlen(".page/");

	snprintf(out, PF_TREE_PAGE_PATH, ".page/%.140s.html", path);
	for (char *at = out + start; *at; at++)
		if (*at == '/')
			*at = '.';
}

/* What it has to tell is text that is made when it is opened. */
static bool is_made_text(const struct pf_entry *e)
{
	if (e->room)
		return false;
	if (e->kind == PF_KIND_PROFILE)
		return strcmp(e->view->suffix, ".txt") == 0;
	return e->kind == PF_KIND_PRINT && e->listed;
}

/* The same text as a page: files without a size are empty to a browser. */
static void add_page(struct builder *b, const struct pf_entry *of)
{
	struct pf_entry from = *of, *e;
	char path[PF_TREE_PAGE_PATH], name[128];

	if (from.kind == PF_KIND_PROFILE)
		snprintf(name, sizeof(name), "%.64s.txt", from.profile->stem);
	else
		pf_tree_name(b->tree, of, name, sizeof(name));
	pf_tree_page_path(name, path);
	e = add_path(b, path, from.kind);
	e->profile = from.profile;
	e->view = from.view;
	e->seconds_ns = from.seconds_ns;
	e->plain = from.plain;
	e->show = from.show;
	e->answer = from.answer;
	e->arg = from.arg;
	e->listed = false;
	e->framed = true;
	make_room(b, e);
}

static void add_pages(struct builder *b)
{
	size_t count = b->tree->count;

	add_path(b, ".page", PF_KIND_DIRECTORY)->listed = false;
	for (size_t i = 0; i < count && !b->error; i++)
		if (is_made_text(&b->tree->entries[i]))
			add_page(b, &b->tree->entries[i]);
}

static void grow(struct builder *b, const struct pf_sampler *door)
{
	add_child(b, PF_TREE_ROOT, "", 0, PF_KIND_DIRECTORY);
	for (size_t i = 0; i < pf_table.plain_count; i++)
		add_row(b, pf_table.plains[i].path, &pf_table.plains[i], pf_table.plains[i].arg);
	add_path(b, ".now", PF_KIND_DIRECTORY)->listed = false;
	for (size_t i = 0; i < pf_table.profile_count; i++) {
		const struct pf_profile_row *row = &pf_table.profiles[i];

		if (!door->collect[row->source])
			continue;
		if (row->window)
			add_window_controls(b, row);
		(row->window ? add_window_views : add_instant_views)(b, row);
	}
	for (size_t i = 0; i < pf_table.other_count && !b->error; i++)
		if (door->collect[pf_table.others[i].source])
			add_other(b, &pf_table.others[i]);
	for (size_t i = 0; i < pf_table.link_count && !b->error; i++)
		add_other_name(b, &pf_table.links[i]);
	for (int id = 0; id < PF_KNOB_COUNT && !b->error; id++)
		add_knob(b, id);
	for (size_t i = 0; i < pf_table.list_count; i++)
		add_list(b, &pf_table.lists[i]);
	add_pages(b);
	for (size_t i = 0; i < pf_table.view_count; i++)
		add_defined(b, &pf_table.views[i]);
}

struct pf_tree *pf_tree_create(const struct pf_sampler *door)
{
	struct builder b = {.tree = calloc(1, sizeof(*b.tree))};

	if (!b.tree)
		return NULL;
	/* At once: to grow them would touch every page anew. */
	pf_vec_reserve(
	    (void **)&b.tree->entries, &b.tree->capacity, sizeof(*b.tree->entries), USUAL);
	grow(&b, door);
	if (b.error) {
		pf_tree_destroy(b.tree);
		return NULL;
	}
	return b.tree;
}

void pf_tree_destroy(struct pf_tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->entries[i].name);
		free(tree->entries[i].target);
		free(tree->entries[i].room);
	}
	pf_vec_free(tree->entries, tree->capacity, sizeof(*tree->entries));
	free(tree);
}
