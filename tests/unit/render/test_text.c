#include "drawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void functions_then_the_largest_stacks(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "heap", pf_render_text),
	    "# heap: inuse_space\n"
	    "# at 2026-11-21T06:00:00Z\n"
	    "# total 1500 bytes (1.5 KiB)\n"
	    "# proffs 0.1.0\n"
	    "# 7 samples lost\n"
	    "#  flat   flat%    sum%    cum    cum%  function  [module]\n"
	    "   1500 100.00% 100.00%   1500 100.00%  alloc  [server]\n"
	    "      0   0.00% 100.00%   1500 100.00%  handle  [server]\n"
	    "      0   0.00% 100.00%   1500 100.00%  main  [server]\n"
	    "      0   0.00% 100.00%   1000  66.67%  cart::Cart::add  [libcart.so]\n"
	    "#\n"
	    "# stack 1 of 3: 1000 66.67%  (alloc_objects 30, alloc_space 3000, "
	    "inuse_objects 10, inuse_space 1000)\n"
	    "#   bytes 100\n"
	    "#     alloc  [server]\n"
	    "#     cart::Cart::add  [libcart.so]\n"
	    "#     handle  [server]\n"
	    "#     main  [server]\n"
	    "#\n"
	    "# stack 2 of 3: 500 33.33%  (alloc_objects 5, alloc_space 500, "
	    "inuse_objects 5, inuse_space 500)\n"
	    "#   bytes 100\n"
	    "#     alloc  [server]\n"
	    "#     handle  [server]\n"
	    "#     main  [server]\n");
}

static void nanoseconds_are_shown_as_milliseconds(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *text = drawn(&out, "cpu", pf_render_text);

	assert_non_null(strstr(text, "# from 2026-11-21T06:00:00Z, 2.000 s\n"
				     "# total 1030.928 ms\n"));
	assert_non_null(strstr(
	    text, "  721.649  70.00%  70.00%  721.649  70.00%  cart::Cart::add  [libcart.so]\n"));
}

static void an_empty_profile_has_a_head_and_no_row(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "empty", pf_render_text),
	    "# heap: inuse_space\n"
	    "# at 2026-11-21T06:00:00Z\n"
	    "# total 0 bytes\n"
	    "#  flat   flat%    sum%    cum    cum%  function  [module]\n");
}

static void a_reader_may_ask_for_fewer_rows_and_nothing_is_hidden(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *text;

	assert_true(make_profile(&p, "many"));
	pf_render_text(&out, &p, &(struct pf_query){.rows = 18});
	text = pf_buf_text(&out);
	assert_non_null(strstr(text, "  f17  [server]\n"
				     "# 3 more functions, flat 443.299; ?n= shows more\n"));
}

/* f (a.c:7) has g (b.h:3) inlined, and calls h at a.c:9; h's line is not known. */
static void make_lines(struct pf_profile *p)
{
	static const uint64_t in_g[] = {0x1000}, in_h[] = {0x1200, 0x1100};

	pf_profile_init(p);
	p->name = "cpu";
	pf_profile_add_type(p, "samples", "count");
	pf_profile_add_mapping(p, 0x1000, 0x2000, 0, "/bin/x", "");
	pf_profile_add_sample(p, in_g, 1, (const int64_t[]){3});
	pf_profile_add_sample(p, in_h, 2, (const int64_t[]){1});
	pf_profile_set_locations(p);
	pf_profile_add_line(p, &p->locations[0], "g", "g", "/src/b.h", 3, 1);
	pf_profile_add_line(p, &p->locations[0], "f", "f", "/src/a.c", 7, 5);
	pf_profile_add_line(p, &p->locations[1], "f", "f", "/src/a.c", 9, 5);
	pf_profile_add_line(p, &p->locations[2], "h", "h", "", 0, 0);
}

static void with_lines_every_line_is_a_row(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	make_lines(&p);
	pf_render_text(&out, &p, &(struct pf_query){.lines = true});
	assert_string_equal(pf_buf_text(&out),
	    "# cpu: samples\n"
	    "# total 4\n"
	    "#  flat   flat%    sum%    cum    cum%  function  file:line\n"
	    "      3  75.00%  75.00%      3  75.00%  g  /src/b.h:3\n"
	    "      1  25.00% 100.00%      1  25.00%  h  [x]\n"
	    "      0   0.00% 100.00%      3  75.00%  f  /src/a.c:7\n"
	    "      0   0.00% 100.00%      1  25.00%  f  /src/a.c:9\n"
	    "#\n"
	    "# stack 1 of 2: 3 75.00%  (samples 3)\n"
	    "#     g  /src/b.h:3\n"
	    "#     f  /src/a.c:7\n"
	    "#\n"
	    "# stack 2 of 2: 1 25.00%  (samples 1)\n"
	    "#     h  [x]\n"
	    "#     f  /src/a.c:9\n");
}

static void without_lines_a_function_is_one_row(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	make_lines(&p);
	pf_render_text(&out, &p, &(struct pf_query){0});
	assert_non_null(
	    strstr(pf_buf_text(&out), "      0   0.00% 100.00%      4 100.00%  f  [x]\n"));
}

static void rows_may_be_sorted_by_what_is_under_them(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	make_lines(&p);
	pf_render_text(&out, &p, &(struct pf_query){.sort_cum = true});
	assert_non_null(
	    strstr(pf_buf_text(&out), "      0   0.00%   0.00%      4 100.00%  f  [x]\n"
				      "      3  75.00%  75.00%      3  75.00%  g  [x]\n"
				      "      1  25.00% 100.00%      1  25.00%  h  [x]\n"));
}

static void no_row_but_the_functions_begins_without_a_hash(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	char *text = strdup(drawn(&out, "nasty", pf_render_text));
	int rows = 0;

	assert_non_null(text);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		for (char *c = line; *c; c++)
			assert_false((unsigned char)*c < ' ' || *c == 0x7f);
		if (line[0] != '#')
			rows++;
	}
	assert_int_equal(rows, 13);
	free(text);
}

static void a_function_that_calls_itself_counts_once(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_profile_init(&p);
	pf_profile_add_type(&p, "samples", "count");
	pf_profile_add_sample(
	    &p, (const uint64_t[]){0x1000, 0x1001, 0x1002}, 3, (const int64_t[]){5});
	pf_profile_set_locations(&p);
	for (size_t i = 0; i < 3; i++)
		pf_profile_add_line(&p, &p.locations[i], "fib", "fib", "", 0, 0);
	pf_render_text(&out, &p, &(struct pf_query){0});
	assert_non_null(
	    strstr(pf_buf_text(&out), "      5 100.00% 100.00%      5 100.00%  fib\n#"));
}

static void what_shrank_counts_by_its_size(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_profile_init(&p);
	pf_profile_add_type(&p, "inuse_space", "bytes");
	pf_profile_add_mapping(&p, 0x1000, 0x2000, 0, "/bin/x", "");
	pf_profile_add_mapping(&p, 0x2000, 0x3000, 0, "/lib/y", "");
	pf_profile_add_sample(&p, (const uint64_t[]){0x1000}, 1, (const int64_t[]){-3000});
	pf_profile_add_sample(&p, (const uint64_t[]){0x2000}, 1, (const int64_t[]){2000});
	pf_render_text(&out, &p, &(struct pf_query){0});
	assert_non_null(
	    strstr(pf_buf_text(&out), "# total -1000 bytes\n"
				      "#  flat   flat%    sum%    cum    cum%  function  [module]\n"
				      "  -3000 300.00% 300.00%  -3000 300.00%  [x]\n"
				      "   2000 -200.00% 100.00%   2000 -200.00%  [y]\n"));
}

static void inlined_functions_have_rows_of_their_own(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_profile_init(&p);
	pf_profile_add_type(&p, "samples", "count");
	pf_profile_add_sample(&p, (const uint64_t[]){0x1000}, 1, (const int64_t[]){5});
	pf_profile_set_locations(&p);
	pf_profile_add_line(&p, &p.locations[0], "inner", "inner", "a.c", 1, 0);
	pf_profile_add_line(&p, &p.locations[0], "outer", "outer", "a.c", 9, 0);
	pf_render_text(&out, &p, &(struct pf_query){0});
	assert_non_null(strstr(pf_buf_text(&out), "5 100.00%  inner\n"));
	assert_non_null(
	    strstr(pf_buf_text(&out), "      0   0.00% 100.00%      5 100.00%  outer\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(functions_then_the_largest_stacks),
	    cmocka_unit_test(nanoseconds_are_shown_as_milliseconds),
	    cmocka_unit_test(an_empty_profile_has_a_head_and_no_row),
	    cmocka_unit_test(a_reader_may_ask_for_fewer_rows_and_nothing_is_hidden),
	    cmocka_unit_test(with_lines_every_line_is_a_row),
	    cmocka_unit_test(without_lines_a_function_is_one_row),
	    cmocka_unit_test(rows_may_be_sorted_by_what_is_under_them),
	    cmocka_unit_test(no_row_but_the_functions_begins_without_a_hash),
	    cmocka_unit_test(a_function_that_calls_itself_counts_once),
	    cmocka_unit_test(what_shrank_counts_by_its_size),
	    cmocka_unit_test(inlined_functions_have_rows_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
