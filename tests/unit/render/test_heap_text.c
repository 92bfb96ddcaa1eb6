/* The heap's texts: leaks with ages, lives with medians, labels of a stack, and how a text ends. */
#include "drawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t in_add[] = {AT_ALLOC, AT_ADD, AT_MAIN};
static const uint64_t in_handle[] = {AT_ALLOC, AT_HANDLE, AT_MAIN};

/* Names, and whose they are. */
static void name_all(struct pf_profile *p)
{
	static const struct {
		uint64_t address;
		const char *function;
	} names[] = {
	    {AT_MAIN, "main"}, {AT_HANDLE, "handle"}, {AT_ALLOC, "alloc"}, {AT_ADD, "add"}};

	pf_profile_add_mapping(p, 0x400000, 0x500000, 0, "/opt/shop/server", "");
	pf_profile_add_mapping(p, 0x7f0000000000, 0x7f0000100000, 0, "/opt/shop/libcart.so", "");
	pf_profile_set_locations(p);
	for (size_t i = 0; i < PF_COUNT(names); i++) {
		struct pf_location *at =
		    (struct pf_location *)pf_profile_location(p, names[i].address);

		if (at)
			pf_profile_add_line(p, at, names[i].function, names[i].function, "", 0, 0);
	}
	assert_int_equal(p->error, 0);
}

static void add(struct pf_profile *p, const uint64_t *stack, int64_t objects, int64_t bytes)
{
	int64_t values[] = {objects, bytes};

	pf_profile_add_sample(p, stack, 3, values);
}

static void begin(struct pf_profile *p, const char *name, const char *first, const char *second)
{
	pf_profile_init(p);
	p->name = name;
	p->time_ns = 1795240800ll * 1000000000;
	pf_profile_add_type(p, first, "count");
	pf_profile_add_type(p, second, "bytes");
}

static void a_leak_is_a_row_with_its_ages(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	begin(&p, "heap_leaks", "inuse_objects", "inuse_space");
	add(&p, in_add, 1000, 1024000);
	pf_profile_label_num(&p, "oldest", 12, "seconds");
	pf_profile_label_num(&p, "youngest", 3, "seconds");
	add(&p, in_handle, 500, 512000);
	pf_profile_label_num(&p, "oldest", 15, "seconds");
	pf_profile_label_num(&p, "youngest", 15, "seconds");
	name_all(&p);
	pf_render_leaks(&out, &p, &(struct pf_query){.rows = 0});
	assert_string_equal(pf_buf_text(&out),
	    "# heap_leaks: inuse_space\n"
	    "# at 2026-11-21T06:00:00Z\n"
	    "# total 1536000 bytes (1.5 MiB)\n"
	    "#      bytes  bytes%    objects  oldest_s  youngest_s  function  [module]\n"
	    "     1024000  66.67%       1000        12           3  alloc  [server]\n"
	    "      512000  33.33%        500        15          15  alloc  [server]\n"
	    "#\n"
	    "# stack 1 of 2: 1024000 bytes in 1000 objects, allocated 3 to 12 s ago\n"
	    "#     alloc  [server]\n"
	    "#     add  [libcart.so]\n"
	    "#     main  [server]\n"
	    "#\n"
	    "# stack 2 of 2: 512000 bytes in 500 objects, allocated 15 to 15 s ago\n"
	    "#     alloc  [server]\n"
	    "#     handle  [server]\n"
	    "#     main  [server]\n");
	pf_buf_clear(&out);
	pf_render_leaks(&out, &p, &(struct pf_query){.rows = 1});
	assert_non_null(
	    strstr(pf_buf_text(&out), "# 1 more stacks, bytes 512000; ?n= shows more\n"));
}

static void add_life(struct pf_profile *p, const uint64_t *stack, int64_t objects, int64_t us)
{
	add(p, stack, objects, objects * 100);
	if (us)
		pf_profile_label_num(p, "life", us * 1000, "nanoseconds");
}

/* in_add: 100 gone below 1 us, 300 between 512 us and 1.024 ms, 100 in use; so the 250th of 500 is in
 * the middle of the second class. in_handle: half are in use, so nobody knows. */
static void the_median_is_over_all_blocks(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	begin(&p, "heap_lifetime", "alloc_objects", "alloc_space");
	p.default_type = 0;
	p.duration_ns = 10ll * 1000000000;
	add_life(&p, in_add, 100, 1);
	add_life(&p, in_add, 300, 1024);
	add_life(&p, in_add, 100, 0);
	add_life(&p, in_handle, 400, 1);
	add_life(&p, in_handle, 400, 0);
	name_all(&p);
	pf_render_lifetime(&out, &p, &(struct pf_query){.rows = 0});
	assert_string_equal(pf_buf_text(&out),
	    "# heap_lifetime: alloc_objects\n"
	    "# from 2026-11-21T06:00:00Z, 10.000 s\n"
	    "# total 1300\n"
	    "# stacks more than half of whose blocks are gone; the others are in heap\n"
	    "#  allocs/s  median_life_ms   freed%      bytes/s  function  [module]\n"
	    "       50.0           0.768   80.00%       5000.0  alloc  [server]\n"
	    "#\n"
	    "# stack 1 of 1: 500 objects, 50000 bytes\n"
	    "#     alloc  [server]\n"
	    "#     add  [libcart.so]\n"
	    "#     main  [server]\n");
}

static void labels_of_a_stack_stand_on_one_line(void **state)
{
	static const char *const names[] = {"main", "a\033[31m", "b", "c", "d", "main"};
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	begin(&p, "heap", "inuse_objects", "inuse_space");
	for (int i = 0; i < 6; i++) {
		add(&p, in_add, 1, 100 + i);
		pf_profile_label_num(&p, "bytes", 16 << i, NULL);
		pf_profile_label_str(&p, "thread", names[i]);
		pf_profile_label_num(&p, "creator", AT_MAIN, "address");
	}
	name_all(&p);
	pf_profile_note(&p, "%d of %d", 2, 3);
	pf_profile_note(&p, "the end");
	pf_render_text(&out, &p, &(struct pf_query){.rows = 0});
	assert_non_null(strstr(pf_buf_text(&out), "\n#   bytes 16 to 512; thread main, a"));
	assert_non_null(strstr(pf_buf_text(&out), ", b, c, and others\n#     alloc  [server]\n"));
	assert_null(strchr(pf_buf_text(&out), '\033'));
	assert_non_null(strstr(pf_buf_text(&out), "[server]\n#\n# 2 of 3\n# the end\n"));
	assert_int_equal(strlen(strstr(pf_buf_text(&out), "# the end\n")), strlen("# the end\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_leak_is_a_row_with_its_ages),
	    cmocka_unit_test(the_median_is_over_all_blocks),
	    cmocka_unit_test(labels_of_a_stack_stand_on_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
