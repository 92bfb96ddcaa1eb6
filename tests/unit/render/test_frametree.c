#include "profiles.h"
#include "render/frametree.h"
#include "render/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

/* A tree in words: "main 0+1500(0)" is a frame, what stands left of it, its total and its own. */
struct words {
	const struct pf_frametree *tree;
	struct pf_buf text;
};

static void add_words(void *to, const struct pf_frametree_node *node)
{
	struct words *w = to;

	pf_buf_printf(&w->text, "%u:%s %lld+%lld(%lld) ", node->depth,
	    w->tree->frames.items[node->frame].function, (long long)node->before,
	    (long long)node->total, (long long)node->self);
}

static void walked(const char *profile, uint32_t type, const char *wanted)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_frametree) tree = {.rank = NULL};
	struct words w = {.tree = &tree};

	assert_true(make_profile(&p, profile));
	assert_int_equal(pf_frametree_init(&tree, &p, false), 0);
	assert_int_equal(pf_frametree_walk(&tree, type, add_words, &w), 0);
	assert_string_equal(pf_buf_text(&w.text), wanted);
	pf_buf_finish(&w.text);
}

static void a_node_is_told_when_its_sum_is_complete(void **state)
{
	walked("heap", 3,
	    "2:alloc 0+500(500) 3:alloc 500+1000(1000) 2:cart::Cart::add 500+1000(0) "
	    "1:handle 0+1500(0) 0:main 0+1500(0) ");
	walked("heap", 0,
	    "1:alloc 0+2(2) 2:alloc 2+5(5) 3:alloc 7+30(30) 2:cart::Cart::add 7+30(0) "
	    "1:handle 2+35(0) 0:main 0+37(0) ");
}

static void an_empty_profile_has_no_node(void **state)
{
	walked("empty", 0, "");
}

static void number_node(void *to, const struct pf_frametree_node *node)
{
	uint32_t *seen = to;

	assert_true(node->number < 6);
	*seen |= 1u << node->number;
	if (node->depth == 0)
		assert_int_equal(node->number, 0);
}

static void parents_have_smaller_numbers(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_frametree) tree = {.rank = NULL};
	uint32_t seen = 0;

	assert_true(make_profile(&p, "heap"));
	assert_int_equal(pf_frametree_init(&tree, &p, false), 0);
	assert_int_equal(pf_frametree_count(&tree), 6);
	assert_int_equal(pf_frametree_walk(&tree, 0, number_node, &seen), 0);
	assert_int_equal(seen, 0x3f);
}

static void what_went_away_has_no_width(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_frametree) tree = {.rank = NULL};

	pf_profile_init(&p);
	pf_profile_add_type(&p, "inuse_space", "bytes");
	pf_profile_add_sample(&p, (const uint64_t[]){0x1000}, 1, (const int64_t[]){-5});
	pf_profile_add_sample(&p, (const uint64_t[]){0x2000}, 1, (const int64_t[]){7});
	pf_profile_add_sample(&p, (const uint64_t[]){0x2000}, 1, (const int64_t[]){-4});
	assert_int_equal(pf_frametree_init(&tree, &p, false), 0);
	assert_int_equal(pf_frametree_total(&tree, 0), 3);
	assert_int_equal(pf_frametree_below(&tree, 0), -5);
}

static void by_line_two_lines_of_a_function_are_two_frames(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *page;

	pf_profile_init(&p);
	p.name = "cpu";
	pf_profile_add_type(&p, "samples", "count");
	pf_profile_add_sample(&p, (const uint64_t[]){0x1000}, 1, (const int64_t[]){5});
	pf_profile_add_sample(&p, (const uint64_t[]){0x1010}, 1, (const int64_t[]){2});
	pf_profile_set_locations(&p);
	pf_profile_add_line(&p, &p.locations[0], "work", "work", "/src/w.c", 12, 10);
	pf_profile_add_line(&p, &p.locations[1], "work", "work", "/src/w.c", 9, 8);
	pf_render_html(&out, &p, &(struct pf_query){.lines = true});
	page = pf_buf_text(&out);
	assert_non_null(strstr(page, "\n\"work w.c:12\",0,\n\"work w.c:9\",0,"));
	assert_non_null(strstr(page, "\"stacks\":[ 0,1,1,2,0,1,0,5]"));
	pf_buf_clear(&out);
	pf_render_svg(&out, &p, &(struct pf_query){.lines = true});
	assert_non_null(strstr(pf_buf_text(&out), "<title>work w.c:9\n2, 28.57 %</title>"));
	pf_buf_clear(&out);
	pf_render_html(&out, &p, &(struct pf_query){0});
	assert_non_null(strstr(pf_buf_text(&out), "\"stacks\":[ 0,1,0,7]"));
}

static void sums_too_large_for_a_number_stay_at_the_largest(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_frametree) tree = {.rank = NULL};

	pf_profile_init(&p);
	pf_profile_add_type(&p, "cpu", "nanoseconds");
	pf_profile_add_type(&p, "samples", "count");
	for (uint64_t pc = 0x1000; pc < 0x4000; pc += 0x1000)
		pf_profile_add_sample(&p, &pc, 1, (const int64_t[]){INT64_MAX / 2, 1});
	assert_int_equal(pf_frametree_init(&tree, &p, false), 0);
	assert_true(pf_frametree_total(&tree, 0) == INT64_MAX);
	assert_int_equal(pf_frametree_total(&tree, 1), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_node_is_told_when_its_sum_is_complete),
	    cmocka_unit_test(an_empty_profile_has_no_node),
	    cmocka_unit_test(parents_have_smaller_numbers),
	    cmocka_unit_test(what_went_away_has_no_width),
	    cmocka_unit_test(by_line_two_lines_of_a_function_are_two_frames),
	    cmocka_unit_test(sums_too_large_for_a_number_stay_at_the_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
