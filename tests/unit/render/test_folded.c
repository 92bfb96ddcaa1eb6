#include "drawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void stacks_go_from_the_root_and_are_sorted(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "heap", pf_render_folded),
	    "server;main;handle;alloc 500\n"
	    "server;main;handle;cart::Cart::add;alloc 1000\n");
}

static void nothing_recorded_is_no_line(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "empty", pf_render_folded), "");
}

static void names_cannot_break_a_line(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *text = drawn(&out, "nasty", pf_render_folded);

	assert_non_null(strstr(text, "\nserver;main;semi:colon 10309278\n"));
	assert_non_null(strstr(text, "\nserver;main;new?line 10309278\n"));
	assert_non_null(strstr(text, "\nserver;main;leading space 10309278\n"));
	assert_non_null(strstr(text, "\nserver;main;operator<< <int, char> 10309278\n"));
	assert_non_null(strstr(text, "server;[unknown] 10309278\n"));
	assert_non_null(strstr(text, "\nserver;main;[truncated] 10309278\n"));
}

static void equal_names_of_two_modules_add_up(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_profile_init(&p);
	p.name = "cpu";
	pf_profile_add_type(&p, "samples", "count");
	pf_profile_add_mapping(&p, 0x1000, 0x2000, 0, "/bin/x", "");
	pf_profile_add_mapping(&p, 0x2000, 0x3000, 0, "/lib/y", "");
	pf_profile_add_sample(&p, (const uint64_t[]){0x1000}, 1, (const int64_t[]){5});
	pf_profile_add_sample(&p, (const uint64_t[]){0x2000}, 1, (const int64_t[]){2});
	pf_profile_set_locations(&p);
	pf_profile_add_line(&p, &p.locations[0], "init", "init", "", 0, 0);
	pf_profile_add_line(&p, &p.locations[1], "init", "init", "", 0, 0);
	pf_render_folded(&out, &p, &(struct pf_query){0});
	assert_string_equal(pf_buf_text(&out), "x;init 7\n");
}

static void what_shrank_is_left_out(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_profile_init(&p);
	p.name = "heap";
	pf_profile_add_type(&p, "inuse_space", "bytes");
	pf_profile_add_sample(&p, (const uint64_t[]){0x1000}, 1, (const int64_t[]){-5});
	pf_profile_add_sample(&p, (const uint64_t[]){0x2000}, 1, (const int64_t[]){2});
	pf_render_folded(&out, &p, &(struct pf_query){0});
	assert_string_equal(pf_buf_text(&out), "heap;0x2000 2\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stacks_go_from_the_root_and_are_sorted),
	    cmocka_unit_test(nothing_recorded_is_no_line),
	    cmocka_unit_test(names_cannot_break_a_line),
	    cmocka_unit_test(equal_names_of_two_modules_add_up),
	    cmocka_unit_test(what_shrank_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
