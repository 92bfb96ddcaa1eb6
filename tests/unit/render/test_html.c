#include "drawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The stacks' numbers, without blanks. */
static const char *stacks_of(const char *page)
{
	const char *at = strstr(page, "\"stacks\":[");

	assert_non_null(at);
	return at + strlen("\"stacks\":[");
}

static void stacks_are_what_is_new_in_each(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *page = drawn(&out, "heap", pf_render_html);
	const char *wanted = " 0,2,3,0,2,64,0,0,"   /* main alloc */
			     "1,2,2,0,5,500,5,500," /* handle alloc */
			     "2,2,1,0,30,3000,10,1000]}";

	assert_int_equal(strncmp(stacks_of(page), wanted, strlen(wanted)), 0);
	assert_non_null(strstr(page, "\"modules\":[[\"libcart.so\","));
	assert_non_null(strstr(page, "\n\"alloc\",1,\n\"cart::Cart::add\",0,\n\"handle\",1,\n"));
	assert_non_null(strstr(page, "{\"name\":\"inuse_space\",\"unit\":\"bytes\",\"below\":0}]"));
	assert_non_null(strstr(page, "\"7 samples lost\""));
}

static void an_empty_profile_has_no_stack(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_int_equal(strncmp(stacks_of(drawn(&out, "empty", pf_render_html)), "]}", 2), 0);
}

/* Reads what the page would: how many frames, the deepest, and the sum of the last column. */
struct sums {
	size_t frames, small;
	long long value;
};

static struct sums read_stacks(const char *page, int columns, long small_frame)
{
	const char *at = stacks_of(page);
	struct sums sums = {0};
	long depth = 0;

	while (*at != ']') {
		char *end;
		long same = strtol(at, &end, 10);
		long more = strtol(end + 1, &end, 10);

		assert_true(same <= depth);
		depth = same + more;
		sums.frames += (size_t)more;
		for (long i = 0; i < more; i++) {
			long frame = strtol(end + 1, &end, 10);

			assert_true(frame <= small_frame);
			sums.small += frame == small_frame;
		}
		for (int i = 0; i < columns; i++) {
			long long value = strtoll(end + 1, &end, 10);

			sums.value += i == columns - 1 ? value : 0;
		}
		at = *end == ',' ? end + 1 : end;
	}
	return sums;
}

#ifdef PF_SMALL
/* 3000 leaves of 1 under two roots, and one of 100,000: more than fits there. */
static void the_smallest_are_summed_up_when_there_are_too_many(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	struct sums sums;

	pf_profile_init(&p);
	p.name = "cpu";
	pf_profile_add_type(&p, "samples", "count");
	for (uint64_t i = 0; i < 3000; i++)
		pf_profile_add_sample(&p, (const uint64_t[]){0x2000 + i, 0x1000 + i % 2}, 2,
		    (const int64_t[]){i == 1500 ? 100000 : 1});
	pf_render_html(&out, &p, &(struct pf_query){0});
	assert_int_equal(out.error, 0);
	sums = read_stacks(pf_buf_text(&out), 1, 3002);
	assert_int_equal(sums.value, 102999);
	assert_true(sums.frames < 1000);
	assert_in_range(sums.small, 2, 4);
	assert_non_null(strstr(pf_buf_text(&out), "\"left_out\":2999,"));
}
#endif

static void a_hundred_thousand_deep_stacks_keep_their_sum(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *page = drawn(&out, "deep", pf_render_html);
	const char *names = strstr(page, "\"frames\":[");
	const char *end = strstr(page, "\"[small frames]\"");
	long frames = 0;
	struct sums sums;

	assert_true(names && end);
	for (const char *at = names; at < end; at++)
		frames += *at == '\n';
	sums = read_stacks(page, 2, frames - 1);
	assert_true(sums.value == 100000ll * 10309278);
#ifndef PF_SMALL
	assert_non_null(strstr(page, "\"left_out\":0,"));
	assert_int_equal(sums.small, 0);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stacks_are_what_is_new_in_each),
	    cmocka_unit_test(an_empty_profile_has_no_stack),
#ifdef PF_SMALL
	    cmocka_unit_test(the_smallest_are_summed_up_when_there_are_too_many),
#endif
	    cmocka_unit_test(a_hundred_thousand_deep_stacks_keep_their_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
