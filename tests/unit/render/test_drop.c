#include "base/buf.h"
#include "base/profile.h"
#include "render/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* From the leaf: names of one stack, a location each; "a|b" is a inlined into b. */
static void make(struct pf_profile *p, const char *drop, const char *const *names, size_t count)
{
	uint64_t pcs[16];

	pf_profile_init(p);
	pf_profile_add_type(p, "inuse_space", "bytes");
	for (size_t i = 0; i < count; i++)
		pcs[i] = 0x1000 + i;
	pf_profile_add_sample(p, pcs, count, (const int64_t[]){1});
	p->drop_frames = drop;
	pf_profile_set_locations(p);
	for (size_t i = 0; i < count; i++) {
		char *all = strdup(names[i]), *rest = all, *name;

		while ((name = strsep(&rest, "|")))
			pf_profile_add_line(p, &p->locations[i], name, name, "", 0, 0);
		free(all);
	}
}

/* What is left, from the leaf: "a|b c". */
static void check(const char *drop, const char *const *names, size_t count, const char *expected)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_profile out;
	char got[512] = "";

	make(&p, drop, names, count);
	assert_int_equal(pf_drop_take(&p, &out), 0);
	for (uint32_t i = 0; i < out.samples[0].pc_count; i++) {
		const struct pf_location *l =
		    pf_profile_location(&out, out.pcs[out.samples[0].pc_first + i]);

		for (uint32_t k = 0; k < l->line_count; k++) {
			strcat(got, k ? "|" : *got ? " " : "");
			strcat(got, out.lines[l->line_first + k].function);
		}
	}
	assert_string_equal(got, expected);
	/* What it was made from is as it was. */
	assert_int_equal(p.samples[0].pc_count, count);
	pf_drop_finish(&out);
}

#define CHECK(drop, expected, ...)                                                                 \
	check(drop, (const char *const[]){__VA_ARGS__},                                            \
	    PF_COUNT(((const char *const[]){__VA_ARGS__})), expected)

static void a_function_goes_and_what_it_called(void **state)
{
	CHECK("operator new(\\[\\])?|malloc", "push main", "hook", "malloc",
	    "operator new(unsigned long)", "push", "main");
	CHECK(
	    "operator new(\\[\\])?", "push main", "operator new[](unsigned long)", "push", "main");
}

static void names_are_compared_whole(void **state)
{
	CHECK("malloc", "my_malloc main", "my_malloc", "main");
	CHECK("malloc|x", "malloc_all main", "malloc_all", "main");
}

static void parameters_do_not_count_but_parentheses_in_names_do(void **state)
{
	CHECK("ns::f", "main", "ns::f(malloc)", "main");
	CHECK("\\(anonymous namespace\\)::f", "main", "(anonymous namespace)::f(int)", "main");
	CHECK("operator\\(\\)|f::operator\\(\\)", "main", "f::operator()(int) const", "main");
}

static void what_is_before_the_first_that_stays_does_not_go(void **state)
{
	CHECK("malloc", "malloc malloc", "malloc", "malloc");
	CHECK("malloc", "user malloc", "malloc", "user", "malloc");
}

static void of_inlined_functions_only_those_inside_go(void **state)
{
	CHECK("alloc::alloc", "grow|push main", "leaf", "alloc::alloc|grow|push", "main");
	CHECK("push", "main", "leaf", "alloc|push", "main");
}

static void nothing_asked_or_no_pattern_drops_nothing(void **state)
{
	CHECK(NULL, "malloc main", "malloc", "main");
	CHECK("(malloc", "malloc main", "malloc", "main");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_function_goes_and_what_it_called),
	    cmocka_unit_test(names_are_compared_whole),
	    cmocka_unit_test(parameters_do_not_count_but_parentheses_in_names_do),
	    cmocka_unit_test(what_is_before_the_first_that_stays_does_not_go),
	    cmocka_unit_test(of_inlined_functions_only_those_inside_go),
	    cmocka_unit_test(nothing_asked_or_no_pattern_drops_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
