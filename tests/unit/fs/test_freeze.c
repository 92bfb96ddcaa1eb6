/* Snapshots: what `echo NAME > snapshot` keeps, and for how long. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/knob.h"
#include "fake_door.h"
#include "fs/capture.h"
#include "fs/freeze.h"
#include "fs/kept.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pf_live live;
static struct pf_kept *kept;

static int setup(void **state)
{
	int rc;

	fake_door_reset(true);
	rc = pf_live_init(&live, &fake.door);
	kept = pf_captures_kept(live.captures);
	return rc;
}

static int teardown(void **state)
{
	pf_live_finish(&live);
	return 0;
}

static int freeze(const char *name)
{
	return pf_control_write(
	    &live, pf_tree_path(live.tree, "snapshot"), name, strlen(name), NULL);
}

/* A file in a directory of that name, held; NULL. */
static struct pf_snapshot *file_of(const char *directory, const char *name)
{
	struct pf_found found = {.key = 0}, file = {.key = 0};

	if (pf_kept_find(&live, 0, directory, &found) < 0 ||
	    pf_kept_find(&live, found.key, name, &file) < 0)
		return NULL;
	return file.snapshot;
}

/* The fake's heap collector stands for several sources. */
static uint32_t heap_sources(void)
{
	uint32_t count = 0;

	for (int s = 0; s < PF_SOURCE_COUNT; s++)
		count += fake.door.collect[s] == fake.door.collect[PF_SOURCE_HEAP];
	return count;
}

static bool is_there(const struct pf_profile_row *row)
{
	return !row->window && fake.door.collect[row->source];
}

static void it_has_every_instant_profile_in_every_form(void **state)
{
	assert_int_equal(freeze("one\n"), 0);
	for (size_t p = 0; p < pf_table.profile_count; p++)
		for (size_t v = 0; v < pf_table.view_count; v++) {
			struct pf_snapshot *file;
			char name[64];

			snprintf(name, sizeof(name), "%s%s", pf_table.profiles[p].stem,
			    pf_table.views[v].suffix);
			file = file_of("one", name);
			if (!is_there(&pf_table.profiles[p])) {
				assert_null(file);
				continue;
			}
			assert_non_null(file);
			assert_true(file->text.length > 200000);
			pf_snapshot_drop(file);
		}
	pf_snapshot_drop(file_of("one", "status"));
	assert_int_equal(pf_captures_started(live.captures), 0);
}

static void the_programs_own_are_in_a_directory_of_their_own(void **state)
{
	struct pf_found one, custom, file = {.key = 0};
	size_t bytes;

	fake.custom = 2;
	assert_int_equal(freeze("one"), 0);
	assert_int_equal(pf_kept_find(&live, 0, "one", &one), 0);
	assert_int_equal(pf_kept_find(&live, one.key, "custom", &custom), 0);
	assert_null(custom.snapshot);
	assert_int_not_equal(custom.key, one.key);
	assert_int_equal(pf_kept_find(&live, custom.key, "own1.pprof", &file), 0);
	assert_non_null(strstr(pf_buf_text(&file.snapshot->text), "pprof own1 own1 11"));
	bytes = kept->bytes;
	assert_int_equal(pf_kept_remove(&live, one.key, "custom"), -ENOTEMPTY);
	assert_int_equal(pf_kept_remove(&live, custom.key, "own1.pprof"), 0);
	assert_int_equal(kept->bytes, bytes - file.snapshot->text.length);
	assert_int_equal(kept->bytes, kept->oldest->bytes);
	pf_snapshot_drop(file.snapshot);
}

static void a_snapshot_whose_writer_is_gone_is_not_kept(void **state)
{
	struct pf_wait gone = PF_WAIT_INIT;

	fake.custom = 2;
	pf_wait_cancel(&gone);
	assert_int_equal(
	    pf_control_write(&live, pf_tree_path(live.tree, "snapshot"), "one", 3, &gone), -EINTR);
	assert_int_equal(kept->count, 0);
	assert_int_equal(freeze("one"), 0);
}

static void each_source_is_collected_once(void **state)
{
	struct pf_snapshot *heap, *allocs;

	assert_int_equal(freeze("one"), 0);
	assert_int_equal(fake.heap_reads, heap_sources());
	heap = file_of("one", "heap.pprof");
	allocs = file_of("one", "allocs");
	assert_non_null(strstr(pf_buf_text(&heap->text), "pprof heap inuse_space 2000 "));
	assert_non_null(strstr(pf_buf_text(&allocs->text), "text allocs alloc_space 1000 "));
	pf_snapshot_drop(heap);
	pf_snapshot_drop(allocs);
}

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = {"", "\n", " ", ".", "..", ".hidden", "a/b", "/", "a\nb",
	    "\x1b[31mred", "a\x7f", "\302\233[31mred",
	    "12345678901234567890123456789012345678901234567890123456789012345"};

	for (size_t i = 0; i < PF_COUNT(bad); i++)
		assert_int_equal(freeze(bad[i]), -EINVAL);
	assert_int_equal(kept->count, 0);
	assert_int_equal(fake.heap_reads, 0);
	assert_int_equal(
	    freeze("1234567890123456789012345678901234567890123456789012345678901234"), 0);
	assert_int_equal(freeze("before release, 2nd"), 0);
}

static void a_name_is_given_once_until_it_is_removed(void **state)
{
	struct pf_found found;

	assert_int_equal(freeze("one"), 0);
	assert_int_equal(freeze(" one "), -EEXIST);
	assert_int_equal(fake.heap_reads, heap_sources());
	assert_int_equal(pf_kept_remove(&live, 0, "one"), -ENOTEMPTY);
	assert_int_equal(pf_kept_find(&live, 0, "one", &found), 0);
	while (kept->oldest->files)
		assert_int_equal(pf_kept_remove(&live, found.key, kept->oldest->files->name), 0);
	assert_int_equal(kept->bytes, 0);
	assert_int_equal(pf_kept_remove(&live, 0, "one"), 0);
	assert_int_equal(kept->count, 0);
	assert_int_equal(pf_kept_find(&live, found.key, "heap", &found), -ENOENT);
	assert_int_equal(freeze("one"), 0);
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
	struct pf_found found;
	struct pf_snapshot *held;
	char name[16];

	pf_counter_adopt(fake.door.counters);
	assert_int_equal(freeze("0"), 0);
	held = file_of("0", "heap");
	for (int i = 1; i <= 20; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(freeze(name), 0);
	}
	assert_int_equal(kept->count, pf_knob_get(PF_KNOB_CAPTURES_KEEP));
	assert_int_equal(pf_kept_find(&live, 0, "0", &found), -ENOENT);
	assert_int_equal(pf_kept_find(&live, 0, "1", &found), 0);
	assert_int_equal(pf_counter_get(PF_COUNTER_FS_CAPTURES_DROPPED), 1);
	/* Whoever has it open keeps its bytes. */
	assert_non_null(strstr(pf_buf_text(&held->text), "text heap "));
	pf_snapshot_drop(held);
}

static void its_bytes_are_counted_whole(void **state)
{
	struct pf_found found;

	assert_int_equal(freeze("a"), 0);
	assert_int_equal(pf_knob_put(PF_KNOB_CAPTURES_KEEP_BYTES, (int64_t)kept->bytes * 3 / 2), 0);
	assert_int_equal(freeze("b"), 0);
	assert_int_equal(kept->count, 1);
	assert_int_equal(pf_kept_find(&live, 0, "b", &found), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(it_has_every_instant_profile_in_every_form),
	    TEST(the_programs_own_are_in_a_directory_of_their_own),
	    TEST(a_snapshot_whose_writer_is_gone_is_not_kept),
	    TEST(each_source_is_collected_once),
	    TEST(what_is_no_name_is_refused),
	    TEST(a_name_is_given_once_until_it_is_removed),
	    TEST(the_oldest_goes_when_there_are_too_many),
	    TEST(its_bytes_are_counted_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
