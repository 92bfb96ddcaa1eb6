/* Who created a thread, by name: truth is a table of names in the order of the stack. */
#include "base/profile.h"
#include "render/creator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A thread created by a stack of these functions, innermost first; none: by an address without name. */
static void make(struct pf_profile *p, const char *const names[])
{
	static const int64_t one = 1;
	static const uint64_t here = 0x1000;
	size_t count = 0;

	pf_profile_init(p);
	pf_profile_add_type(p, "threads", "count");
	pf_profile_add_sample(p, &here, 1, &one);
	pf_profile_label_str(p, "thread", "worker");
	do
		pf_profile_label_num(p, "created_by", 0x2000 + (int64_t)count, "address");
	while (names[count] && names[++count]);
	pf_profile_label_num(p, "creator", 7, NULL);
	pf_profile_set_locations(p);
	for (size_t i = 0; i < p->location_count; i++) {
		struct pf_location *at = &p->locations[i];
		const char *name = at->address < 0x2000 ? "run" : names[at->address - 0x2000];

		if (name)
			pf_profile_add_line(p, at, name, name, "", 0, 0);
	}
	pf_creator_name(p);
	assert_int_equal(p->error, 0);
}

/* What the one label says; NULL when it is a number. */
static const char *creator(const struct pf_profile *p)
{
	const struct pf_sample *s = &p->samples[0];
	const struct pf_label *labels = &p->labels[s->label_first];

	assert_int_equal(s->label_count, 3);
	assert_string_equal(labels[0].key, "thread");
	assert_string_equal(labels[1].key, "created_by");
	assert_string_equal(labels[2].key, "creator");
	return labels[1].str;
}

static void the_function_that_calls_pthread_create_is_meant(void **state)
{
	const char *const names[] = {"spawn_worker", "main", NULL};
	struct pf_profile p;

	make(&p, names);
	assert_string_equal(creator(&p), "spawn_worker");
	pf_profile_finish(&p);
}

static void frames_of_the_language_are_passed_over(void **state)
{
	const char *const names[] = {"std::thread::_M_start_thread",
	    "std::thread::thread<void (&)(), , void>",
	    "__gnu_cxx::new_allocator<std::thread>::construct<void (&)()>", "shop::Pool::grow",
	    "main", NULL};
	struct pf_profile p;

	make(&p, names);
	assert_string_equal(creator(&p), "shop::Pool::grow");
	pf_profile_finish(&p);
}

static void where_nothing_else_has_a_name_the_first_one_stays(void **state)
{
	const char *const names[] = {"std::thread::_M_start_thread", NULL};
	struct pf_profile p;

	make(&p, names);
	assert_string_equal(creator(&p), "std::thread::_M_start_thread");
	pf_profile_finish(&p);
}

static void without_any_name_the_address_stays(void **state)
{
	const char *const names[] = {NULL};
	struct pf_profile p;

	make(&p, names);
	assert_null(creator(&p));
	assert_int_equal(p.labels[p.samples[0].label_first + 1].num, 0x2000);
	pf_profile_finish(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_function_that_calls_pthread_create_is_meant),
	    cmocka_unit_test(frames_of_the_language_are_passed_over),
	    cmocka_unit_test(where_nothing_else_has_a_name_the_first_one_stays),
	    cmocka_unit_test(without_any_name_the_address_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
