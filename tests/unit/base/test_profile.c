#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/memory.h"
#include "base/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void add(struct pf_profile *p, uint64_t leaf, uint64_t root, int64_t count, int64_t bytes)
{
	uint64_t pcs[] = {leaf, root};
	int64_t values[PF_VALUES_MAX] = {count, bytes};

	pf_profile_add_sample(p, pcs, 2, values);
}

static void start(struct pf_profile *p)
{
	pf_profile_init(p);
	pf_profile_add_type(p, "objects", "count");
	pf_profile_add_type(p, "space", "bytes");
}

static void strings_are_one_copy_each(void **state)
{
	PF_SCOPED(pf_profile) p;
	char text[] = "libsqlite3.so.0";
	const char *own;

	pf_profile_init(&p);
	own = pf_profile_string(&p, text);
	assert_ptr_not_equal(own, text);
	assert_string_equal(own, text);
	assert_ptr_equal(pf_profile_string(&p, "libsqlite3.so.0"), own);
	assert_string_equal(pf_profile_string(&p, NULL), "");
	assert_string_equal(pf_profile_string(&p, ""), "");
}

static void ten_thousand_strings_stay_where_they_are(void **state)
{
	static const char *own[10000];
	PF_SCOPED(pf_profile) p;
	char text[32];

	pf_profile_init(&p);
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "function_%d", i);
		own[i] = pf_profile_string(&p, text);
	}
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "function_%d", i);
		assert_ptr_equal(pf_profile_string(&p, text), own[i]);
		assert_string_equal(own[i], text);
	}
}

static void samples_keep_their_stacks_and_values(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	for (int i = 0; i < 3000; i++)
		add(&p, 0x1000 + i, 0x9000, i, 10 * i);
	assert_int_equal(p.error, 0);
	assert_int_equal(p.sample_count, 3000);
	for (int i = 0; i < 3000; i++) {
		const struct pf_sample *s = &p.samples[i];

		assert_int_equal(s->pc_count, 2);
		assert_int_equal(p.pcs[s->pc_first], 0x1000 + i);
		assert_int_equal(p.pcs[s->pc_first + 1], 0x9000);
		assert_int_equal(s->value[0], i);
		assert_int_equal(s->value[1], 10 * i);
	}
	assert_int_equal(pf_profile_total(&p, 0), 2999 * 3000 / 2);
	assert_int_equal(pf_profile_total(&p, 1), 10 * 2999 * 3000 / 2);
}

static void an_empty_stack_is_shown_as_unknown(void **state)
{
	PF_SCOPED(pf_profile) p;
	int64_t values[PF_VALUES_MAX] = {1, 64};

	start(&p);
	pf_profile_add_sample(&p, NULL, 0, values);
	assert_int_equal(p.samples[0].pc_count, 1);
	assert_string_equal(pf_pc_marker_name(p.pcs[p.samples[0].pc_first]), "[unknown]");
}

static void markers_have_names_and_code_has_none(void **state)
{
	assert_string_equal(pf_pc_marker_name(PF_PC_TRUNCATED), "[truncated]");
	assert_string_equal(pf_pc_marker_name(PF_PC_NO_UNWIND_INFO), "[no unwind info]");
	assert_string_equal(pf_pc_marker_name(PF_PC_LOST), "[lost]");
	assert_string_equal(pf_pc_marker_name(PF_PC_STACK_STORE_FULL), "[stack store full]");
	assert_string_equal(pf_pc_marker_name(0), "[unknown]");
	assert_string_equal(pf_pc_marker_name(PF_PC_MARKER_END - 1), "[unknown]");
	assert_null(pf_pc_marker_name(PF_PC_MARKER_END));
	assert_null(pf_pc_marker_name(0x7fff00001234));
}

static void same_stacks_become_one_sample_with_the_sum(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	add(&p, 0x2000, 0x9000, 1, 100);
	add(&p, 0x1000, 0x9000, 1, 10);
	add(&p, 0x2000, 0x9000, 2, 300);
	add(&p, 0x1000, 0x8000, 5, 1);
	pf_profile_merge_same(&p);
	assert_int_equal(p.sample_count, 3);
	/* Largest first by the default column, which is the last one. */
	assert_int_equal(p.samples[0].value[1], 400);
	assert_int_equal(p.samples[0].value[0], 3);
	assert_int_equal(p.samples[1].value[1], 10);
	assert_int_equal(p.samples[2].value[1], 1);
}

static void a_prefix_of_a_stack_is_another_stack(void **state)
{
	PF_SCOPED(pf_profile) p;
	uint64_t pcs[] = {0x1000, 0x2000, 0x3000};
	int64_t values[PF_VALUES_MAX] = {1, 1};

	start(&p);
	for (size_t depth = 1; depth <= 3; depth++)
		pf_profile_add_sample(&p, pcs, depth, values);
	pf_profile_merge_same(&p);
	assert_int_equal(p.sample_count, 3);
}

static void labels_keep_samples_apart(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	for (int i = 0; i < 6; i++) {
		add(&p, 0x1000, 0x9000, 1, 1);
		if (i < 4)
			pf_profile_label_str(&p, "thread", i % 2 ? "worker" : "main");
		else
			pf_profile_label_num(&p, "thread", i, "id");
	}
	pf_profile_merge_same(&p);
	assert_int_equal(p.sample_count, 4); /* main, worker, 4, 5 */
	assert_int_equal(pf_profile_total(&p, 0), 6);
	assert_int_equal(p.samples[0].value[0], 2);
	assert_int_equal(p.samples[1].value[0], 2);
}

static void every_label_of_a_sample_counts(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	for (int i = 0; i < 8; i++) {
		add(&p, 0x1000, 0x9000, 1, 1);
		pf_profile_label_str(&p, "kind", "lock");
		pf_profile_label_num(&p, "tid", i / 2, NULL);
		pf_profile_label_str(&p, "state", i % 2 ? "asleep" : "running");
	}
	add(&p, 0x1000, 0x9000, 1, 1);
	pf_profile_label_str(&p, "kind", "lock");
	pf_profile_merge_same(&p);
	assert_int_equal(p.sample_count, 9);
}

static void an_empty_profile_stays_empty(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	pf_profile_merge_same(&p);
	pf_profile_set_locations(&p);
	assert_int_equal(p.sample_count, 0);
	assert_int_equal(p.location_count, 0);
	assert_int_equal(p.error, 0);
}

static void a_label_without_a_sample_is_dropped(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	pf_profile_label_str(&p, "thread", "main");
	assert_int_equal(p.label_count, 0);
	assert_int_equal(p.error, 0);
}

static void samples_that_sum_to_nothing_go(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	add(&p, 0x1000, 0x9000, 1, 10);
	add(&p, 0x1000, 0x9000, -1, -10);
	add(&p, 0x2000, 0x9000, 0, 0);
	pf_profile_merge_same(&p);
	assert_int_equal(p.sample_count, 0);
}

/* The same samples in another order give the same profile: a reader may compare bytes. */
static void the_order_of_adding_does_not_show(void **state)
{
	PF_SCOPED(pf_profile) a;
	PF_SCOPED(pf_profile) b;

	start(&a);
	start(&b);
	for (int i = 0; i < 100; i++) {
		add(&a, 0x1000 + i % 10, 0x9000, 1, 5);
		add(&b, 0x1000 + (99 - i) % 10, 0x9000, 1, 5);
	}
	pf_profile_merge_same(&a);
	pf_profile_merge_same(&b);
	assert_int_equal(a.sample_count, b.sample_count);
	for (size_t i = 0; i < a.sample_count; i++) {
		assert_int_equal(a.pcs[a.samples[i].pc_first], b.pcs[b.samples[i].pc_first]);
		assert_memory_equal(
		    a.samples[i].value, b.samples[i].value, sizeof(a.samples[i].value));
	}
}

static void subtracting_leaves_what_came_since(void **state)
{
	PF_SCOPED(pf_profile) now;
	PF_SCOPED(pf_profile) before;

	start(&before);
	before.time_ns = 1000;
	add(&before, 0x1000, 0x9000, 2, 20);
	pf_profile_label_str(&before, "thread", "main");
	add(&before, 0x2000, 0x9000, 1, 7);
	add(&before, 0x3000, 0x9000, 1, 9);
	start(&now);
	now.time_ns = 5000;
	add(&now, 0x1000, 0x9000, 5, 50);
	pf_profile_label_str(&now, "thread", "main");
	add(&now, 0x2000, 0x9000, 1, 7);
	pf_profile_subtract(&now, &before);
	assert_int_equal(now.error, 0);
	assert_int_equal(now.time_ns, 5000);
	assert_int_equal(now.duration_ns, 4000);
	assert_int_equal(now.sample_count, 2);
	assert_int_equal(now.samples[0].value[0], 3);
	assert_int_equal(now.samples[0].value[1], 30);
	assert_string_equal(now.labels[now.samples[0].label_first].str, "main");
	/* What is gone since counts below nothing, as in Go. */
	assert_int_equal(now.samples[1].value[1], -9);
}

static void what_moved_meanwhile_is_subtracted_where_it_is_now(void **state)
{
	PF_SCOPED(pf_profile) now;
	PF_SCOPED(pf_profile) before;

	start(&before);
	pf_profile_add_mapping(&before, 0x1000, 0x3000, 0, "/stays.so", "aa");
	pf_profile_add_mapping(&before, 0x4000, 0x5000, 0x100, "/moves.so", "bb");
	pf_profile_add_mapping(&before, 0x6000, 0x7000, 0, "/goes.so", "cc");
	add(&before, 0x4004, 0x1001, 2, 20);
	add(&before, 0x6006, 0x1001, 3, 30);
	start(&now);
	pf_profile_add_mapping(&now, 0x1000, 0x3000, 0, "/stays.so", "aa");
	pf_profile_add_mapping(&now, 0x4000, 0x5000, 0x100, "/other.so", "dd");
	pf_profile_add_mapping(&now, 0x6000, 0x7000, 0, "/other.so", "ee");
	pf_profile_add_mapping(&now, 0x200000, 0x201000, 0x100, "/moves.so", "bb");
	add(&now, 0x200004, 0x1001, 2, 20);
	add(&now, 0x4004, 0x1001, 1, 1);
	pf_profile_subtract(&now, &before);
	assert_int_equal(now.error, 0);
	assert_int_equal(now.sample_count, 2);
	assert_int_equal(now.pcs[now.samples[0].pc_first], 0x4004);
	assert_int_equal(now.samples[1].value[0], -3);
	/* In a mapping of its own, and not in that of the file which took its place. */
	assert_string_equal(
	    pf_profile_mapping(&now, now.pcs[now.samples[1].pc_first])->path, "/goes.so");
	assert_int_equal(now.pcs[now.samples[1].pc_first + 1], 0x1001);
}

static void a_label_that_is_dropped_tells_samples_apart_no_more(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	for (int i = 0; i < 2; i++) {
		add(&p, 0x1000, 0x9000, 1, 10);
		pf_profile_label_str(&p, "thread", "main");
		pf_profile_label_num(&p, "age_ns", i, "nanoseconds");
		pf_profile_label_num(&p, "tid", 7, NULL);
	}
	pf_profile_drop_label(&p, "age_ns");
	pf_profile_merge_same(&p);
	assert_int_equal(p.sample_count, 1);
	assert_int_equal(p.samples[0].label_count, 2);
	assert_int_equal(p.labels[p.samples[0].label_first + 1].num, 7);
}

static void profiles_of_different_shape_do_not_subtract(void **state)
{
	PF_SCOPED(pf_profile) now;
	PF_SCOPED(pf_profile) before;

	start(&now);
	pf_profile_init(&before);
	pf_profile_add_type(&before, "samples", "count");
	pf_profile_subtract(&now, &before);
	assert_int_equal(now.error, -EINVAL);
}

static void every_address_is_one_location_in_its_mapping(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	pf_profile_add_mapping(&p, 0x1000, 0x3000, 0, "/usr/bin/program", "aa11");
	pf_profile_add_mapping(&p, 0x8000, 0x9000, 0x200, "/usr/lib/lib.so", NULL);
	assert_string_equal(p.mappings[1].build_id, "");
	add(&p, 0x2fff, 0x8000, 1, 1);
	add(&p, 0x3000, 0x8000, 1, 1);
	add(&p, PF_PC_TRUNCATED, 0x1000, 1, 1);
	add(&p, PF_PC_TRUNCATED, 0x1000, 1, 1);
	assert_null(pf_profile_location(&p, 0x8000));
	pf_profile_set_locations(&p);
	assert_int_equal(p.location_count, 5);
	for (size_t i = 1; i < p.location_count; i++)
		assert_true(p.locations[i - 1].address < p.locations[i].address);
	assert_int_equal(pf_profile_location(&p, 0x2fff)->mapping, 1);
	assert_int_equal(pf_profile_location(&p, 0x1000)->mapping, 1);
	assert_int_equal(pf_profile_location(&p, 0x8000)->mapping, 2);
	assert_int_equal(pf_profile_location(&p, 0x3000)->mapping, 0);
	assert_int_equal(pf_profile_location(&p, PF_PC_TRUNCATED)->mapping, 0);
	assert_null(pf_profile_location(&p, 0x4000));
	assert_ptr_equal(pf_profile_mapping(&p, 0x8fff), &p.mappings[1]);
	assert_null(pf_profile_mapping(&p, 0x9000));
}

static void lines_of_a_location_are_innermost_first(void **state)
{
	PF_SCOPED(pf_profile) p;
	struct pf_location *at;

	start(&p);
	add(&p, 0x1000, 0x2000, 1, 1);
	pf_profile_set_locations(&p);
	at = &p.locations[1];
	pf_profile_add_line(&p, &p.locations[0], "leaf", "_Z4leafv", "leaf.cc", 7, 5);
	pf_profile_add_line(&p, at, "inlined", "inlined", NULL, 0, 0);
	pf_profile_add_line(&p, at, "outer", "outer", "outer.c", 3, 1);
	assert_int_equal(at->line_count, 2);
	assert_string_equal(p.lines[at->line_first].function, "inlined");
	assert_string_equal(p.lines[at->line_first].file, "");
	assert_string_equal(p.lines[at->line_first + 1].function, "outer");
	assert_string_equal(p.lines[p.locations[0].line_first].system_name, "_Z4leafv");
	/* Once more from the start: lines of before are gone. */
	pf_profile_set_locations(&p);
	assert_int_equal(p.line_count, 0);
	assert_int_equal(p.locations[1].line_count, 0);
}

static void the_default_column_is_the_last_unless_named(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	assert_int_equal(pf_profile_default_type(&p), 1);
	p.default_type = 0;
	assert_int_equal(pf_profile_default_type(&p), 0);
	p.default_type = 7;
	assert_int_equal(pf_profile_default_type(&p), 1);
}

static void too_many_columns_are_an_error_that_stays(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	pf_profile_add_type(&p, "a", "count");
	pf_profile_add_type(&p, "b", "count");
	assert_int_equal(p.error, 0);
	pf_profile_add_type(&p, "one too many", "count");
	assert_int_equal(p.error, -E2BIG);
	add(&p, 0x1000, 0x2000, 1, 1);
	assert_int_equal(p.sample_count, 0);
	pf_profile_merge_same(&p);
	pf_profile_set_locations(&p);
	assert_int_equal(p.error, -E2BIG);
}

static void comments_are_written_as_printf_does(void **state)
{
	PF_SCOPED(pf_profile) p;

	start(&p);
	for (int i = 0; i < 100; i++)
		pf_profile_comment(&p, "lost %d of %s", i, "many");
	assert_int_equal(p.comment_count, 100);
	assert_string_equal(p.comments[42], "lost 42 of many");
}

static void finish_gives_everything_back(void **state)
{
	int64_t before = pf_memory_held_bytes();
	struct pf_profile p;

	start(&p);
	for (int i = 0; i < 1000; i++) {
		add(&p, 0x1000 + i, 0x2000, 1, 1);
		pf_profile_label_num(&p, "tid", i, NULL);
	}
	pf_profile_add_mapping(&p, 0x1000, 0x3000, 0, "/bin/x", "");
	pf_profile_set_locations(&p);
	assert_true(pf_memory_held_bytes() > before);
	pf_profile_finish(&p);
	assert_int_equal(pf_memory_held_bytes(), before);
	pf_profile_finish(&p); /* zeroed memory is fine */
}

static void an_address_in_a_label_is_a_location_too(void **state)
{
	static const uint64_t pcs[] = {0x2000};
	static const int64_t one[] = {1};
	struct pf_profile p;

	pf_profile_init(&p);
	pf_profile_add_type(&p, "threads", "count");
	pf_profile_add_sample(&p, pcs, 1, one);
	pf_profile_label_num(&p, "created_by", 0x3000, "address");
	pf_profile_label_num(&p, "tid", 0x4000, NULL);
	pf_profile_set_locations(&p);
	assert_int_equal(p.error, 0);
	assert_non_null(pf_profile_location(&p, 0x2000));
	assert_non_null(pf_profile_location(&p, 0x3000));
	assert_null(pf_profile_location(&p, 0x4000));
	pf_profile_finish(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_in_a_label_is_a_location_too),
	    cmocka_unit_test(strings_are_one_copy_each),
	    cmocka_unit_test(ten_thousand_strings_stay_where_they_are),
	    cmocka_unit_test(samples_keep_their_stacks_and_values),
	    cmocka_unit_test(an_empty_stack_is_shown_as_unknown),
	    cmocka_unit_test(markers_have_names_and_code_has_none),
	    cmocka_unit_test(same_stacks_become_one_sample_with_the_sum),
	    cmocka_unit_test(a_prefix_of_a_stack_is_another_stack),
	    cmocka_unit_test(labels_keep_samples_apart),
	    cmocka_unit_test(every_label_of_a_sample_counts),
	    cmocka_unit_test(an_empty_profile_stays_empty),
	    cmocka_unit_test(a_label_without_a_sample_is_dropped),
	    cmocka_unit_test(samples_that_sum_to_nothing_go),
	    cmocka_unit_test(the_order_of_adding_does_not_show),
	    cmocka_unit_test(subtracting_leaves_what_came_since),
	    cmocka_unit_test(what_moved_meanwhile_is_subtracted_where_it_is_now),
	    cmocka_unit_test(a_label_that_is_dropped_tells_samples_apart_no_more),
	    cmocka_unit_test(profiles_of_different_shape_do_not_subtract),
	    cmocka_unit_test(every_address_is_one_location_in_its_mapping),
	    cmocka_unit_test(lines_of_a_location_are_innermost_first),
	    cmocka_unit_test(the_default_column_is_the_last_unless_named),
	    cmocka_unit_test(too_many_columns_are_an_error_that_stays),
	    cmocka_unit_test(comments_are_written_as_printf_does),
	    cmocka_unit_test(finish_gives_everything_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
