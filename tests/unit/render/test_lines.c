/* What is asked, what is remembered, and what becomes of an answer; who answers is made up here.
 * Real debug information: tests/render/lines.bats. */
#include "base/buf.h"
#include "base/counter.h"
#include "render/lines.h"
#include "render/render.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One who knows lines: says what `answers` says, and keeps what it was asked. */
struct oracle {
	const char *answer; /* '|' stands for NUL */
	int rc;
	int calls;
	char asked[512]; /* the same way */
};

static int ask(void *with, const struct pf_buf *asked, struct pf_buf *answer)
{
	struct oracle *o = with;

	assert_true(asked->length < sizeof(o->asked));
	memcpy(o->asked, asked->at, asked->length);
	o->asked[asked->length] = '\0';
	for (size_t i = 0; i < asked->length; i++)
		if (!o->asked[i])
			o->asked[i] = '|';
	o->calls++;
	for (const char *c = o->answer; *c; c++)
		pf_buf_char(answer, *c == '|' ? '\0' : *c);
	return o->rc;
}

/* Two functions of /bin/x (build id ab): main at file offset 0x110, f at 0x210; one of /lib/y
 * without a build id, at 0x20; and a marker. */
static void make(struct pf_profile *p)
{
	static const uint64_t stack[] = {0x7020, 0x1210, 0x1110, PF_PC_TRUNCATED};

	pf_profile_init(p);
	pf_profile_add_type(p, "samples", "count");
	pf_profile_add_mapping(p, 0x1000, 0x2000, 0, "/bin/x", "ab");
	pf_profile_add_mapping(p, 0x7000, 0x8000, 0, "/lib/y", "");
	pf_profile_add_sample(p, stack, 4, (const int64_t[]){1});
	pf_profile_comment(p, "first");
	pf_profile_set_locations(p);
	pf_profile_add_line(p, &p->locations[0], "[truncated]", "[truncated]", "", 0, 0);
	pf_profile_add_line(p, &p->locations[1], "main", "main", "", 0, 0);
	pf_profile_add_line(p, &p->locations[2], "[x]", "[x]", "", 0, 0);
	pf_profile_add_line(p, &p->locations[3], "y", "y", "", 0, 0);
	assert_int_equal(p->error, 0);
}

static const struct pf_line *line(const struct pf_profile *p, size_t location, uint32_t number)
{
	assert_true(number < p->locations[location].line_count);
	return &p->lines[p->locations[location].line_first + number];
}

static void assert_line(const struct pf_line *l, const char *function, const char *file, int at)
{
	assert_string_equal(l->function, function);
	assert_string_equal(l->file, file);
	assert_int_equal(l->line, at);
}

#define KNOWN                                                                                      \
	"f0|l7 5|MAIN|MAIN|/src/x.c|f1|l3 1|g(int)|_Z1gi|/src/g.h|l9 8|f|f|/src/x.c|"              \
	"f2|l4 0|y|y|/src/y.c|"

static void inlined_functions_come_first_and_the_function_keeps_its_name(void **state)
{
	struct oracle oracle = {.answer = KNOWN};
	struct pf_lines *lines = pf_lines_create(ask, &oracle);
	PF_SCOPED(pf_profile) in = {0};
	struct pf_profile out;

	make(&in);
	assert_int_equal(pf_lines_take(lines, &in, &out), 0);
	assert_string_equal(oracle.asked, "/usr/lib/debug|mab|/bin/x|a110|a210|m|/lib/y|a20|");
	assert_line(line(&out, 0, 0), "[truncated]", "", 0);
	assert_line(line(&out, 1, 0), "main", "/src/x.c", 7);
	assert_string_equal(line(&out, 1, 0)->system_name, "main");
	assert_int_equal(line(&out, 1, 0)->start_line, 5);
	assert_int_equal(out.locations[2].line_count, 2);
	assert_line(line(&out, 2, 0), "g(int)", "/src/g.h", 3);
	assert_string_equal(line(&out, 2, 0)->system_name, "_Z1gi");
	/* A stand-in is no name to keep. */
	assert_line(line(&out, 2, 1), "f", "/src/x.c", 9);
	assert_true(out.mappings[0].has_filenames && out.mappings[0].has_line_numbers);
	assert_true(out.mappings[0].has_inline_frames);
	assert_false(out.mappings[1].has_inline_frames);
	assert_false(in.mappings[0].has_filenames);
	assert_string_equal(out.comments[0], "first");
	assert_int_equal(out.comment_count, 1);
	assert_int_equal(pf_counter_get(PF_COUNTER_LINE_UNKNOWN), 0);
	pf_lines_finish(&out);
	pf_lines_destroy(lines);
}

static void what_is_known_is_not_asked_again(void **state)
{
	struct oracle oracle = {.answer = KNOWN};
	struct pf_lines *lines = pf_lines_create(ask, &oracle);
	PF_SCOPED(pf_profile) in = {0};
	struct pf_profile out;

	make(&in);
	in.mapping_count = 1; /* without a build id it is asked about for each profile */
	pf_profile_set_locations(&in);
	for (size_t i = 0; i < in.location_count; i++)
		pf_profile_add_line(&in, &in.locations[i], "n", "n", "", 0, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pf_lines_take(lines, &in, &out), 0);
		assert_line(line(&out, 1, 0), "n", "/src/x.c", 7);
		pf_lines_finish(&out);
	}
	assert_int_equal(oracle.calls, 1);
	pf_lines_destroy(lines);
}

static void a_file_that_cannot_be_told_from_its_successor_is_asked_about_again(void **state)
{
	struct oracle oracle = {.answer = KNOWN};
	struct pf_lines *lines = pf_lines_create(ask, &oracle);
	PF_SCOPED(pf_profile) in = {0};
	struct pf_profile out;

	make(&in);
	assert_int_equal(pf_lines_take(lines, &in, &out), 0);
	pf_lines_finish(&out);
	oracle.answer = "f0|l40 0|y|y|/src/y.c|";
	assert_int_equal(pf_lines_take(lines, &in, &out), 0);
	assert_string_equal(oracle.asked, "/usr/lib/debug|m|/lib/y|a20|");
	assert_line(line(&out, 3, 0), "y", "/src/y.c", 40);
	pf_lines_finish(&out);
	pf_lines_destroy(lines);
}

static void what_is_not_found_keeps_its_name_is_counted_and_left_alone(void **state)
{
	struct oracle oracle = {.answer = "none0|none1|"};
	struct pf_lines *lines = pf_lines_create(ask, &oracle);
	PF_SCOPED(pf_profile) in = {0};
	struct pf_profile out;

	make(&in);
	in.mappings[1].build_id = "cd";
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pf_lines_take(lines, &in, &out), 0);
		assert_line(line(&out, 1, 0), "main", "", 0);
		assert_line(line(&out, 2, 0), "[x]", "", 0);
		assert_int_equal(out.comment_count, 1);
		assert_int_equal(pf_counter_get(PF_COUNTER_LINE_UNKNOWN), 3);
		pf_lines_finish(&out);
	}
	assert_int_equal(oracle.calls, 1);
	pf_lines_destroy(lines);
}

static void a_file_that_was_replaced_is_looked_for_where_the_kernel_has_it_and_said(void **state)
{
	struct oracle oracle = {.answer = "gone0|f2|l4 0|y|y|/src/y.c|"};
	struct pf_lines *lines = pf_lines_create(ask, &oracle);
	PF_SCOPED(pf_profile) in = {0};
	struct pf_profile out;

	make(&in);
	in.mappings[1].build_id = "cd";
	pf_lines_set_process(lines, 77);
	for (int i = 0; i < 2; i++) { /* remembered, and said again */
		assert_int_equal(pf_lines_take(lines, &in, &out), 0);
		assert_int_equal(out.comment_count, 2);
		assert_string_equal(out.comments[1],
		    "lines: /bin/x is no longer the file that was loaded, or cannot be read");
		assert_line(line(&out, 1, 0), "main", "", 0);
		pf_lines_finish(&out);
		if (i == 0)
			assert_string_equal(oracle.asked,
			    "/usr/lib/debug|mab|/bin/x|o/proc/77/map_files/1000-2000|o/proc/77/exe|"
			    "a110|a210|mcd|/lib/y|o/proc/77/map_files/7000-8000|o/proc/77/exe|a20|");
	}
	pf_lines_destroy(lines);
}

static void a_failure_leaves_names_a_comment_and_a_count(void **state)
{
	struct oracle oracle = {.answer = "f0|l7 5|MAIN|MAIN|/src/x.c|", .rc = -ETIMEDOUT};
	struct pf_lines *lines = pf_lines_create(ask, &oracle);
	uint64_t failed = pf_counter_get(PF_COUNTER_LINE_LOOKUPS_FAILED);
	PF_SCOPED(pf_profile) in = {0};
	struct pf_profile out;

	make(&in);
	assert_int_equal(pf_lines_take(lines, &in, &out), 0);
	assert_line(line(&out, 1, 0), "main", "/src/x.c", 7);
	assert_line(line(&out, 2, 0), "[x]", "", 0);
	assert_int_equal(out.comment_count, 2);
	assert_non_null(strstr(out.comments[1], "not all of them could be looked up"));
	assert_int_equal(in.comment_count, 1);
	assert_int_equal(pf_counter_get(PF_COUNTER_LINE_LOOKUPS_FAILED), failed + 1);
	assert_int_equal(pf_counter_get(PF_COUNTER_LINE_UNKNOWN), 2);
	pf_lines_finish(&out);
	pf_lines_destroy(lines);
}

static void an_answer_cut_anywhere_is_no_danger_and_no_lie(void **state)
{
	static const char whole[] = KNOWN "none0|none7|f99|l1 1|a|a|a|fx|l|||lx|f0";
	char part[sizeof(whole)];

	for (size_t length = 0; length < sizeof(whole); length++) {
		struct oracle oracle = {.answer = part};
		struct pf_lines *lines = pf_lines_create(ask, &oracle);
		PF_SCOPED(pf_profile) in = {0};
		struct pf_profile out;

		memcpy(part, whole, length);
		part[length] = '\0';
		make(&in);
		assert_int_equal(pf_lines_take(lines, &in, &out), 0);
		assert_string_equal(line(&out, 1, 0)->function, "main");
		if (out.locations[2].line_count == 2)
			assert_line(line(&out, 2, 1), "f", "/src/x.c", 9);
		pf_lines_finish(&out);
		pf_lines_destroy(lines);
	}
}

static void an_empty_profile_asks_nothing(void **state)
{
	struct oracle oracle = {.answer = ""};
	struct pf_lines *lines = pf_lines_create(ask, &oracle);
	PF_SCOPED(pf_profile) in = {0};
	struct pf_profile out;

	pf_profile_init(&in);
	assert_int_equal(pf_lines_take(lines, &in, &out), 0);
	assert_int_equal(oracle.calls, 0);
	pf_lines_finish(&out);
	pf_lines_destroy(lines);
}

/* Many addresses: the book is begun anew, and every answer stays right. */
static void the_book_is_bounded(void **state)
{
	enum { ROUNDS = 40 };
	struct oracle oracle = {.answer = "f0|l7 5|F|F|/src/x.c|"};
	struct pf_lines *lines = pf_lines_create(ask, &oracle);

	for (uint64_t i = 0; i < ROUNDS; i++) {
		PF_SCOPED(pf_profile) in = {0};
		struct pf_profile out;
		uint64_t pc = 0x1100 + i;

		pf_profile_init(&in);
		pf_profile_add_type(&in, "samples", "count");
		pf_profile_add_mapping(&in, 0x1000, 0x2000, 0, "/bin/x", "ab");
		pf_profile_add_sample(&in, &pc, 1, (const int64_t[]){1});
		pf_profile_set_locations(&in);
		pf_profile_add_line(&in, &in.locations[0], "n", "n", "", 0, 0);
		assert_int_equal(pf_lines_take(lines, &in, &out), 0);
		assert_line(line(&out, 0, 0), "n", "/src/x.c", 7);
		pf_lines_finish(&out);
	}
	assert_int_equal(oracle.calls, ROUNDS);
	pf_lines_destroy(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(inlined_functions_come_first_and_the_function_keeps_its_name),
	    cmocka_unit_test(what_is_known_is_not_asked_again),
	    cmocka_unit_test(a_file_that_cannot_be_told_from_its_successor_is_asked_about_again),
	    cmocka_unit_test(what_is_not_found_keeps_its_name_is_counted_and_left_alone),
	    cmocka_unit_test(
		a_file_that_was_replaced_is_looked_for_where_the_kernel_has_it_and_said),
	    cmocka_unit_test(a_failure_leaves_names_a_comment_and_a_count),
	    cmocka_unit_test(an_answer_cut_anywhere_is_no_danger_and_no_lie),
	    cmocka_unit_test(an_empty_profile_asks_nothing),
	    cmocka_unit_test(the_book_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
