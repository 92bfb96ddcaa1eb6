/* Which samples a focus keeps, and which patterns are none. */
#include "base/mark.h"
#include "fs/focus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*     main > parse > alloc                     1
 *     main > draw, scale inlined > alloc      20
 *     main > [truncated]                     300
 */
enum { MAIN = 0x1010, PARSE = 0x1020, DRAW = 0x1030, ALLOC = 0x1040 };

static struct pf_profile all, part;

static void add_line(uint64_t address, const char *function)
{
	struct pf_location *at = (struct pf_location *)pf_profile_location(&all, address);

	pf_profile_add_line(&all, at, function, function, "", 0, 0);
}

static void add_sample(uint64_t leaf, uint64_t middle, int64_t value)
{
	uint64_t pcs[] = {leaf, middle, MAIN};

	pf_profile_add_sample(&all, pcs, 3, &value);
}

static int setup(void **state)
{
	pf_profile_init(&all);
	pf_profile_add_type(&all, "space", "bytes");
	add_sample(ALLOC, PARSE, 1);
	add_sample(ALLOC, DRAW, 20);
	add_sample(PF_PC_TRUNCATED, MAIN, 300);
	pf_profile_comment(&all, "a comment");
	pf_profile_set_locations(&all);
	add_line(MAIN, "main");
	add_line(PARSE, "json::parse(int, {lambda()#1})");
	add_line(DRAW, "scale");
	add_line(DRAW, "draw");
	add_line(ALLOC, "alloc");
	return all.error;
}

static int teardown(void **state)
{
	pf_profile_finish(&all);
	return 0;
}

static int take(
    const struct pf_profile *in, const char *pattern, int64_t least, struct pf_profile *out)
{
	struct pf_query query = {.least = least};

	strcpy(query.focus, pattern);
	return pf_focus_take(in, &query, 0, out);
}

static int64_t total_of(const char *pattern)
{
	int64_t total;

	assert_int_equal(take(&all, pattern, 0, &part), 0);
	total = pf_profile_total(&part, 0);
	pf_focus_finish(&part);
	return total;
}

static void a_stack_is_kept_for_any_of_its_functions(void **state)
{
	assert_int_equal(total_of("main"), 321);
	assert_int_equal(total_of("alloc"), 21);
	assert_int_equal(total_of("^json::parse"), 1);
	assert_int_equal(total_of("draw|parse"), 21);
	assert_int_equal(total_of("aint"), 0);
	assert_int_equal(total_of("^lloc"), 0);
}

static void inlined_functions_and_markers_have_names_too(void **state)
{
	assert_int_equal(total_of("^scale$"), 20);
	assert_int_equal(total_of("truncated"), 300);
	assert_int_equal(total_of("\\{lambda"), 1);
}

static void it_says_what_it_left_out_and_leaves_the_whole_alone(void **state)
{
	assert_int_equal(take(&all, "draw", 0, &part), 0);
	assert_int_equal(part.comment_count, 2);
	assert_string_equal(part.comments[0], "a comment");
	assert_string_equal(part.comments[1], "focus draw: 1 of 3 stacks");
	pf_focus_finish(&part);
	assert_int_equal(all.sample_count, 3);
	assert_int_equal(all.comment_count, 1);
	assert_int_equal(pf_profile_total(&all, 0), 321);
}

/* Two samples of one stack count together. */
static void small_stacks_are_left_out(void **state)
{
	static const struct {
		const char *pattern;
		int64_t least, total;
	} cases[] = {{"", 1, 341}, {"", 2, 340}, {"", 40, 340}, {"", 41, 300}, {"", 301, 0},
	    {"alloc", 40, 40}, {"alloc", 41, 0}};

	add_sample(ALLOC, DRAW, 20);
	pf_profile_label_str(&all, "thread", "other");
	for (size_t i = 0; i < PF_COUNT(cases); i++) {
		assert_int_equal(take(&all, cases[i].pattern, cases[i].least, &part), 0);
		assert_int_equal(pf_profile_total(&part, 0), cases[i].total);
		pf_focus_finish(&part);
	}
	assert_int_equal(take(&all, "alloc", 41, &part), 0);
	assert_int_equal(part.comment_count, 3);
	assert_string_equal(part.comments[1], "focus alloc: 3 of 4 stacks");
	assert_string_equal(part.comments[2], "min 41: 0 of 3 samples, of 2 stacks");
	pf_focus_finish(&part);
}

static void what_is_no_pattern_is_invalid(void **state)
{
	static const char *const bad[] = {"(", "[a", "*(", "a\\", "(a)\\1", "a{2,1}"};

	for (size_t i = 0; i < PF_COUNT(bad); i++) {
		assert_int_equal(pf_focus_check(bad[i]), -EINVAL);
		assert_int_equal(take(&all, bad[i], 0, &part), -EINVAL);
		pf_focus_finish(&part);
	}
}

static void a_pattern_may_not_eat_its_hosts_memory(void **state)
{
	assert_int_equal(pf_focus_check("a{10}b{1,10}"), 0);
	assert_int_equal(pf_focus_check("a{101}"), -EINVAL);
	assert_int_equal(pf_focus_check("((a{1,255}){1,255}){1,255}"), -EINVAL);
	assert_int_equal(pf_focus_check("(a{20}){20}"), -EINVAL);
	assert_int_equal(pf_focus_check("a{99999999999999999999999}"), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_stack_is_kept_for_any_of_its_functions),
	    TEST(inlined_functions_and_markers_have_names_too),
	    TEST(it_says_what_it_left_out_and_leaves_the_whole_alone),
	    TEST(small_stacks_are_left_out),
	    TEST(what_is_no_pattern_is_invalid),
	    TEST(a_pattern_may_not_eat_its_hosts_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
