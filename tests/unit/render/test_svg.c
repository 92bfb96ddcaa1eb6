#include "drawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void has(const char *text, const char *piece)
{
	if (!text || !strstr(text, piece))
		print_message("no %s\n", piece);
	assert_true(text && strstr(text, piece));
}

static void a_frame_is_as_wide_as_its_share(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *text = drawn(&out, "cpu", pf_render_svg);

	/* 1176 wide: all of it, and 70 % of it behind the 30 % that are handle's own. */
	has(text,
	    "<title>all\n1.03 s, 100.00 %</title><rect x=\"12.00\" y=\"116\" width=\"1175.50\"");
	has(text, "<title>cart::Cart::add  [libcart.so]\n722 ms, 70.00 %</title>"
		  "<rect x=\"364.80\" y=\"62\" width=\"822.70\"");
	has(text, "<title>handle  [server]\n1.03 s, 100.00 %; in itself 309 ms, 30.00 %</title>");
	has(text, ">cart::Cart::add</text>");
}

static void the_caption_says_what_it_is_and_what_was_lost(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *text = drawn(&out, "heap", pf_render_svg);

	has(text, ">server: heap</text>");
	has(text, ">inuse_space 1.46 KiB, at 2026-11-21T06:00:00Z</text>");
	has(text, ">7 samples lost</text>");
	has(text, ">libcart.so</text>");
}

static void nothing_recorded_is_said(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	has(drawn(&out, "empty", pf_render_svg), ">nothing was recorded</text>");
}

static void the_same_profile_is_the_same_picture(void **state)
{
	PF_SCOPED(pf_buf) one = PF_BUF_INIT;
	PF_SCOPED(pf_buf) two = PF_BUF_INIT;

	assert_string_equal(
	    drawn(&one, "nasty", pf_render_svg), drawn(&two, "nasty", pf_render_svg));
}

static void too_narrow_is_left_out_and_said(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_profile_init(&p);
	p.name = "heap";
	pf_profile_add_type(&p, "inuse_space", "bytes");
	pf_profile_add_sample(&p, (const uint64_t[]){0x1000}, 1, (const int64_t[]){1000000});
	pf_profile_add_sample(&p, (const uint64_t[]){0x2000}, 1, (const int64_t[]){1});
	pf_profile_add_sample(&p, (const uint64_t[]){0x3000}, 1, (const int64_t[]){-2048});
	pf_render_svg(&out, &p, &(struct pf_query){0});
	assert_null(strstr(pf_buf_text(&out), "0x2000"));
	has(pf_buf_text(&out), ">frames too narrow to be drawn: 1</text>");
	has(pf_buf_text(&out), ">-2.00 KiB went away, which has no width</text>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_frame_is_as_wide_as_its_share),
	    cmocka_unit_test(the_caption_says_what_it_is_and_what_was_lost),
	    cmocka_unit_test(nothing_recorded_is_said),
	    cmocka_unit_test(the_same_profile_is_the_same_picture),
	    cmocka_unit_test(too_narrow_is_left_out_and_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
