/* The table, grown into names. */
#include "base/buf.h"
#include "base/mark.h"
#include "fake_door.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct pf_live live;

static int setup(void **state)
{
	fake_door_reset(false);
	return pf_live_init(&live, &fake.door);
}

static int setup_with_wall(void **state)
{
	fake_door_reset(true);
	return pf_live_init(&live, &fake.door);
}

static int teardown(void **state)
{
	pf_live_finish(&live);
	return 0;
}

static int find(const char *directory, const char *name, struct pf_object *out)
{
	const struct pf_entry *entry =
	    *directory ? pf_tree_path(live.tree, directory) : pf_tree_entry(live.tree, 1);
	struct pf_object parent;

	assert_non_null(entry);
	parent = pf_tree_object(entry);
	return pf_tree_find(live.tree, &live, &parent, name, out);
}

static void every_profile_has_every_view(void **state)
{
	for (size_t p = 0; p < pf_table.profile_count; p++)
		for (size_t v = 0; v < pf_table.view_count; v++) {
			const struct pf_profile_row *row = &pf_table.profiles[p];
			bool bare_window = row->window && !*pf_table.views[v].suffix;
			const struct pf_entry *entry;
			char path[64];

			if (!fake.door.collect[row->source])
				continue;
			snprintf(path, sizeof(path), "%s%s", row->stem, pf_table.views[v].suffix);
			entry = pf_tree_path(live.tree, path);
			assert_non_null(entry);
			assert_int_equal(entry->kind, bare_window   ? PF_KIND_DIRECTORY
						      : row->window ? PF_KIND_LINK
								    : PF_KIND_PROFILE);
		}
}

static void a_page_has_room_before_it_is_made(void **state)
{
	const struct pf_entry *heap = pf_tree_path(live.tree, "heap");
	const struct pf_entry *page = pf_tree_path(live.tree, "heap.html");
	const struct pf_entry *link = pf_tree_path(live.tree, "cpu.html");
	struct pf_object object = pf_tree_object(page), text = pf_tree_object(heap);
	struct pf_object capture = pf_tree_object(pf_tree_entry(live.tree, link->to));

	assert_int_equal(pf_tree_size(&text), 0);
	assert_int_equal(pf_tree_size(&object), PF_PAGE_ROOM);
	assert_int_equal(pf_tree_size(&capture), PF_PAGE_ROOM);
}

static void what_is_not_collected_is_not_there(void **state)
{
	struct pf_object object;

	assert_null(pf_tree_path(live.tree, "wall"));
	assert_null(pf_tree_path(live.tree, "wall/hz"));
	assert_int_equal(find("", "wall.pprof", &object), -ENOENT);
	assert_int_equal(find("", "wall-5s.pprof", &object), -ENOENT);
	assert_int_equal(find("debug/pprof", "wall", &object), -ENOENT);
}

static void every_knob_has_a_file(void **state)
{
	for (int id = 0; id < PF_KNOB_COUNT; id++) {
		const struct pf_entry *entry = pf_tree_path(live.tree, pf_knobs[id].path);

		assert_non_null(entry);
		assert_int_equal(entry->kind, PF_KIND_CONTROL);
		assert_int_equal(entry->arg, id);
		assert_string_equal(entry->help, pf_knobs[id].help);
	}
}

static void links_lead_to_what_they_name(void **state)
{
	char path[128], target[256];

	for (size_t i = 0; i < live.tree->count; i++) {
		const struct pf_entry *e = &live.tree->entries[i];
		const char *up = e->target;
		char *slash;

		if (e->kind != PF_KIND_LINK)
			continue;
		pf_tree_name(live.tree, e, path, sizeof(path));
		slash = strrchr(path, '/');
		*(slash ? slash : path) = '\0';
		while (strncmp(up, "../", 3) == 0) {
			up += 3;
			slash = strrchr(path, '/');
			*(slash ? slash : path) = '\0';
		}
		snprintf(target, sizeof(target), "%s%s%s", path, *path ? "/" : "", up);
		assert_ptr_equal(pf_tree_path(live.tree, target), pf_tree_entry(live.tree, e->to));
	}
}

struct names {
	struct pf_listing listing;
	struct pf_buf text;
};

static void add_name(struct pf_listing *listing, const char *name, uint64_t ino, uint32_t mode)
{
	struct names *names = (struct names *)listing;

	pf_buf_printf(&names->text, "%s%c ", name, S_ISDIR(mode) ? '/' : S_ISLNK(mode) ? '@' : ' ');
	assert_int_not_equal(ino, 0);
}

static const char *list(struct names *names, const char *directory)
{
	struct pf_object parent = pf_tree_object(
	    *directory ? pf_tree_path(live.tree, directory) : pf_tree_entry(live.tree, 1));

	names->listing.add = add_name;
	assert_int_equal(pf_tree_list(live.tree, &live, &parent, &names->listing), 0);
	return pf_buf_text(&names->text);
}

static void slow_names_are_listed_as_links_only(void **state)
{
	struct names root = {.text = PF_BUF_INIT}, now = {.text = PF_BUF_INIT};
	struct names go = {.text = PF_BUF_INIT};

	assert_non_null(strstr(list(&root, ""), " cpu.pprof@ "));
	assert_non_null(strstr(root.text.at, " cpu/ "));
	assert_non_null(strstr(root.text.at, " heap  "));
	assert_null(strstr(root.text.at, ".now"));
	assert_null(strstr(root.text.at, " profile@"));
	assert_string_equal(list(&now, ".now"), "./ ../ ");
	assert_non_null(strstr(list(&go, "debug/pprof"), " profile@ "));
	pf_buf_finish(&root.text);
	pf_buf_finish(&now.text);
	pf_buf_finish(&go.text);
}

static void a_query_reaches_through_links_and_directories(void **state)
{
	struct pf_object object;

	assert_int_equal(find("", "cpu-5s.pprof", &object), 0);
	assert_string_equal(object.entry->profile->stem, "cpu");
	assert_string_equal(object.entry->view->suffix, ".pprof");
	assert_false(object.fixed);
	assert_int_equal(find("", "cpu?seconds=5", &object), 0);
	assert_string_equal(object.entry->view->suffix, ".txt");
	assert_int_equal(find("", "goroutine?debug=2", &object), 0);
	assert_string_equal(object.entry->profile->stem, "threads");
	assert_int_equal(find("", "profile,seconds=5", &object), 0);
	assert_int_equal(find("debug/pprof", "profile?seconds=5", &object), 0);
	assert_int_equal(object.entry->seconds_ns, 30ll * 1000000000);
	assert_int_equal(find("", "cmdline?debug=1", &object), 0);
}

static void what_cannot_be_asked_is_missing(void **state)
{
	static const char *const names[] = {"nothing", "nothing?debug=1", "nothing?debug=x",
	    "enable?debug=1", "captures?n=1", "gc,debug=1", "?debug=1", "", ".", "..", "-5s",
	    "cpu-5s.gif"};
	struct pf_object object;

	for (size_t i = 0; i < PF_COUNT(names); i++)
		assert_int_equal(find("", names[i], &object), -ENOENT);
	assert_int_equal(find("", "heap?debug=x", &object), -EINVAL);
	assert_int_equal(find("", "heap?seconds=5&debug=1", &object), -EINVAL);
}

static void a_file_has_no_children(void **state)
{
	struct pf_object parent, object;

	assert_int_equal(find("", "heap", &parent), 0);
	assert_int_equal(pf_tree_find(live.tree, &live, &parent, "x", &object), -ENOTDIR);
}

static void the_same_name_has_the_same_ino(void **state)
{
	struct pf_object a, b, c;

	assert_int_equal(find("", "heap?debug=1", &a), 0);
	assert_int_equal(find("", "heap?debug=1", &b), 0);
	assert_int_equal(find("", "heap?debug=2", &c), 0);
	assert_int_equal(a.ino, b.ino);
	assert_int_not_equal(a.ino, c.ino);
	assert_null(pf_tree_entry(live.tree, a.ino));
}

static void modes_are_the_owners_alone(void **state)
{
	for (size_t i = 0; i < live.tree->count; i++) {
		struct pf_object object = pf_tree_object(&live.tree->entries[i]);
		uint32_t mode = pf_tree_mode(&object);

		if (!S_ISLNK(mode))
			assert_int_equal(mode & 077, 0);
		assert_int_equal(S_ISREG(mode) && (mode & 0200),
		    live.tree->entries[i].kind == PF_KIND_CONTROL ||
			live.tree->entries[i].kind == PF_KIND_DIALOG);
	}
}

static void readme_names_every_listed_file(void **state)
{
	struct pf_buf text = PF_BUF_INIT;
	char path[128];

	pf_tree_describe(live.tree, &text);
	for (size_t i = 1; i < live.tree->count; i++) {
		const struct pf_entry *e = &live.tree->entries[i];

		pf_tree_name(live.tree, e, path, sizeof(path));
		if (e->listed && (e->help || e->kind == PF_KIND_LINK))
			assert_non_null(strstr(pf_buf_text(&text), path));
	}
	assert_null(strstr(pf_buf_text(&text), "  wall"));
	pf_buf_finish(&text);
}

static void with_wall_there_is_wall(void **state)
{
	struct pf_object object;

	assert_non_null(pf_tree_path(live.tree, "wall/hz"));
	assert_non_null(pf_tree_path(live.tree, "wall/seconds"));
	assert_int_equal(find("", "wall-5s.folded", &object), 0);
	assert_int_equal(find("debug/pprof", "wall?seconds=1", &object), 0);
	assert_int_equal(pf_tree_path(live.tree, "wall")->kind, PF_KIND_DIRECTORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		every_profile_has_every_view, setup_with_wall, teardown),
	    cmocka_unit_test_setup_teardown(a_page_has_room_before_it_is_made, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_not_collected_is_not_there, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_knob_has_a_file, setup_with_wall, teardown),
	    cmocka_unit_test_setup_teardown(
		links_lead_to_what_they_name, setup_with_wall, teardown),
	    cmocka_unit_test_setup_teardown(slow_names_are_listed_as_links_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_query_reaches_through_links_and_directories, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_cannot_be_asked_is_missing, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_file_has_no_children, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_same_name_has_the_same_ino, setup, teardown),
	    cmocka_unit_test_setup_teardown(modes_are_the_owners_alone, setup_with_wall, teardown),
	    cmocka_unit_test_setup_teardown(readme_names_every_listed_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(with_wall_there_is_wall, setup_with_wall, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
